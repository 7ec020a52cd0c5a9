/*-------------------------------------------------------------------------
 *
 * planner_world.h
 *	  What the planner is told about tables, indexes and costs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_PLANNER_WORLD_H
#define OUTBOX_PLANNER_WORLD_H

#include "nodes/plannodes.h"

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

/* Plans the query, which is used up, in this world: no setting of the session has an influence. */
extern PlannedStmt *OutboxPlanInWorld(Query *query, const char *text, int cursor_options, const OutboxPlannerWorld *world);

/* A plan's number of a trial index -> which one; NULL for an index that exists. */
extern const OutboxTrialIndex *OutboxTrialIndexOf(const List *trial_indexes, Oid index);

/* An expression over entry 1 for another table with columns of the same names; a copy. */
extern Node *OutboxExpressionOfTable(Node *expression, Oid from, Oid to);

#endif /* OUTBOX_PLANNER_WORLD_H */
