/*-------------------------------------------------------------------------
 *
 * view_check.c
 *	  May this view be a contract?
 *
 * Capture relies on several properties of a view. Each is checked in a step of its
 * own, so that one error names all faults. A fault that only follows from another
 * one is left out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "avro/outbox_avro.h"
#include "catalog/outbox_catalog.h"
#include "contract/compile/compile.h"
#include "contract/environment/environment.h"
#include "contract/keys/keys.h"
#include "contract/plan/plan.h"
#include "contract/prove/prove_private.h"
#include "contract/reach/reach.h"
#include "contract/view/view.h"

typedef struct ViewCheck
{
	OutboxContractConfig *config;
	OutboxViewExpansion *expansion;
	OutboxFaultList faults;
	bool key_exists;
	char *partitions; /* tables whose partitions are many and are all read; NULL: none */
	List *key_columns;
	int ncolumns;
	int column; /* the one that a step checks, from 0 */
} ViewCheck;

static void mixture_step(void *arg);
static void key_names_step(void *arg);
static void aggregate_names_step(void *arg);
static void required_names_step(void *arg);
static List *other_names(const List *names, const List *key, const List *aggregate_id);
static void check_mixture(const OutboxContractConfig *config);
static void check_at_commit(ViewCheck *check);
static bool scans_root_only(const ViewCheck *check, const ErrorData *error);
static void commit_key_step(void *arg);
static void commit_query_step(void *arg);
static void check_per_row(ViewCheck *check);
static void root_step(void *arg);
static void access_step(void *arg);
static void row_key_step(void *arg);
static char *column_of(const char *name);
static void check_columns(const OutboxContractConfig *config, const char *argument, const List *names, bool nested);
static void expression_step(void *arg);
static void check_types(ViewCheck *check);
static void type_step(void *arg);
static void schema_step(void *arg);

/*
 * Checks everything that capture relies on, and raises one error with all faults.
 * *evaluate is 'row' or 'commit'; when it is NULL, this decides, and sets
 * config->at_commit. *key_columns (of char *) are the source's columns that prove
 * the key. Locks the view until the end of the transaction, and may wait for it.
 */
void
OutboxCheckContractView(OutboxContractConfig *config, const char **evaluate, List **key_columns)
{
	ViewCheck check = {.config = config};
	OutboxEvaluation evaluation;

	/* create_contract() may wait, unlike capture */
	LockRelationOid(config->view, AccessShareLock);
	OutboxEvaluationBegin(&evaluation, OutboxRelationOwner(config->view), OUTBOX_COMPILING);
	check.expansion = OutboxExpandView(config->view);
	if (*evaluate == NULL)
		*evaluate = check.expansion->blocker ? "commit" : "row";
	config->at_commit = strcmp(*evaluate, "commit") == 0;
	(void) OutboxTryCheck(&check.faults, mixture_step, &check);
	check.key_exists = OutboxTryCheck(&check.faults, key_names_step, &check);
	(void) OutboxTryCheck(&check.faults, aggregate_names_step, &check);
	(void) OutboxTryCheck(&check.faults, required_names_step, &check);
	if (config->at_commit)
		check_at_commit(&check);
	else
		check_per_row(&check);
	check_types(&check);
	OutboxEvaluationEnd(&evaluation);
	OutboxRaiseFaults(&check.faults, psprintf("the view \"%s\"", get_rel_name(config->view)));
	*key_columns = check.key_columns;
	if (check.partitions)
		ereport(NOTICE,
				(errmsg("contract \"%s\" reads all partitions of %s for every key", config->name, check.partitions),
				 errdetail("The key does not prune them: each reading opens and locks all of them. Only few commits can do that at a time. The others wait, and their keys become late after outbox.flush_timeout."),
				 errhint("Commits are faster with fewer partitions, or with a table that is not partitioned.")));
}

