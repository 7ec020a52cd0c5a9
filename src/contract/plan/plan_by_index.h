/*-------------------------------------------------------------------------
 *
 * plan_by_index.h
 *	  Planning a contract's query so that an index leads to every row.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_PLAN_BY_INDEX_H
#define OUTBOX_PLAN_BY_INDEX_H

#include "nodes/params.h"
#include "nodes/plannodes.h"
#include "utils/plancache.h"

/*
 * Plans an analysed and rewritten query, which is kept as it is. Raises unless
 * every table is reached from the query's parameters through indexes: the
 * error names all tables that are not, and what would help. `subject` says
 * whose query it is ("the view \"x\"").
 */
extern PlannedStmt *OutboxPlanByIndex(const Query *query, const char *text, const char *subject);

/* The plan of a saved statement that OutboxPlanByIndex accepted, made in the same way; the caller releases it. */
extern CachedPlan *OutboxCachedPlanByIndex(CachedPlanSource *source, ParamListInfo params);

#endif /* OUTBOX_PLAN_BY_INDEX_H */
