/*-------------------------------------------------------------------------
 *
 * uninstall_sql.c
 *	  outbox.uninstall(): leaving without a trace.
 *
 * DROP EXTENSION fails while an object of others needs one of ours.
 * outbox_internal.uninstall_plan() finds such objects and says what is done about
 * each. This function shows the plan. If the caller asks for it, it also carries
 * the plan out, in one transaction and with the caller's rights.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "catalog/outbox_catalog.h"
#include "contract/environment/environment.h"
#include "contract/view/view.h"

PG_FUNCTION_INFO_V1(outbox_uninstall);

/* Columns of outbox_internal.uninstall_plan(). */
enum
{
	PLAN_STEP,
	PLAN_ACTION,
	PLAN_OBJECT,
	PLAN_ROLE,
	PLAN_COMMAND,
	PLAN_RESTORE
};

static void refuse_obstacles(const List *plan);
static void lock_relations(void);
static void execute_plan(const List *plan);
static void replace_view(char **row);
static void return_plan(FunctionCallInfo fcinfo, const List *plan);

/* uninstall(execute): returns the plan, and carries it out if `execute` is true. */
Datum
outbox_uninstall(PG_FUNCTION_ARGS)
{
	OutboxEvaluation scope;
	List *plan;

	OutboxRequireVersion();
	/* with the settings under which the commands will be read */
	OutboxCommandScopeBegin(&scope, GetUserId());
	plan = OutboxExecuteRows("SELECT step, action, object, role, command, restore FROM outbox_internal.uninstall_plan() ORDER BY step",
							 0, NULL);
	OutboxCommandScopeEnd(&scope);
	if (!PG_ARGISNULL(0) && PG_GETARG_BOOL(0))
	{
		refuse_obstacles(plan);
		lock_relations();
		execute_plan(plan);
	}
	return_plan(fcinfo, plan);
	return (Datum) 0;
}

static void
refuse_obstacles(const List *plan)
{
	ListCell *lc;

	foreach (lc, plan)
	{
		char **row = lfirst(lc);

		if (strcmp(row[PLAN_ACTION], "obstacle") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
					 errmsg("%s needs the extension outbox_ext", row[PLAN_OBJECT]),
					 errdetail("Only views are replaced or dropped; nothing was done."),
					 errhint("Drop or change it first. SELECT object FROM outbox.uninstall() WHERE action = 'obstacle' names all of them; for a detached view: outbox.reattach().")));
	}
}

/* Locks all relations that the plan touches together: it must not wait for one table while it holds the lock on another. */
static void
lock_relations(void)
{
	List *rows = OutboxExecuteRows("SELECT DISTINCT s.relation::oid FROM outbox_internal.source s JOIN pg_class c ON c.oid = s.relation"
								   " UNION SELECT to_regclass(p.object)::oid FROM outbox_internal.uninstall_plan() p"
								   " WHERE p.action IN ('replace view', 'drop view') ORDER BY 1",
								   0, NULL);
	List *relations = NIL;
	ListCell *lc;

	foreach (lc, rows)
	{
		char **row = lfirst(lc);

		relations = lappend_oid(relations, atooid(row[0]));
	}
	if (relations)
		OutboxLockInAttempts(relations, AccessExclusiveLock);
}

/* Carries the plan out. The commands of a view that is created again follow each other. */
static void
execute_plan(const List *plan)
{
	List *views = NIL;
	ListCell *lc;

	foreach (lc, plan)
	{
		char **row = lfirst(lc);

		if (strcmp(row[PLAN_ACTION], "create view") == 0)
			views = OutboxStoredViewAdd(views, row[PLAN_OBJECT], row[PLAN_ROLE], row[PLAN_ROLE], row[PLAN_COMMAND]);
		else if (strcmp(row[PLAN_ACTION], "replace view") == 0)
			replace_view(row);
		else if (row[PLAN_COMMAND])
			OutboxRunAsCaller(row[PLAN_COMMAND]);
	}
	foreach (lc, views)
		OutboxCreateStoredView(lfirst(lc));
}

/* Replaces the view's SELECT. The view keeps everything else. */
static void
replace_view(char **row)
{
	OutboxStoredView *view = linitial(OutboxStoredViewAdd(NIL, row[PLAN_OBJECT], row[PLAN_ROLE], row[PLAN_ROLE], row[PLAN_COMMAND]));

	view->replaces = true;
	OutboxCheckViewOwner(view->name, view->owner);
	OutboxCreateStoredView(view);
}

static void
return_plan(FunctionCallInfo fcinfo, const List *plan)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	static const int shown[] = {PLAN_ACTION, PLAN_OBJECT, PLAN_COMMAND, PLAN_RESTORE};
	ListCell *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach (lc, plan)
	{
		char **row = lfirst(lc);
		Datum values[1 + lengthof(shown)] = {Int64GetDatum(pg_strtoint64(row[PLAN_STEP]))};
		bool nulls[1 + lengthof(shown)] = {0};

		for (int i = 0; i < lengthof(shown); i++)
		{
			nulls[i + 1] = row[shown[i]] == NULL;
			if (!nulls[i + 1])
				values[i + 1] = CStringGetTextDatum(row[shown[i]]);
		}
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}