/* Raises when `required` names what the view does not have, or what cannot be required. */
void
OutboxCheckRequiredNames(const OutboxContractConfig *config)
{
	OutboxEventTypeConfig type = {.name = config->name};

	check_columns(config, "required", other_names(config->required, config->key, config->aggregate_id), true);
	(void) OutboxDraftSchema(config, &type);
}

static void
mixture_step(void *arg)
{
	check_mixture(((ViewCheck *) arg)->config);
}

static void
key_names_step(void *arg)
{
	const OutboxContractConfig *config = ((ViewCheck *) arg)->config;

	check_columns(config, "key", config->key, false);
}

static void
aggregate_names_step(void *arg)
{
	const OutboxContractConfig *config = ((ViewCheck *) arg)->config;

	check_columns(config, "aggregate_id", other_names(config->aggregate_id, config->key, NIL), false);
}

static void
required_names_step(void *arg)
{
	const OutboxContractConfig *config = ((ViewCheck *) arg)->config;

	/* `required` contains the columns of key and aggregate_id, which were checked */
	check_columns(config, "required", other_names(config->required, config->key, config->aggregate_id), true);
}

/* The names that are in neither of the other lists. */
static List *
other_names(const List *names, const List *key, const List *aggregate_id)
{
	List *others = NIL;
	ListCell *lc;

	if (names == key)
		return NIL;
	foreach (lc, names)
	{
		if (!OutboxNameListMember(key, lfirst(lc)) && !OutboxNameListMember(aggregate_id, lfirst(lc)))
			others = lappend(others, lfirst(lc));
	}
	return others;
}

/*
 * Raises when another contract with the same aggregate type is evaluated in the other way: an order by row locks and
 * one by commits do not make one order per aggregate.
 */
static void
check_mixture(const OutboxContractConfig *config)
{
	const char *args[] = {config->aggregate_type, config->at_commit ? "commit" : "row"};
	const char *other = OutboxExecute("SELECT name FROM outbox_internal.contract WHERE aggregate_type = $1 AND evaluate <> $2"
									  " ORDER BY id LIMIT 1",
									  lengthof(args), args);

	if (other)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("contract \"%s\" would be evaluated in another way than contract \"%s\"",
						config->name, other),
				 errdetail("Both have the aggregate type \"%s\", and the order of its events is kept either by row or by commit.",
						   config->aggregate_type),
				 errhint("Create both with evaluate => 'commit', or give one another aggregate_type.")));
}

static void
check_at_commit(ViewCheck *check)
{
	bool proven = check->key_exists && OutboxTryCheck(&check->faults, commit_key_step, check);

	if (!check->key_exists || OutboxTryCheck(&check->faults, commit_query_step, check) || proven)
		return;
	/* without an index on the key the root is scanned, which is the same fault */
	if (scans_root_only(check, llast(check->faults.errors)))
		check->faults.errors = list_delete_last(check->faults.errors);
}

static bool
scans_root_only(const ViewCheck *check, const ErrorData *error)
{
	return error->table_name && strcmp(error->table_name, get_rel_name(check->config->root)) == 0;
}

static void
commit_key_step(void *arg)
{
	OutboxProveCommitKey(((ViewCheck *) arg)->config);
}

/* Finds other faults of the query although the key is not unique: here it counts as proven. */
static void
commit_query_step(void *arg)
{
	ViewCheck *check = arg;
	OutboxContractConfig config = *check->config;
	OutboxCommitQuery *query;

	config.root_key = list_make1(linitial(config.key));
	query = OutboxPlanCommitQuery(&config, NULL);
	OutboxRefuseLossyPlan(query->plan, config.view);
	check->partitions = OutboxManyPartitions(query->plan);
	for (int i = 0; i < query->nlookup; i++)
		check->key_columns = lappend(check->key_columns, NameStr(TupleDescAttr(query->lookup_desc, i)->attname));
}

