/*-------------------------------------------------------------------------
 *
 * snapshot.h
 *	  A snapshot where the server has none.
 *
 * While a transaction commits, no snapshot is active any more. Functions want
 * one, and so does whoever stores a value out of line or reads one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_SNAPSHOT_H
#define OUTBOX_SNAPSHOT_H

#include "utils/snapmgr.h"

/* True: one was pushed, which the caller pops again. An error pops it by itself. */
static inline bool
OutboxEnsureSnapshot(void)
{
	if (ActiveSnapshotSet())
		return false;
	PushActiveSnapshot(GetTransactionSnapshot());
	return true;
}

#endif /* OUTBOX_SNAPSHOT_H */
