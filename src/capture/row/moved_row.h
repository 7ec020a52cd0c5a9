/*-------------------------------------------------------------------------
 *
 * moved_row.h
 *	  Rows that an UPDATE moves to another partition.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_MOVED_ROW_H
#define OUTBOX_MOVED_ROW_H

#include "commands/trigger.h"

/* Registers its callbacks; to be called after OutboxEventWriterInit. */
extern void OutboxMovedRowInit(void);

/* Is the deleted row one that moves? */
extern bool OutboxRowDeparts(const TriggerData *trigger);

/* Keeps it until its arrival. */
extern void OutboxMovedRowKeep(const TriggerData *trigger);

/*
 * To be called before anything else is made of a change: captures departures
 * of the same contract whose arrival cannot come any more. Returns, when the
 * change is an arrival, the row as it was, in the form of its new partition;
 * NULL otherwise. The slot is the caller's to drop.
 */
extern TupleTableSlot *OutboxMovedRowArrives(const TriggerData *trigger);

#endif /* OUTBOX_MOVED_ROW_H */
