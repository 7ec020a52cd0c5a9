/*-------------------------------------------------------------------------
 *
 * plan.h
 *	  Is a query read through indexes?
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONTRACT_PLAN_PLAN_H
#define OUTBOX_CONTRACT_PLAN_PLAN_H

#include "nodes/params.h"
#include "nodes/pg_list.h"
#include "nodes/plannodes.h"
#include "utils/plancache.h"
#include "utils/rel.h"

/* ---- index_parts.c: Predicates and expressions of indexes whose functions may run. ---- */

extern bool OutboxIndexPredicate(Relation index, List **predicate);
extern bool OutboxIndexExpressions(Relation index, List **expressions);
extern bool OutboxIndexHasExpressions(Relation index);

/* ---- plan_by_index.c: Planning a contract's query so that an index leads to every row. ---- */

extern PlannedStmt *OutboxPlanByIndex(const Query *query, const char *text, const char *subject);
extern CachedPlan *OutboxCachedPlanByIndex(CachedPlanSource *source, ParamListInfo params, bool *planned);

/* ---- plan_check.c: Which tables does a plan scan? ---- */

extern char *OutboxManyPartitions(const PlannedStmt *plan);

/* ---- planner_world.c: What the planner is told about tables, indexes and costs. ---- */

/* An index that does not exist, to try whether it would help. */
typedef struct OutboxTrialIndex
{
	Oid relation;     /* with all its partitions */
	Node *expression; /* its column, over entry 1 */
	Oid collation;
	Oid opclass; /* of a btree */
} OutboxTrialIndex;

typedef struct OutboxPlannerWorld
{
	bool no_statistics;     /* as if no table had ever been analyzed */
	const char *join_limit; /* of from_collapse_limit and join_collapse_limit */
	List *trial_indexes;    /* of OutboxTrialIndex * */
} OutboxPlannerWorld;

extern Node *OutboxExpressionOfTable(Node *expression, Oid from, Oid to);

#endif /* OUTBOX_CONTRACT_PLAN_PLAN_H */
