/*-------------------------------------------------------------------------
 *
 * row_change.h
 *	  A changed row of a source, as a trigger saw it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_ROW_CHANGE_H
#define OUTBOX_ROW_CHANGE_H

#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"

typedef struct OutboxRowChange
{
	const Trigger *trigger; /* what finds the contract: oid and name */
	Relation rel;           /* the source, or a partition of it */
	TupleTableSlot *before; /* NULL: none, as the next */
	TupleTableSlot *after;
	bool departs; /* to another partition: nothing is made of it yet */

	/* The next three are read from it for a contract that is evaluated per row; NULL: they are there. */
	const TriggerData *unread;
	CommandId command;       /* that made the change; InvalidCommandId: not known */
	CommandId superseded_by; /* that changed the row after again, of this transaction; InvalidCommandId: none */
	int trigger_depth;       /* 1: fired by a statement that no trigger runs; 0: captured later than its triggers */
} OutboxRowChange;

/* How many triggers are running, each inside of the one before. */
extern int OutboxTriggerDepth(void);

/*
 * Captures the change. False: its contract captures nothing at present. Raises
 * only for what is not ours to swallow, or with on_invalid = abort.
 */
extern bool OutboxCaptureRowChange(OutboxRowChange *change);

#endif /* OUTBOX_ROW_CHANGE_H */
