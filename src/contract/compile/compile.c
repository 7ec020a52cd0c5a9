/*-------------------------------------------------------------------------
 *
 * compile.c
 *	  A contract's configuration -> what evaluates and encodes its rows.
 *
 * The names in the configuration become numbers of columns, the schemas become
 * encoders. compile_expressions.c plans the expressions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "miscadmin.h"
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
static void compile_headers(OutboxCompiledContract *contract, OutboxCompiledEventType *type);
static void note_reads(OutboxCompiledContract *contract, Bitmapset *root_columns);

/* Raises when the contract's view was dropped. */
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
 * Compiles a contract for rows of `source`: the root, or a partition of it. A
 * contract that is evaluated at commit has a query in place of per-row
 * expressions, and `source` does not matter. Event types without a pinned schema
 * are left out, unless `draft`: then their schemas are made as the view stands.
 *
 * Raises for a view that does not fit its configuration any more. Where an error
 * must not reach a writer, call this in a subtransaction. The result is in a
 * child of CurrentMemoryContext; OutboxFreeContract() frees it.
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

/* Frees a compiled contract with its cached expression. */
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
	OutboxPlanExpressions(contract, expansion, &runner);
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

/* Notes the types behind columns and expressions: what was proven about them is true of these types as they are now. */
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
	OutboxCheckKey(expansion, source, config->key, config->root_key);
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

		if (config->omitted || (config->schema_text == NULL && !draft))
			continue;
		type = &contract->types[contract->ntypes++];
		type->config = config;
		/* a draft is not written into the configuration, which may serve another partition next */
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
	compile_headers(contract, type);
	type->checks = palloc0(sizeof(OutboxCompiledCheck) * Max(list_length(config->checks), 1));
	foreach (lc, config->checks)
		type->checks[type->nchecks++].config = lfirst(lc);
	type->encoder = OutboxAvroCompile(type->schema_text, columns, ncolumns, &type->mismatch);
	/* without an encoder every changed row becomes a dead letter, so every column counts */
	for (int i = 0; i < contract->ncolumns; i++)
		contract->compared[i] |= type->encoder == NULL || OutboxAvroHasColumn(type->encoder, i);
	if (type->encoder == NULL)
		return;
	foreach (lc, OutboxAvroPrintedTypes(type->encoder))
		contract->traits |= OutboxTextTraits(lfirst_oid(lc));
}

/* The columns whose values are headers. Their text is made as that of keys is. */
static void
compile_headers(OutboxCompiledContract *contract, OutboxCompiledEventType *type)
{
	ListCell *lc;

	type->headers = palloc0(sizeof(OutboxHeaderColumn) * Max(list_length(type->config->headers), 1));
	foreach (lc, type->config->headers)
	{
		OutboxHeaderColumn *header = &type->headers[type->nheaders++];
		Oid oid;
		Oid output;
		bool is_varlena;

		header->column = column_number(contract, lfirst(lc));
		contract->compared[header->column] = true;
		oid = TupleDescAttr(contract->row_desc, header->column)->atttypid;
		getTypeOutputInfo(oid, &output, &is_varlena);
		fmgr_info(output, &header->output);
		header->base = getBaseType(oid);
		if (!OutboxIsPlainKeyType(header->base))
			contract->traits |= OutboxTextTraits(oid);
	}
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
