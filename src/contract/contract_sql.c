/*-------------------------------------------------------------------------
 *
 * contract_sql.c
 *	  outbox.create_contract() and outbox.drop_contract().
 *
 * Creation proves what capture relies on, so that a mistake is an error in
 * the migration that makes it and not a dead letter at night.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/dependency.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "avro/outbox_avro.h"
#include "catalog/outbox_catalog.h"
#include "contract/compile.h"
#include "contract/contract_api.h"
#include "contract/derived_key.h"
#include "contract/evaluation.h"
#include "contract/expression.h"
#include "contract/key.h"
#include "contract/lossy_cast.h"
#include "contract/partition.h"
#include "contract/source_trigger.h"
#include "contract/trust.h"
#include "contract/sql_function.h"
#include "guc.h"

PG_FUNCTION_INFO_V1(outbox_create_contract);
PG_FUNCTION_INFO_V1(outbox_drop_contract);

/* The arguments of create_contract, resolved. */
typedef struct NewContract
{
	OutboxContractConfig config;
	const char *evaluate;
	const char *on_invalid;
	const char *on_truncate;
	List *key_columns; /* the source's */
} NewContract;

static void read_arguments(FunctionCallInfo fcinfo, NewContract *contract);
static void check_view(NewContract *contract);
static void check_mixture(const NewContract *contract);
static void check_at_commit(NewContract *contract);
static void check_per_row(NewContract *contract, OutboxViewExpansion *expansion);
static void check_columns(const OutboxContractConfig *config, const char *argument, const List *names, bool nested);
static void check_expressions(const OutboxContractConfig *config, const OutboxViewExpansion *expansion);
static void check_types(const OutboxContractConfig *config);
static char *default_namespace(const char *contract);
static List *merge_names(List *names, const List *more);
static void insert_contract(const NewContract *contract);

/*
 * create_contract(name, view, source, key, required, aggregate_type, aggregate_id, evaluate, on_invalid, on_truncate)
 */
Datum
outbox_create_contract(PG_FUNCTION_ARGS)
{
	NewContract contract = {0};
	OutboxContractConfig *config = &contract.config;

	OutboxRequireVersion();
	read_arguments(fcinfo, &contract);
	OutboxCheckSource(config->root);
	OutboxCheckContractRights(config->view, config->root);
	if (OutboxContractLoad(config->name))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("contract \"%s\" already exists", config->name),
				 errhint("Choose another name. To change the contract, drop it and create it again in one transaction: BEGIN; SELECT outbox.drop_contract('%s');", config->name)));
	check_view(&contract);
	insert_contract(&contract);
	OutboxNoteDerivedKey(config);
	PG_RETURN_VOID();
}

/* drop_contract(name): its triggers, event types and configuration; pinned schemas stay for their events. */
Datum
outbox_drop_contract(PG_FUNCTION_ARGS)
{
	OutboxContractConfig *config = OutboxContractArg(fcinfo, 0, "name");
	const char *args[] = {psprintf("%d", config->id)};

	if (get_rel_relkind(config->view) != '\0' && get_rel_relkind(config->root) != '\0')
		OutboxCheckContractRights(config->view, config->root);
	OutboxDropTriggers(config);
	(void) OutboxExecute("DELETE FROM outbox_internal.contract WHERE id = $1::int", 1, args);
	PG_RETURN_VOID();
}

static void
read_arguments(FunctionCallInfo fcinfo, NewContract *contract)
{
	OutboxContractConfig *config = &contract->config;

	config->name = OutboxRequiredTextArg(fcinfo, 0, "name");
	OutboxCheckName("contract", config->name, OUTBOX_MAX_CONTRACT_NAME);
	config->view = OutboxResolveRelation("view", OutboxRequiredTextArg(fcinfo, 1, "view"));
	config->root = OutboxResolveRelation("source", OutboxRequiredTextArg(fcinfo, 2, "source"));
	config->key = OutboxNameListArg(fcinfo, 3, "key");
	config->required = OutboxNameListArg(fcinfo, 4, "required");
	config->aggregate_type = OutboxTextArg(fcinfo, 5);
	config->aggregate_id = OutboxNameListArg(fcinfo, 6, "aggregate_id");
	contract->evaluate = OutboxTextArg(fcinfo, 7);
	contract->on_invalid = OutboxTextArg(fcinfo, 8);
	contract->on_truncate = OutboxTextArg(fcinfo, 9);

	if (config->key == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("contract \"%s\" needs a key", config->name),
				 errhint("Name the columns that identify a row, for example key => '{order_id}'.")));
	if (config->aggregate_type == NULL)
		config->aggregate_type = config->name;
	OutboxCheckName("aggregate type", config->aggregate_type, 249);
	if (config->aggregate_id == NIL)
		config->aggregate_id = config->key;
	config->required = merge_names(merge_names(list_copy(config->key), config->aggregate_id), config->required);
	config->name_space = default_namespace(config->name);
	config->version = 1;

	if (contract->evaluate && strcmp(contract->evaluate, "row") != 0 && strcmp(contract->evaluate, "commit") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown value \"%s\" for \"evaluate\"", contract->evaluate),
				 errhint("Use 'row' or 'commit', or leave it out.")));
	if (contract->on_invalid == NULL)
		contract->on_invalid = "dead_letter";
	if (strcmp(contract->on_invalid, "dead_letter") != 0 && strcmp(contract->on_invalid, "abort") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown value \"%s\" for \"on_invalid\"", contract->on_invalid),
				 errhint("Use 'dead_letter' or 'abort'.")));
	if (contract->on_truncate == NULL)
		contract->on_truncate = "gap";
	if (strcmp(contract->on_truncate, "gap") != 0 && strcmp(contract->on_truncate, "reject") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown value \"%s\" for \"on_truncate\"", contract->on_truncate),
				 errhint("Use 'gap' or 'reject'.")));
}

