/*-------------------------------------------------------------------------
 *
 * evaluation_refuse.c
 *	  What code behind a contract must not do to a writer's session.
 *
 * No rollback takes back locks of the session, numbers of sequences, random seeds,
 * or actions that forbid PREPARE TRANSACTION. Cursors and prepared statements show
 * what the writer does, and open large objects are his. All of that is refused.
 * Rows that such code writes are part of the writer's transaction and end with it,
 * so they are allowed.
 *
 * Utility statements are refused when they are executed, identity columns when a
 * statement is about to be executed, functions when an expression with them is made
 * ready. A procedural language keeps such an expression for the rest of the
 * transaction, so a function that the application called before may slip through;
 * docs/security.md lists such cases.
 *
 * A command of ours, such as CREATE VIEW, runs code of the view's owner while it is
 * parsed. It also fires event triggers of the database, which may execute commands
 * and draw numbers for a log. Both are allowed then: in a security-restricted
 * operation the server itself refuses changes that would stay in the session.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "nodes/plannodes.h"
#include "parser/parsetree.h"
#include "tcop/utility.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "compat.h"
#include "contract/environment/environment_private.h"

static ProcessUtility_hook_type previous_utility = NULL;
static object_access_hook_type previous_access = NULL;
static ExecutorStart_hook_type previous_start = NULL;
static struct config_generic *timer = NULL; /* transaction_timeout, since 17 */
static GucIntCheckHook previous_check = NULL;

static void process_utility(PlannedStmt *statement, const char *text, bool read_only_tree, ProcessUtilityContext context,
							ParamListInfo params, QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion);
static void access_object(ObjectAccessType access, Oid class, Oid object, int part, void *arg);
static void start_executor(QueryDesc *query, int flags);
static void refuse_identity(const PlannedStmt *statement, const Plan *plan);
static void refuse_identity_of(Oid relation);
static bool draws_number(Node *node, void *context);
static bool check_timer(int *value, void **extra, GucSource source);
static bool is_taken_back(const Node *statement);
static bool is_refused(Oid function);

/* Installs hooks; called by OutboxEvaluationInit(). */
void
OutboxRefuseInit(void)
{
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	previous_access = object_access_hook;
	object_access_hook = access_object;
	previous_start = ExecutorStart_hook;
	ExecutorStart_hook = start_executor;
	timer = OutboxFindSetting("transaction_timeout");
	if (timer)
	{
		previous_check = *OutboxSettingCheckHook(timer);
		*OutboxSettingCheckHook(timer) = check_timer;
	}
}

/* A check hook: this setting acts at once. It starts or stops the timer that ends the writer's session. */
static bool
check_timer(int *value, void **extra, GucSource source)
{
	if (OutboxEvaluatesForeignCode() && *value != *(const int *) OutboxSettingVariable(timer))
	{
		GUC_check_errcode(ERRCODE_FEATURE_NOT_SUPPORTED);
		GUC_check_errmsg("transaction_timeout cannot be set while a contract is evaluated");
		GUC_check_errdetail("It would end the transactions of others.");
		return false;
	}
	return previous_check == NULL || previous_check(value, extra, source);
}

static void
start_executor(QueryDesc *query, int flags)
{
	const PlannedStmt *statement = query->plannedstmt;
	ListCell *lc;

	if (OutboxPlanWrites(statement) && OutboxEvaluatesForeignCode() && !OutboxRunsCommands())
	{
		refuse_identity(statement, statement->planTree);
		foreach (lc, statement->subplans) /* of WITH */
			refuse_identity(statement, lfirst(lc));
	}
	if (previous_start)
		previous_start(query, flags);
	else
		standard_ExecutorStart(query, flags);
}

/* Raises for a statement that would draw the number of an identity column, which calls no function. */
static void
refuse_identity(const PlannedStmt *statement, const Plan *plan)
{
	const ModifyTable *modify = (const ModifyTable *) plan;
	ListCell *lc;

	if (plan == NULL || !IsA(plan, ModifyTable) || modify->operation == CMD_DELETE)
		return;
	/* SET id = DEFAULT; for new rows the number may be drawn in more places than one */
	if (modify->operation == CMD_UPDATE && !draws_number((Node *) outerPlan(plan)->targetlist, NULL))
		return;
	foreach (lc, modify->resultRelations)
		refuse_identity_of(rt_fetch(lfirst_int(lc), statement->rtable)->relid);
}

