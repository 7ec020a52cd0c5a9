/*-------------------------------------------------------------------------
 *
 * compile.c
 *	  A contract's configuration -> what evaluates and encodes its rows.
 *
 * All expressions of a contract, its columns, its WHERE clause and the
 * conditions of its event types, go into one cached expression: the plan
 * cache then tells us when a function or a type behind any of them changed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/compile/compile_private.h"
#include "contract/environment/environment.h"
#include "contract/keys/keys.h"
#include "contract/reach/reach.h"
#include "contract/view/view.h"

static void compile_as_owner(OutboxCompiledContract *contract, Oid source, bool draft);
static void describe_rows(OutboxCompiledContract *contract);
static OutboxViewExpansion *expand(OutboxCompiledContract *contract, Oid source);
static void note_types(OutboxCompiledContract *contract);
static void resolve_names(OutboxCompiledContract *contract);
static int column_number(const OutboxCompiledContract *contract, const char *name);
static int *column_numbers(const OutboxCompiledContract *contract, List *names, int *count);
static void compile_event_types(OutboxCompiledContract *contract, bool draft);
static void compile_event_type(OutboxCompiledContract *contract, OutboxCompiledEventType *type);
static void plan_expressions(OutboxCompiledContract *contract, OutboxViewExpansion *expansion, const OutboxRunner *runner);
static List *row_expressions(const OutboxViewExpansion *expansion, const Bitmapset *used);
static List *parse_rules(OutboxCompiledContract *contract);
static List *take_rule(Node *expression, Expr **rule, List *rest);
static Bitmapset *used_columns(const OutboxCompiledContract *contract, List *rules);
static Bitmapset *key_columns(const OutboxCompiledContract *contract);
static void note_reads(OutboxCompiledContract *contract, Bitmapset *root_columns);

/* Raises when the view was dropped. */
void
OutboxCheckViewThere(const OutboxContractConfig *config)
{
	if (get_rel_relkind(config->view) != RELKIND_VIEW)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the view of contract \"%s\" does not exist any more", config->name),
				 errhint("Create the view again, then drop the contract and create it again in one transaction.")));
}

/*
 * Compiles in a child of CurrentMemoryContext, as the view's owner. The caller
 * runs it inside a subtransaction when an error must not reach a writer; the
 * context is then freed with that subtransaction's memory. A contract that is
 * evaluated at commit has a query in place of per-row expressions; its source
 * does not matter. Raises for a view
 * that does not fit its configuration any more. Event types without a pinned
 * schema are left out unless `draft`, which builds their schemas on the fly.
 */
OutboxCompiledContract *
OutboxCompileContract(OutboxContractConfig *config, Oid source, bool draft)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "outbox contract", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	OutboxCompiledContract *contract = palloc0(sizeof(OutboxCompiledContract));
	OutboxEvaluation evaluation;

	MemoryContextCopyAndSetIdentifier(context, config->name);
	contract->context = context;
	contract->config = config;
	OutboxCheckViewThere(config);
	OutboxCheckViewOwnerUnchanged(config);
	contract->owner = OutboxRelationOwner(config->view);
	OutboxEvaluationBegin(&evaluation, contract->owner, OUTBOX_COMPILING);
	compile_as_owner(contract, source, draft);
	OutboxEvaluationEnd(&evaluation);
	MemoryContextSwitchTo(caller);
	return contract;
}

/* Frees it, cached expression included. */
void
OutboxFreeContract(OutboxCompiledContract *contract)
{
	MemoryContextDelete(contract->context);
}

static void
compile_as_owner(OutboxCompiledContract *contract, Oid source, bool draft)
{
	OutboxViewExpansion *expansion = contract->config->at_commit ? NULL : expand(contract, source);
	OutboxRunner runner;

	OutboxRunnerOfView(&runner, contract->config->view, psprintf("contract \"%s\"", contract->config->name));
	describe_rows(contract);
	for (int i = 0; i < contract->ncolumns; i++)
	{
		if (!TupleDescAttr(contract->row_desc, i)->attisdropped)
			OutboxCheckOutputTrust(&runner, TupleDescAttr(contract->row_desc, i)->atttypid);
	}
	resolve_names(contract);
	compile_event_types(contract, draft);
	plan_expressions(contract, expansion, &runner);
	if (expansion)
		note_reads(contract, expansion->root_columns);
	contract->relations = list_copy(expansion ? expansion->relations : contract->query->relations);
	contract->relations = lappend_oid(contract->relations, OutboxRelationOid("contract"));
	note_types(contract);
	contract->before = MakeSingleTupleTableSlot(contract->row_desc, &TTSOpsVirtual);
	contract->after = MakeSingleTupleTableSlot(contract->row_desc, &TTSOpsVirtual);
	contract->key_row = MakeSingleTupleTableSlot(contract->row_desc, &TTSOpsVirtual);
	contract->absent = MakeSingleTupleTableSlot(contract->row_desc, &TTSOpsVirtual);
	ExecStoreAllNullTuple(contract->absent);
	contract->row_context = AllocSetContextCreate(contract->context, "outbox row", ALLOCSET_DEFAULT_SIZES);
	contract->exec_context = AllocSetContextCreate(contract->context, "outbox executor state",
												   ALLOCSET_DEFAULT_SIZES);
	OutboxBuildExecutor(contract);
}

