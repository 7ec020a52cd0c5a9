/*-------------------------------------------------------------------------
 *
 * redrive_history.h
 *	  What consumers know of a key: the newest event that is in the outbox.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_REDRIVE_HISTORY_H
#define OUTBOX_REDRIVE_HISTORY_H

#include "access/htup.h"
#include "nodes/bitmapset.h"

#include "contract/compile/compile.h"

typedef struct OutboxKeyHistory
{
	OutboxCompiledContract *contract;
	HeapTuple row;        /* a row of the contract's view that has the key; NULL: the key is not known */
	const char *snapshot; /* a pg_snapshot: only events that it does not see; NULL: all */
	HeapTuple before;     /* the result: the row that the event tells of; NULL: that it is gone */
	Bitmapset *told;      /* then, numbers of event types that told so, its own at least: no further events are read for that */
	bool was_there;       /* of events before these, one tells of a row */
} OutboxKeyHistory;

/*
 * Finds the newest committed event of the key, in the order of the key's events,
 * and turns its payload into a row of the view, in CurrentMemoryContext. False:
 * there is none, or its payload does not fit the view any more. Uses the contract's
 * slots. Raises as a query does; and when the key was not looked for before, which
 * OutboxTakeMissedKey() then has.
 */
extern bool OutboxFindNewestEvent(OutboxKeyHistory *history);

#endif /* OUTBOX_REDRIVE_HISTORY_H */