static bool
draws_number(Node *node, void *context)
{
	if (node == NULL || IsA(node, NextValueExpr))
		return node != NULL;
	return expression_tree_walker(node, draws_number, context);
}

static void
refuse_identity_of(Oid relation)
{
	Relation rel = relation_open(relation, NoLock); /* the planner has locked it */

	for (int i = 0; i < RelationGetNumberOfAttributes(rel); i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), i);

		if (attribute->attidentity && !attribute->attisdropped)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("rows of \"%s\" cannot be written while a contract is evaluated", RelationGetRelationName(rel)),
					 errdetail("lastval() in the sessions of others would return the number of its identity column \"%s\".",
							   NameStr(attribute->attname)),
					 errhint("Compute the value from rows and arguments alone.")));
	}
	relation_close(rel, NoLock);
}

static void
process_utility(PlannedStmt *statement, const char *text, bool read_only_tree, ProcessUtilityContext context,
				ParamListInfo params, QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion)
{
	if (OutboxEvaluatesForeignCode() && !OutboxRunsCommands() && !is_taken_back(statement->utilityStmt))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s cannot be executed while a contract is evaluated", GetCommandTagName(CreateCommandTag(statement->utilityStmt))),
				 errdetail("A function behind the contract tried to. Such functions run in the transactions of others."),
				 errhint("Compute the value from rows and arguments alone.")));
	if (previous_utility)
		previous_utility(statement, text, read_only_tree, context, params, environment, dest, completion);
	else
		standard_ProcessUtility(statement, text, read_only_tree, context, params, environment, dest, completion);
}

/* May the utility statement be executed? Settings may be changed: the transaction's own cannot be set any more by then. */
static bool
is_taken_back(const Node *statement)
{
	return IsA(statement, VariableSetStmt) && ((const VariableSetStmt *) statement)->kind != VAR_SET_MULTI;
}

static void
access_object(ObjectAccessType access, Oid class, Oid object, int part, void *arg)
{
	bool called = access == OAT_FUNCTION_EXECUTE && class == ProcedureRelationId && OutboxEvaluatesForeignCode();

	if (called)
		OutboxRefuseFunction(object);
	if (previous_access)
		previous_access(access, class, object, part, arg);
	if (called)
		OutboxCheckDefiner(object);
}

/* Raises when a function that is about to be made ready is refused during an evaluation. */
void
OutboxRefuseFunction(Oid function)
{
	if (is_refused(function))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s() cannot be called while a contract is evaluated", get_func_name(function)),
				 errdetail("A function behind the contract tried to. Such functions run in the sessions of others."),
				 errhint("Compute the value from rows and arguments alone.")));
}

static bool
is_refused(Oid function)
{
	switch (function)
	{
		case F_NEXTVAL:
		case F_CURRVAL:
			return !OutboxRunsCommands();
		case F_LASTVAL:
		case F_SETVAL_REGCLASS_INT8:
		case F_SETVAL_REGCLASS_INT8_BOOL:
		case F_SETSEED:
		case F_PG_EXPORT_SNAPSHOT:
		/* these show what the session is doing */
		case F_PG_CURSOR:
		case F_CURSOR_TO_XML:
		case F_CURSOR_TO_XMLSCHEMA:
		case F_PG_PREPARED_STATEMENT:
		case F_PG_LISTENING_CHANNELS:
		/* open large objects of the session: rights were checked when they were opened, and they are numbered from 0 */
		case F_LO_OPEN:
		case F_LO_CLOSE:
		case F_LOREAD:
		case F_LOWRITE:
		case F_LO_LSEEK:
		case F_LO_LSEEK64:
		case F_LO_TELL:
		case F_LO_TELL64:
		case F_LO_TRUNCATE:
		case F_LO_TRUNCATE64:
			return true;
		case F_PG_NOTIFY: /* forbids PREPARE TRANSACTION; during COMMIT it is rolled back with everything else */
			return !XactReadOnly && !OutboxRunsCommands();
		default:
			/* advisory locks, which stand in two rows of the catalog */
			return (function >= F_PG_ADVISORY_LOCK_INT8 && function <= F_PG_ADVISORY_UNLOCK_ALL) ||
				(function >= F_PG_ADVISORY_XACT_LOCK_INT8 && function <= F_PG_TRY_ADVISORY_XACT_LOCK_SHARED_INT4_INT4);
	}
}
