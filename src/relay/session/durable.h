/*-------------------------------------------------------------------------
 *
 * durable.h
 *	  Nothing leaves before it would survive a crash.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_DURABLE_H
#define OUTBOX_DURABLE_H

#include "access/xlogdefs.h"

/*
 * Where the commit record of an ended transaction is at the latest;
 * InvalidXLogRecPtr when it is known to be on disk. Needs a transaction.
 */
extern XLogRecPtr OutboxCommitRecord(uint64 xid);

/*
 * Returns when the log is on disk up to there and, with synchronous standbys,
 * on them. Outside of a transaction. When a stop is requested, the wait for a
 * standby is given up: nothing may leave then. Does not return when the
 * postmaster is dead.
 */
extern void OutboxMakeDurable(XLogRecPtr upto);

#endif /* OUTBOX_DURABLE_H */
