/*-------------------------------------------------------------------------
 *
 * read_private.h
 *	  Shared by the files of relay/read/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_RELAY_READ_READ_PRIVATE_H
#define OUTBOX_RELAY_READ_READ_PRIVATE_H

#include "relay/read/read.h"

/* ----
 * arena.c: Memory for one chunk of messages: handed out in sequence, taken back whole, kept for the next chunk.
 * ---- */

extern void OutboxArenaInit(OutboxArena *arena, MemoryContext context);
extern void OutboxArenaReset(OutboxArena *arena);

/* ---- leaves.c: The partitions of outbox.event as the reader opens them. ---- */

extern bool OutboxLeavesLoad(OutboxLeaves *leaves, const OutboxSnapshot *passed);
extern bool OutboxLeavesComplete(const OutboxLeaves *leaves, const OutboxSnapshot *passed);
extern OutboxLeavesResult OutboxLeavesOpen(OutboxLeaves *leaves);
extern Relation OutboxLeavesOpenOne(OutboxLeaves *leaves, int index);
extern void OutboxLeavesClose(OutboxLeaves *leaves, bool aborted);
extern int OutboxLeavesFind(const OutboxLeaves *leaves, Oid relfilenumber);
extern int OutboxLeavesFindNumber(const OutboxLeaves *leaves, int number);

/* ---- ranges.c: The blocks in which the events of a window are, and what is known of each of them. ---- */

extern void OutboxRangesAdd(OutboxRanges *ranges, int leaf, BlockNumber first, BlockNumber last);
extern void OutboxRangesArrange(OutboxRanges *ranges);
extern void OutboxRangesSort(OutboxRanges *ranges);

/* ---- pending.c: Hints whose transactions have not ended yet. ---- */

extern void OutboxPendingAdd(OutboxPending *pending, const OutboxHint *hint);
extern bool OutboxPendingKnown(const OutboxPending *pending, const OutboxSnapshot *snapshot,
							   const OutboxLeaves *leaves);
extern void OutboxPendingTakeEnded(OutboxPending *pending, const OutboxSnapshot *snapshot,
								   const OutboxLeaves *leaves, OutboxRanges *ranges);
extern void OutboxPendingCompact(OutboxPending *pending);

/* ---- collect.c: One pass over a window: the events with the smallest sequence values. ---- */

extern void OutboxCollectStart(OutboxCollection *c);
extern bool OutboxCollectConcerns(OutboxCollection *c, const OutboxRange *range);
extern void OutboxCollectRange(OutboxCollection *c, const OutboxLeaf *leaf, OutboxRange *range, OutboxPending *pending);
extern void OutboxCollectFinish(OutboxCollection *c);

/* ---- reader_window.c: Opens a window of new events and makes passes over it. ---- */

extern const OutboxSnapshot *OutboxReaderPassed(const OutboxReader *reader);
extern void OutboxReaderOpenWindow(OutboxReader *reader, int64 seq_seen);
extern void OutboxReaderPass(OutboxReader *reader);

/* ---- tally.c: How many events of each leaf a sink has acknowledged. ---- */

extern void OutboxTallyToArrays(const OutboxTally *tally, Datum *leaves, Datum *uses, Datum *acked);
extern void OutboxTallyFromArrays(OutboxTally *tally, Datum leaves, Datum uses, Datum acked);

#endif /* OUTBOX_RELAY_READ_READ_PRIVATE_H */
