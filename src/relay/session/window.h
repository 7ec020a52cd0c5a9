/*-------------------------------------------------------------------------
 *
 * window.h
 *	  Snapshots as values, the two ends of a window of new events.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_WINDOW_H
#define OUTBOX_WINDOW_H

/*
 * A pg_snapshot datum, whose layout PostgreSQL keeps to itself. Transaction
 * ids have 64 bits, xip is sorted and holds top-level transactions only.
 */
typedef struct OutboxSnapshot
{
	int32 vl_len_;
	uint32 nxip;
	uint64 xmin;
	uint64 xmax;
	uint64 xip[FLEXIBLE_ARRAY_MEMBER];
} OutboxSnapshot;

/* The active snapshot, in the current memory context. */
extern OutboxSnapshot *OutboxSnapshotActive(void);

/*
 * A new snapshot as another transaction would see it, in the current memory
 * context: ours has not ended, whatever its own snapshot says.  (No snapshot
 * lists its own transaction, and one that began later may have ended, which
 * moves xmax beyond ours.)
 */
extern OutboxSnapshot *OutboxSnapshotOfOthers(void);

/* Does the later one see every transaction as ended that the earlier one does? */
extern bool OutboxSnapshotCovers(const OutboxSnapshot *later, const OutboxSnapshot *earlier);

/* A copy in the current memory context; NULL for NULL. */
extern OutboxSnapshot *OutboxSnapshotCopy(const OutboxSnapshot *snapshot);
extern OutboxSnapshot *OutboxSnapshotFromDatum(Datum datum);

extern bool OutboxSnapshotListsRunning(const OutboxSnapshot *snapshot, uint64 xid);

/* Had the transaction ended, one way or the other, when the snapshot was taken? NULL saw nothing. */
static inline bool
OutboxSnapshotSees(const OutboxSnapshot *snapshot, uint64 xid)
{
	if (snapshot == NULL || xid >= snapshot->xmax)
		return false;
	if (xid < snapshot->xmin)
		return true;
	return !OutboxSnapshotListsRunning(snapshot, xid);
}

#endif /* OUTBOX_WINDOW_H */