/* What was proven of the expressions, and of what is printed, is true of the types as they are now. */
static void
note_types(OutboxCompiledContract *contract)
{
	OutboxRowTypes types = {0};

	OutboxAddRowTypes(&types, contract->row_desc);
	OutboxAddExpressionTypes(&types, contract->cached->expr);
	contract->relations = list_concat_unique_oid(contract->relations, types.relations);
	contract->objects = types.objects;
	if (contract->query)
		contract->objects = list_concat(contract->objects, contract->query->plan->invalItems);
}

static OutboxViewExpansion *
expand(OutboxCompiledContract *contract, Oid source)
{
	OutboxContractConfig *config = contract->config;
	OutboxViewExpansion *expansion = OutboxExpandView(config->view);

	if (expansion->blocker)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("contract \"%s\" cannot be evaluated per row", config->name),
				 errdetail("Its view \"%s\" contains %s.", get_rel_name(config->view), expansion->blocker)));
	if (expansion->root != config->root)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the view of contract \"%s\" does not read the source \"%s\" any more",
						config->name, get_rel_name(config->root)),
				 errhint("Drop the contract and create it again in one transaction, with the present source.")));
	OutboxCheckKey(expansion, config->key, config->root_key);
	OutboxCheckViewAccess(expansion->access, expansion->view);
	if (source != config->root)
		OutboxExpansionToPartition(expansion, source);
	return expansion;
}

static void
describe_rows(OutboxCompiledContract *contract)
{
	Relation view = OutboxOpenWithoutWait(contract->config->view);

	contract->row_desc = CreateTupleDescCopy(RelationGetDescr(view));
	contract->ncolumns = contract->row_desc->natts;
	relation_close(view, NoLock);
}

static void
resolve_names(OutboxCompiledContract *contract)
{
	OutboxContractConfig *config = contract->config;

	contract->aggregatetype = cstring_to_text(config->aggregate_type);
	contract->key = column_numbers(contract, config->key, &contract->nkey);
	contract->aggregate = column_numbers(contract, config->aggregate_id, &contract->naggregate);
	contract->aggregate_base = palloc0(sizeof(Oid) * contract->naggregate);
	contract->aggregate_out = palloc0(sizeof(FmgrInfo) * contract->naggregate);
	for (int i = 0; i < contract->naggregate; i++)
	{
		Oid type = TupleDescAttr(contract->row_desc, contract->aggregate[i])->atttypid;
		Oid output;
		bool is_varlena;

		getTypeOutputInfo(type, &output, &is_varlena);
		fmgr_info(output, &contract->aggregate_out[i]);
		contract->aggregate_base[i] = getBaseType(type);
		if (!OutboxIsPlainKeyType(contract->aggregate_base[i]))
			contract->traits |= OutboxTextTraits(type);
	}
}

/* The column's number from 0; raises when the view has no such column. */
static int
column_number(const OutboxCompiledContract *contract, const char *name)
{
	for (int i = 0; i < contract->ncolumns; i++)
	{
		if (strcmp(NameStr(TupleDescAttr(contract->row_desc, i)->attname), name) == 0)
			return i;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" of contract \"%s\" does not exist", name, contract->config->name),
			 errdetail("The view \"%s\" has no column of that name.", get_rel_name(contract->config->view)),
			 errhint("Give the column its name back with ALTER VIEW ... RENAME COLUMN, or drop the contract and create it again in one transaction.")));
}

static int *
column_numbers(const OutboxCompiledContract *contract, List *names, int *count)
{
	int *numbers = palloc0(sizeof(int) * Max(list_length(names), 1));
	ListCell *lc;

	*count = 0;
	foreach (lc, names)
		numbers[(*count)++] = column_number(contract, lfirst(lc));
	return numbers;
}

