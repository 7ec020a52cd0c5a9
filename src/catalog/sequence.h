/*-------------------------------------------------------------------------
 *
 * sequence.h
 *	  Numbers from our sequences, without the session noticing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_SEQUENCE_H
#define OUTBOX_SEQUENCE_H

#include "storage/buf.h"

#include "compat.h"

/* A sequence as this backend knows it; starts zeroed, lives in static memory. */
typedef struct OutboxSequence
{
	Oid relid;
	OutboxRelLocator locator;
	bool needs_wal;
	Buffer buffer; /* where its page was last; only a guess */
} OutboxSequence;

/*
 * Finds the sequence's storage; with lock, also locks it until the end of the
 * transaction and assigns its xid: once before the first number.  To be repeated
 * when the transaction may have altered the sequence itself.
 */
extern void OutboxSequenceBind(OutboxSequence *sequence, Oid relid, bool lock);

/* The number before the one that comes next; needs no right on the sequence. */
extern int64 OutboxSequenceLast(Oid relid);

/* The next number; the sequence is bound and locked. */
extern int64 OutboxSequenceNext(OutboxSequence *sequence);

#endif /* OUTBOX_SEQUENCE_H */