static void
check_per_row(ViewCheck *check)
{
	if (!OutboxTryCheck(&check->faults, root_step, check))
		return;
	(void) OutboxTryCheck(&check->faults, access_step, check);
	for (check->column = -1; check->column < list_length(check->expansion->columns); check->column++)
		(void) OutboxTryCheck(&check->faults, expression_step, check);
	if (check->key_exists)
		(void) OutboxTryCheck(&check->faults, row_key_step, check);
}

static void
root_step(void *arg)
{
	const OutboxContractConfig *config = ((ViewCheck *) arg)->config;
	const OutboxViewExpansion *expansion = ((ViewCheck *) arg)->expansion;

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
}

static void
access_step(void *arg)
{
	OutboxCheckViewAccess(((ViewCheck *) arg)->expansion->access, ((ViewCheck *) arg)->expansion->view);
}

static void
row_key_step(void *arg)
{
	ViewCheck *check = arg;

	check->key_columns = OutboxProveKey(check->expansion, check->config->key);
}

/* The column in a name that may name a field of a nested type: "items" of "items.sku". */
static char *
column_of(const char *name)
{
	const char *dot = strchr(name, '.');

	return dot ? pnstrdup(name, dot - name) : pstrdup(name);
}

/*
 * Raises unless every name is a column of the view and none stands twice. With
 * `nested`, a name may be that of a field in a column; fields are checked with the
 * types.
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

/*
 * Checks the expression of a column (-1: the WHERE clause): no volatile function,
 * no cast that loses digits, no SQL function that would run as a query.
 */
static void
expression_step(void *arg)
{
	ViewCheck *check = arg;
	Oid view = check->config->view;
	TargetEntry *entry = check->column < 0 ? NULL : list_nth_node(TargetEntry, check->expansion->columns, check->column);
	Node *expression = copyObject(entry ? (Node *) entry->expr : check->expansion->qual);
	OutboxRunner runner;
	Oid function;

	if (expression == NULL)
		return;
	OutboxRefuseVolatile(expression, entry ? psprintf("column \"%s\" of view \"%s\"", entry->resname, get_rel_name(view)) : psprintf("the WHERE clause of view \"%s\"", get_rel_name(view)));
	OutboxRunnerOfView(&runner, view, psprintf("contract \"%s\"", check->config->name));
	OutboxCheckExpressionTrust(&runner, expression);
	expression = (Node *) expression_planner((Expr *) expression);
	if (entry)
		OutboxRefuseLossyColumn(expression, view, entry->resname);
	function = OutboxFindSqlFunction(expression);
	if (OidIsValid(function))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the SQL function \"%s\" in view \"%s\" cannot be inlined", get_func_name(function), get_rel_name(view)),
				 errdetail("It would run a query for every changed row."),
				 errhint("%s", OutboxInlineHint(function))));
}

/* Checks that the columns have Avro types, each by itself and all of them in one schema. */
static void
check_types(ViewCheck *check)
{
	bool fine = true;

	(void) OutboxContractColumns(check->config, NULL, &check->ncolumns);
	for (check->column = 0; check->column < check->ncolumns; check->column++)
		fine &= OutboxTryCheck(&check->faults, type_step, check);
	if (fine)
		(void) OutboxTryCheck(&check->faults, schema_step, check);
}

static void
type_step(void *arg)
{
	const ViewCheck *check = arg;
	const OutboxContractConfig *config = check->config;
	int ncolumns;
	OutboxAvroColumn *columns = OutboxContractColumns(config, NULL, &ncolumns);

	(void) OutboxAvroBuildSchema(get_rel_name(config->view), config->name_space, config->name, NULL, &columns[check->column], 1);
}

static void
schema_step(void *arg)
{
	const OutboxContractConfig *config = ((ViewCheck *) arg)->config;
	OutboxEventTypeConfig type = {.name = config->name};

	(void) OutboxDraftSchema(config, &type);
}
