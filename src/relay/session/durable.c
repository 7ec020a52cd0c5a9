/*-------------------------------------------------------------------------
 *
 * durable.c
 *	  Nothing leaves before it would survive a crash.
 *
 * With synchronous_commit = off a row is visible before its commit record is
 * on disk; published then and lost in a crash, it would be an event of a
 * transaction that never was. The same holds for a standby that is promoted,
 * when commits must have reached it: a session that gave up waiting for the
 * standby has its rows visible all the same.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "replication/syncrep.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"

#include "compat.h"
#include "relay/session/session_private.h"

/*
 * Where the commit record of an ended transaction is at the latest;
 * InvalidXLogRecPtr when it is known to be on disk. Needs a transaction.
 *
 * The commit log forgets old transactions: asking for one that is truncated
 * away is an error that would stop the relay for ever. What is that old was
 * flushed long ago.
 */
XLogRecPtr
OutboxCommitRecord(uint64 xid)
{
	uint64 next = U64FromFullTransactionId(ReadNextFullTransactionId());
	XLogRecPtr result = InvalidXLogRecPtr;
	uint64 oldest;

	LWLockAcquire(XactTruncationLock, LW_SHARED);
	oldest = next - (uint32) ((uint32) next - OutboxOldestClogXid());
	if (xid >= oldest && xid < next)
		result = TransactionIdGetCommitLSN(XidFromFullTransactionId(FullTransactionIdFromU64(xid)));
	LWLockRelease(XactTruncationLock);
	return result;
}

/*
 * Returns when the log is on disk up to there and, with synchronous standbys,
 * on them. Outside of a transaction. When a stop is requested, the wait for a
 * standby is given up: nothing may leave then. Does not return when the
 * postmaster is dead.
 */
void
OutboxMakeDurable(XLogRecPtr upto)
{
	if (!XLogRecPtrIsInvalid(upto))
		XLogFlush(upto);
	if (SyncRepStandbyNames == NULL || SyncRepStandbyNames[0] == '\0')
		return;

	/* A commit that was flushed before it became visible left no position behind: ask for all that is on disk. */
	OutboxSessionBeginWait();
	HOLD_INTERRUPTS();
	SyncRepWaitForLSN(GetFlushRecPtr(NULL), true);
	RESUME_INTERRUPTS();
	/* The death of the postmaster ends that wait, too, with this flag alone; every other wait of ours ends the process. */
	if (ProcDiePending)
		proc_exit(1);
	OutboxSessionEndWait();
}