static void
compile_event_types(OutboxCompiledContract *contract, bool draft)
{
	ListCell *lc;

	contract->compared = palloc0(sizeof(bool) * contract->ncolumns);
	contract->types = palloc0(sizeof(OutboxCompiledEventType) * Max(list_length(contract->config->event_types), 1));
	foreach (lc, contract->config->event_types)
	{
		OutboxEventTypeConfig *config = lfirst(lc);
		OutboxCompiledEventType *type;

		if (config->schema_text == NULL && !draft)
			continue;
		type = &contract->types[contract->ntypes++];
		type->config = config;
		/* a draft lives as long as what was compiled: the configuration may serve another partition next */
		type->schema_text = config->schema_text ? config->schema_text : OutboxDraftSchema(contract->config, config);
		compile_event_type(contract, type);
	}
	for (int i = 0; i < contract->ntypes; i++)
	{
		OutboxCompiledEventType *type = &contract->types[i];

		for (int j = 0; j < contract->ncolumns; j++)
			type->partial |= type->encoder && contract->compared[j] && !OutboxAvroHasColumn(type->encoder, j);
	}
}

static void
compile_event_type(OutboxCompiledContract *contract, OutboxCompiledEventType *type)
{
	OutboxEventTypeConfig *config = type->config;
	int ncolumns;
	OutboxAvroColumn *columns = OutboxContractColumns(contract->config, config, &ncolumns);
	ListCell *lc;

	type->type = cstring_to_text(config->name);
	if (config->tombstone == OUTBOX_TOMBSTONE_AFTER)
		type->flags = OUTBOX_EVENT_TOMBSTONE_AFTER;
	else if (config->tombstone == OUTBOX_TOMBSTONE_INSTEAD)
		type->flags = OUTBOX_EVENT_TOMBSTONE_ONLY;
	contract->makes_tombstones |= type->flags != 0;
	type->previous = column_numbers(contract, config->previous, &type->nprevious);
	type->checks = palloc0(sizeof(OutboxCompiledCheck) * Max(list_length(config->checks), 1));
	foreach (lc, config->checks)
		type->checks[type->nchecks++].name = ((OutboxCheckConfig *) lfirst(lc))->name;
	type->encoder = OutboxAvroCompile(type->schema_text, columns, ncolumns, &type->mismatch);
	/* Any change of a row that does not fit is worth its dead letter. */
	for (int i = 0; i < contract->ncolumns; i++)
		contract->compared[i] |= type->encoder == NULL || OutboxAvroHasColumn(type->encoder, i);
	if (type->encoder == NULL)
		return;
	foreach (lc, OutboxAvroPrintedTypes(type->encoder))
		contract->traits |= OutboxTextTraits(lfirst_oid(lc));
}

/*
 * Plans columns, WHERE clause and conditions together (without an expansion,
 * at commit, a query gives the columns). Columns that no schema, key or
 * condition uses become NULL: a column appended to the view later must neither
 * cost nor fail.
 */
static void
plan_expressions(OutboxCompiledContract *contract, OutboxViewExpansion *expansion, const OutboxRunner *runner)
{
	List *rules = parse_rules(contract);
	Bitmapset *used = used_columns(contract, rules);
	List *expressions = expansion ? row_expressions(expansion, used) : NIL;

	OutboxCheckExpressionTrust(runner, (Node *) expressions);
	if (expansion == NULL)
		contract->query = OutboxPlanCommitQuery(contract->config, used);
	if (expansion == NULL && contract->makes_tombstones)
		contract->key_query = OutboxPlanCommitQuery(contract->config, key_columns(contract));
	contract->cached = OutboxCacheExpression(list_concat(expressions, rules), contract->context);

	expressions = copyObject((List *) contract->cached->expr);
	/* a function may have been replaced since the contract was created */
	OutboxRefuseVolatile((Node *) expressions, psprintf("contract \"%s\"", contract->config->name));
	contract->traits |= OutboxExpressionTraits((Node *) expressions);

	if (expansion)
	{
		contract->columns = list_copy_head(expressions, contract->ncolumns);
		contract->qual = (List *) list_nth(expressions, contract->ncolumns);
		expressions = list_copy_tail(expressions, contract->ncolumns + 1);
	}
	for (int i = 0; i < contract->ntypes; i++)
	{
		OutboxCompiledEventType *type = &contract->types[i];

		expressions = take_rule(linitial(expressions), &type->condition, expressions);
		for (int j = 0; j < type->nchecks; j++)
			expressions = take_rule(linitial(expressions), &type->checks[j].expression, expressions);
	}
}

