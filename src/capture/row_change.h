/*-------------------------------------------------------------------------
 *
 * row_change.h
 *	  A changed row of a source, as a trigger saw it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_ROW_CHANGE_H
#define OUTBOX_ROW_CHANGE_H

#include "executor/tuptable.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"

typedef struct OutboxRowChange
{
	const Trigger *trigger; /* what finds the contract: oid and name */
	Relation rel;           /* the source, or a partition of it */
	TupleTableSlot *before; /* NULL: none, as the next */
	TupleTableSlot *after;
	bool superseded; /* this transaction has updated the row after again */
	bool departs;    /* to another partition: nothing is made of it yet */
} OutboxRowChange;

/*
 * Captures the change. False: its contract captures nothing at present. Raises
 * only for what is not ours to swallow, or with on_invalid = abort.
 */
extern bool OutboxCaptureRowChange(const OutboxRowChange *change);

#endif /* OUTBOX_ROW_CHANGE_H */