/* Decides how the contract is evaluated, and checks everything that this relies on. */
static void
check_view(NewContract *contract)
{
	OutboxContractConfig *config = &contract->config;
	OutboxViewExpansion *expansion;
	OutboxEvaluation evaluation;

	/* who creates a contract waits, unlike capture */
	LockRelationOid(config->view, AccessShareLock);
	OutboxEvaluationBegin(&evaluation, OutboxRelationOwner(config->view), OUTBOX_COMPILING);
	expansion = OutboxExpandView(config->view);
	if (contract->evaluate == NULL)
		contract->evaluate = expansion->blocker ? "commit" : "row";
	config->at_commit = strcmp(contract->evaluate, "commit") == 0;
	check_mixture(contract);
	check_columns(config, "key", config->key, false);
	check_columns(config, "aggregate_id", config->aggregate_id, false);
	check_columns(config, "required", config->required, true);
	if (config->at_commit)
		check_at_commit(contract);
	else
		check_per_row(contract, expansion);
	check_types(config);
	OutboxEvaluationEnd(&evaluation);
}

/* Two orders of events, by row locks and by commits, cannot make one order per aggregate. */
static void
check_mixture(const NewContract *contract)
{
	const char *args[] = {contract->config.aggregate_type, contract->evaluate};
	const char *other = OutboxExecute("SELECT name FROM outbox_internal.contract WHERE aggregate_type = $1 AND evaluate <> $2"
									  " ORDER BY id LIMIT 1",
									  lengthof(args), args);

	if (other)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("contract \"%s\" would be evaluated another way than contract \"%s\"",
						contract->config.name, other),
				 errdetail("Both have the aggregate type \"%s\", and the order of its events is kept either by row or by commit.",
						   contract->config.aggregate_type),
				 errhint("Create both with evaluate => 'commit', or give one another aggregate_type.")));
}

static void
check_at_commit(NewContract *contract)
{
	OutboxCommitQuery *query = OutboxPlanCommitQuery(&contract->config, NULL);

	OutboxRefuseLossyPlan(query->plan, contract->config.view);
	for (int i = 0; i < query->nlookup; i++)
		contract->key_columns = lappend(contract->key_columns, NameStr(TupleDescAttr(query->lookup_desc, i)->attname));
}

static void
check_per_row(NewContract *contract, OutboxViewExpansion *expansion)
{
	OutboxContractConfig *config = &contract->config;

	if (expansion->blocker)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the view \"%s\" cannot be evaluated per row", get_rel_name(config->view)),
				 errdetail("It contains %s.", expansion->blocker),
				 errhint("Leave \"evaluate\" out: the view is then read once per key when the transaction commits.")));
	if (expansion->root != config->root)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the view \"%s\" does not read the source \"%s\"",
						get_rel_name(config->view), get_rel_name(config->root)),
				 errdetail("It reads \"%s\".", get_rel_name(expansion->root)),
				 errhint("Name the table that the view reads as the source.")));
	OutboxCheckViewAccess(expansion->access, expansion->view);
	check_expressions(config, expansion);
	contract->key_columns = OutboxProveKey(expansion, config->key);
}

/* The column part of a name that may go on into a nested type: "items" of "items.sku". */
static char *
column_of(const char *name)
{
	const char *dot = strchr(name, '.');

	return dot ? pnstrdup(name, dot - name) : pstrdup(name);
}

