/*-------------------------------------------------------------------------
 *
 * plan_check.h
 *	  Which tables does a plan scan?
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_PLAN_CHECK_H
#define OUTBOX_PLAN_CHECK_H

#include "nodes/plannodes.h"

/*
 * The tables that the plan reads in another way than through a bounded scan of
 * an index (index_use.h), one OID for each time it does; of a partition the
 * partitioned table. `trial_indexes` (of OutboxTrialIndex *) were there when
 * it was made.
 */
extern List *OutboxScannedTables(const PlannedStmt *plan, const List *trial_indexes);

/*
 * "t" (500), "u" (40): the partitioned tables of which the plan reads so many
 * partitions that a reading takes more locks than a session has, and how many.
 * NULL: there is none.
 */
extern char *OutboxManyPartitions(const PlannedStmt *plan);

#endif /* OUTBOX_PLAN_CHECK_H */