/* The view's columns, those not used as NULL, and its WHERE clause. */
static List *
row_expressions(const OutboxViewExpansion *expansion, const Bitmapset *used)
{
	List *expressions = NIL;
	ListCell *lc;
	int column = 0;

	foreach (lc, expansion->columns)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);

		if (bms_is_member(column++, used))
			expressions = lappend(expressions, entry->expr);
		else
			expressions = lappend(expressions, makeNullConst(exprType((Node *) entry->expr), exprTypmod((Node *) entry->expr), exprCollation((Node *) entry->expr)));
	}
	return lappend(expressions, make_ands_implicit((Expr *) expansion->qual));
}

/* Conditions (NULL: none) and checks of all event types, in the order in which plan_expressions takes them back. */
static List *
parse_rules(OutboxCompiledContract *contract)
{
	Oid view = contract->config->view;
	List *rules = NIL;

	for (int i = 0; i < contract->ntypes; i++)
	{
		OutboxEventTypeConfig *type = contract->types[i].config;
		ListCell *lc;

		rules = lappend(rules, type->condition == NULL ? NULL : OutboxParseCondition(type->condition, view, psprintf("condition of event type \"%s\"", type->name), true));
		foreach (lc, type->checks)
		{
			OutboxCheckConfig *check = lfirst(lc);

			rules = lappend(rules, OutboxParseCheck(check->expression, view, psprintf("check \"%s\" of event type \"%s\"", check->name, type->name), true));
		}
	}
	return rules;
}

/* The rows before and after are the executor's inner and outer tuples; a check's own row stays the scan tuple. */
static List *
take_rule(Node *expression, Expr **rule, List *rest)
{
	if (expression)
	{
		ChangeVarNodes(expression, OUTBOX_OLD_VARNO, INNER_VAR, 0);
		ChangeVarNodes(expression, OUTBOX_NEW_VARNO, OUTER_VAR, 0);
	}
	*rule = (Expr *) expression;
	return list_delete_first(rest);
}

static Bitmapset *
used_columns(const OutboxCompiledContract *contract, List *rules)
{
	Bitmapset *attributes = NULL;
	Bitmapset *used = NULL;
	int attribute = -1;

	pull_varattnos((Node *) rules, OUTBOX_OLD_VARNO, &attributes);
	pull_varattnos((Node *) rules, OUTBOX_NEW_VARNO, &attributes);
	pull_varattnos((Node *) rules, OUTBOX_ROW_VARNO, &attributes);
	while ((attribute = bms_next_member(attributes, attribute)) >= 0)
		used = bms_add_member(used, attribute + FirstLowInvalidHeapAttributeNumber - 1);
	for (int i = 0; i < contract->ncolumns; i++)
	{
		if (contract->compared[i])
			used = bms_add_member(used, i);
	}
	used = bms_add_members(used, key_columns(contract));
	for (int i = 0; i < contract->ntypes; i++)
	{
		for (int j = 0; j < contract->types[i].nprevious; j++)
			used = bms_add_member(used, contract->types[i].previous[j]);
	}
	return used;
}

/* Of the contract's key, and of the message's. */
static Bitmapset *
key_columns(const OutboxCompiledContract *contract)
{
	Bitmapset *columns = NULL;

	for (int i = 0; i < contract->nkey; i++)
		columns = bms_add_member(columns, contract->key[i]);
	for (int i = 0; i < contract->naggregate; i++)
		columns = bms_add_member(columns, contract->aggregate[i]);
	return columns;
}

static void
note_reads(OutboxCompiledContract *contract, Bitmapset *root_columns)
{
	int column = -1;

	contract->read = palloc0(sizeof(AttrNumber) * (bms_num_members(root_columns) + 1));
	while ((column = bms_next_member(root_columns, column)) >= 0)
	{
		AttrNumber attno = column + FirstLowInvalidHeapAttributeNumber;

		contract->read[contract->nread++] = attno;
		contract->max_read = Max(contract->max_read, attno);
	}
}

/* Counts a failure of this contract in this transaction; returns how many there are now. */
uint64
OutboxCountFailure(OutboxCompiledContract *contract)
{
	if (contract->failing_transaction != OutboxLocalTransactionId())
	{
		contract->failing_transaction = OutboxLocalTransactionId();
		contract->failures = 0;
	}
	return ++contract->failures;
}
