/*-------------------------------------------------------------------------
 *
 * plan_check.h
 *	  Planning a contract's query for any size of its tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_PLAN_CHECK_H
#define OUTBOX_PLAN_CHECK_H

#include "nodes/plannodes.h"

/*
 * Plans the query as if all tables were large and every join had to go through
 * an index. `query` is used up.
 */
extern PlannedStmt *OutboxPlanByIndex(Query *query, const char *text);

/*
 * Raises unless every table is found by an index whose condition depends on
 * the keys or on a row found before. `query` is a copy of the one that was
 * planned; `subject` says whose it is ("the view \"x\"").
 */
extern void OutboxCheckPlan(const PlannedStmt *plan, Query *query, const char *subject);

#endif /* OUTBOX_PLAN_CHECK_H */
