/*-------------------------------------------------------------------------
 *
 * tally.h
 *	  How many events of each leaf a sink has acknowledged.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_TALLY_H
#define OUTBOX_TALLY_H

#include "relay/read/leaves.h"

typedef struct OutboxLeafCount
{
	int16 leaf;
	uint16 use; /* OUTBOX_LEAF_USE of its leaf_generation */
	int64 acked;
} OutboxLeafCount;

/* Recorded with the position, in the same transaction: so it counts each event once, whatever is repeated. */
typedef struct OutboxTally
{
	MemoryContext context; /* of the counts */
	OutboxLeafCount *counts;
	int n;
	int capacity;
	int latest; /* where the last event was counted; events of a leaf come in runs */
} OutboxTally;

extern void OutboxTallyAdd(OutboxTally *tally, int16 leaf, uint16 use, int64 events);

/* Forgets leaves that nobody asks for any more. */
extern void OutboxTallyForgetSettled(OutboxTally *tally, const OutboxLeaves *leaves);

extern void OutboxTallyCopy(OutboxTally *to, const OutboxTally *from, MemoryContext context);

/* As the columns leaves, leaf_uses and leaf_acked of outbox_internal.relay_progress; allocated in the current context. */
extern void OutboxTallyToArrays(const OutboxTally *tally, Datum *leaves, Datum *uses, Datum *acked);
extern void OutboxTallyFromArrays(OutboxTally *tally, Datum leaves, Datum uses, Datum acked);

/* Counts one event. */
static inline void
OutboxTallyCount(OutboxTally *tally, int16 leaf, uint16 use)
{
	OutboxLeafCount *latest = tally->n > 0 ? &tally->counts[tally->latest] : NULL;

	if (likely(latest != NULL && latest->leaf == leaf && latest->use == use))
		latest->acked++;
	else
		OutboxTallyAdd(tally, leaf, use, 1);
}

#endif /* OUTBOX_TALLY_H */
