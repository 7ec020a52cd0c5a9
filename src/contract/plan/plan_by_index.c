/*-------------------------------------------------------------------------
 *
 * plan_by_index.c
 *	  Planning a contract's query so that an index leads to every row.
 *
 * A query is accepted when it can be planned in this way, whatever its tables
 * contain. The accepted plan is the one that runs. It is first made with the
 * tables' statistics, which help to choose among several indexes. If that plan
 * scans a table, the query is planned again without statistics, and with other
 * limits of the search for an order of joins.
 *
 * An index that is younger than the oldest snapshot in use may be forbidden to
 * this transaction (indcheckxmin). It counts nevertheless: until that snapshot is
 * gone, the query runs slowly without it, and PostgreSQL marks the plan as
 * transient.
 *
 * When a query is refused, it is planned with indexes that do not exist, one after
 * the other. The error's hint names those that helped.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "nodes/pathnodes.h"
#include "optimizer/planner.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "compat.h"
#include "contract/plan/plan_private.h"

static const OutboxPlannerWorld worlds[] = {
	{.join_limit = "8"},
	{.join_limit = "8", .no_statistics = true},
	{.join_limit = "12", .no_statistics = true},
	{.join_limit = "1", .no_statistics = true},
};

static planner_hook_type next_planner = NULL;

static PlannedStmt *plan_best(const Query *query, const char *text, int cursor_options, List **scanned);
static PlannedStmt *plan_with_young_indexes(const Query *query, const char *text, const PlannedStmt *plan);
static List *open_young_indexes(const List *relations);
static PlannedStmt *plan_saved(OUTBOX_PLANNER_HOOK_ARGS);

/*
 * Plans an analysed and rewritten query, which is not changed. Raises unless every
 * table is reached from the query's parameters through indexes. The error names
 * the tables that are not, and the remedy. `subject` says whose query it is ("the
 * view \"x\"").
 */
PlannedStmt *
OutboxPlanByIndex(const Query *query, const char *text, const char *subject)
{
	List *scanned;
	PlannedStmt *plan = plan_best(query, text, 0, &scanned);

	if (scanned == NIL)
		return plan;
	if (plan->transientPlan && OutboxScannedTables(plan_with_young_indexes(query, text, plan), NIL) == NIL)
		return plan;
	OutboxRefuseScans(query, text, subject, scanned);
}

/*
 * The plan of a saved statement that OutboxPlanByIndex() accepted, made in the same way. The caller releases it.
 * *planned: the plan was made now, and planning left its locks.
 */
CachedPlan *
OutboxCachedPlanByIndex(CachedPlanSource *source, ParamListInfo params, bool *planned)
{
	planner_hook_type caller = planner_hook;
	CachedPlan *plan;

	next_planner = caller;
	planner_hook = plan_saved;
	PG_TRY();
	{
		plan = GetCachedPlan(source, params, CurrentResourceOwner, NULL);
		*planned = planner_hook != plan_saved;
	}
	PG_FINALLY();
	{
		planner_hook = caller;
	}
	PG_END_TRY();
	return plan;
}

/* Plans in the first world in which no table is scanned, or else in the last one. */
static PlannedStmt *
plan_best(const Query *query, const char *text, int cursor_options, List **scanned)
{
	PlannedStmt *plan = NULL;

	*scanned = NIL;
	for (int i = 0; i < lengthof(worlds); i++)
	{
		plan = OutboxPlanInWorld(copyObject(unconstify(Query *, query)), text, cursor_options, &worlds[i]);
		*scanned = OutboxScannedTables(plan, NIL);
		if (*scanned == NIL)
			break;
	}
	return plan;
}

/* Plans with young indexes, as a later transaction will. The plan must not be run. */
static PlannedStmt *
plan_with_young_indexes(const Query *query, const char *text, const PlannedStmt *plan)
{
	List *volatile young = open_young_indexes(plan->relationOids);
	PlannedStmt *volatile result = NULL;
	ListCell *lc;

	foreach (lc, young)
		((Relation) lfirst(lc))->rd_index->indcheckxmin = false;
	PG_TRY();
	{
		List *scanned;

		result = plan_best(query, text, 0, &scanned);
	}
	PG_FINALLY();
	{
		foreach (lc, young)
			((Relation) lfirst(lc))->rd_index->indcheckxmin = true;
	}
	PG_END_TRY();
	foreach (lc, young)
		index_close(lfirst(lc), AccessShareLock);
	return result;
}

/* The young indexes of the plan's tables, which the planner has locked. They stay open, so that their relcache entries stay. */
static List *
open_young_indexes(const List *relations)
{
	List *young = NIL;
	ListCell *lc;

	foreach (lc, relations)
	{
		Relation rel = relation_open(lfirst_oid(lc), AccessShareLock);
		ListCell *other;

		foreach (other, RelationGetIndexList(rel))
		{
			Relation index = index_open(lfirst_oid(other), AccessShareLock);

			if (index->rd_index->indcheckxmin)
				young = lappend(young, index);
			else
				index_close(index, AccessShareLock);
		}
		relation_close(rel, AccessShareLock);
	}
	return young;
}

/* A planner hook: the plan cache makes the plan of a saved statement. */
static PlannedStmt *
plan_saved(OUTBOX_PLANNER_HOOK_ARGS)
{
	List *scanned;

	/* the hook is not for statements that functions plan meanwhile */
	planner_hook = next_planner;
	return plan_best(query, text, cursor_options, &scanned);
}