/*
 * Every name is a column of the view, or where `nested` a field inside one
 * (which is checked with the types), and none stands twice.
 */
static void
check_columns(const OutboxContractConfig *config, const char *argument, const List *names, bool nested)
{
	ListCell *lc;

	foreach (lc, names)
	{
		const char *name = lfirst(lc);
		ListCell *other;

		if (get_attnum(config->view, nested ? column_of(name) : name) <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" in \"%s\" does not exist", name, argument),
					 errdetail("The view \"%s\" has no column of that name.", get_rel_name(config->view)),
					 errhint("Name columns of the view, not of the source.")));
		for_each_cell(other, names, lnext(names, lc))
		{
			if (strcmp(lfirst(other), name) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("column \"%s\" stands twice in \"%s\"", name, argument)));
		}
	}
}

/* No volatile function, no cast that loses digits, no SQL function that would run as a query. */
static void
check_expressions(const OutboxContractConfig *config, const OutboxViewExpansion *expansion)
{
	List *expressions = list_make1(copyObject(expansion->qual));
	OutboxRunner runner;
	ListCell *lc;
	Oid function;

	OutboxRefuseVolatile(expansion->qual, psprintf("the WHERE clause of view \"%s\"", get_rel_name(config->view)));
	foreach (lc, expansion->columns)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);

		OutboxRefuseVolatile((Node *) entry->expr, psprintf("column \"%s\" of view \"%s\"", entry->resname, get_rel_name(config->view)));
		expressions = lappend(expressions, copyObject(entry->expr));
	}
	OutboxRunnerOfView(&runner, config->view, psprintf("contract \"%s\"", config->name));
	OutboxCheckExpressionTrust(&runner, (Node *) expressions);
	expressions = (List *) expression_planner((Expr *) expressions);
	foreach (lc, expansion->columns)
		OutboxRefuseLossyColumn(list_nth(expressions, foreach_current_index(lc) + 1), config->view,
								lfirst_node(TargetEntry, lc)->resname);
	function = OutboxFindSqlFunction((Node *) expressions);
	if (OidIsValid(function))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the SQL function \"%s\" in view \"%s\" cannot be inlined", get_func_name(function), get_rel_name(config->view)),
				 errdetail("It would run a query for every changed row."),
				 errhint("%s", OutboxInlineHint(function))));
}

/* The columns have Avro types; raises with a hint for the first that has none. */
static void
check_types(const OutboxContractConfig *config)
{
	OutboxEventTypeConfig type = {.name = config->name};

	(void) OutboxDraftSchema(config, &type);
}

/* outbox.namespace, or the database's name made fit, and the contract's name. */
static char *
default_namespace(const char *contract)
{
	char *first = outbox_namespace;

	if (first == NULL || first[0] == '\0')
	{
		first = get_database_name(MyDatabaseId);
		for (char *c = first; *c; c++)
		{
			bool digit = *c >= '0' && *c <= '9';

			if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || *c == '_' || (digit && c > first)))
				*c = '_';
		}
	}
	return psprintf("%s.%s", first, contract);
}

static List *
merge_names(List *names, const List *more)
{
	ListCell *lc;

	foreach (lc, more)
	{
		if (!OutboxNameListMember(names, lfirst(lc)))
			names = lappend(names, lfirst(lc));
	}
	return names;
}

static void
insert_contract(const NewContract *contract)
{
	const OutboxContractConfig *config = &contract->config;
	const char *contract_args[] = {config->name, config->aggregate_type, OutboxNamesToArray(config->key),
								   OutboxNamesToArray(config->aggregate_id), OutboxNamesToArray(config->required), config->name_space,
								   contract->evaluate, contract->on_invalid, contract->on_truncate};
	char *id = OutboxExecute("INSERT INTO outbox_internal.contract (name, aggregate_type, key, aggregate_id, required,"
							 " namespace, evaluate, on_invalid, on_truncate)"
							 " VALUES ($1, $2, $3::text[], $4::text[], $5::text[], $6, $7, $8, $9) RETURNING id",
							 lengthof(contract_args), contract_args);
	const char *version_args[] = {id, psprintf("%u", config->view)};
	const char *source_args[] = {id, psprintf("%u", config->root), OutboxNamesToArray(contract->key_columns)};

	(void) OutboxExecute("INSERT INTO outbox_internal.contract_version (contract_id, version, view, state)"
						 " VALUES ($1::int, 1, $2::oid, 'draft')",
						 lengthof(version_args), version_args);
	(void) OutboxExecute("INSERT INTO outbox_internal.source (contract_id, relation, role, key_columns)"
						 " VALUES ($1::int, $2::oid, 'root', $3::text[])",
						 lengthof(source_args), source_args);
}
