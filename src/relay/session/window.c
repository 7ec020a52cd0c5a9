/*-------------------------------------------------------------------------
 *
 * window.c
 *	  Snapshots as values, the two ends of a window of new events.
 *
 * New events are the rows whose top-level transaction one snapshot sees as
 * ended and the one before did not. Asking "is it still running" at any other
 * moment (TransactionIdIsInProgress) or with 32-bit ids loses events: the
 * answer must be the snapshot's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "relay/session/session_private.h"

PG_FUNCTION_INFO_V1(outbox_snapshot_covers);

/* The active snapshot, in the current memory context. */
OutboxSnapshot *
OutboxSnapshotActive(void)
{
	return (OutboxSnapshot *) DatumGetPointer(DirectFunctionCall1(pg_current_snapshot, (Datum) 0));
}

/*
 * A new snapshot as another transaction would see it, in the current memory
 * context: ours has not ended, whatever its own snapshot says.  (No snapshot
 * lists its own transaction, and one that began later may have ended, which
 * moves xmax beyond ours.)
 */
OutboxSnapshot *
OutboxSnapshotOfOthers(void)
{
	uint64 own = U64FromFullTransactionId(GetTopFullTransactionId());
	OutboxSnapshot *seen;
	OutboxSnapshot *result;
	uint32 before = 0;

	PushActiveSnapshot(GetLatestSnapshot());
	seen = OutboxSnapshotActive();
	PopActiveSnapshot();
	if (!OutboxSnapshotSees(seen, own))
		return seen;

	while (before < seen->nxip && seen->xip[before] < own)
		before++;
	result = palloc(offsetof(OutboxSnapshot, xip) + sizeof(uint64) * (seen->nxip + 1));
	SET_VARSIZE(result, offsetof(OutboxSnapshot, xip) + sizeof(uint64) * (seen->nxip + 1));
	result->nxip = seen->nxip + 1;
	result->xmin = Min(seen->xmin, own);
	result->xmax = seen->xmax;
	memcpy(result->xip, seen->xip, sizeof(uint64) * before);
	result->xip[before] = own;
	memcpy(result->xip + before + 1, seen->xip + before, sizeof(uint64) * (seen->nxip - before));
	pfree(seen);
	return result;
}

/* Does the later one see every transaction as ended that the earlier one does? */
bool
OutboxSnapshotCovers(const OutboxSnapshot *later, const OutboxSnapshot *earlier)
{
	if (later->xmax < earlier->xmax)
		return false;
	for (uint32 i = 0; i < later->nxip; i++)
	{
		if (OutboxSnapshotSees(earlier, later->xip[i]))
			return false;
	}
	return true;
}

/* snapshot_covers(later pg_snapshot, earlier pg_snapshot) */
Datum
outbox_snapshot_covers(PG_FUNCTION_ARGS)
{
	const OutboxSnapshot *later = (OutboxSnapshot *) PG_GETARG_VARLENA_P(0);
	const OutboxSnapshot *earlier = (OutboxSnapshot *) PG_GETARG_VARLENA_P(1);

	PG_RETURN_BOOL(OutboxSnapshotCovers(later, earlier));
}

/* A copy in the current memory context; NULL for NULL. */
OutboxSnapshot *
OutboxSnapshotCopy(const OutboxSnapshot *snapshot)
{
	OutboxSnapshot *copy;

	if (snapshot == NULL)
		return NULL;
	copy = palloc(VARSIZE(snapshot));
	memcpy(copy, snapshot, VARSIZE(snapshot));
	return copy;
}

/* A column of a row, in the current memory context; NULL for NULL. */
OutboxSnapshot *
OutboxSnapshotOfRow(const OutboxRows *rows, uint64 row, int column)
{
	bool isnull;
	Datum value = OutboxRowDatum(rows, row, column, &isnull);

	return isnull ? NULL : (OutboxSnapshot *) PG_DETOAST_DATUM_COPY(value);
}

bool
OutboxSnapshotListsRunning(const OutboxSnapshot *snapshot, uint64 xid)
{
	uint32 low = 0;
	uint32 high = snapshot->nxip;

	while (low < high)
	{
		uint32 middle = low + (high - low) / 2;

		if (snapshot->xip[middle] == xid)
			return true;
		if (snapshot->xip[middle] < xid)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}
