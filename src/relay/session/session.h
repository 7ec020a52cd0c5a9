/*-------------------------------------------------------------------------
 *
 * session.h
 *	  The relay as a session of the server: signals, settings, transactions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_SESSION_H
#define OUTBOX_SESSION_H

#include "catalog/outbox_catalog.h"

/* Signal handlers; unblocks signals. Before the database is connected. */
extern void OutboxSessionSignals(void);

/* Settings that no ALTER ROLE, ALTER DATABASE or configuration file may change for a relay. */
extern void OutboxSessionPinSettings(void);

/* Has SIGTERM arrived? */
extern bool OutboxSessionStopRequested(void);

/*
 * While true, a stop request that has arrived no longer cancels what a
 * transaction waits for: the relay is recording its last position.
 */
extern void OutboxSessionStopping(bool yes);

/*
 * Around every use of tables; afterwards the memory context is the one before.
 * The active snapshot is set by those who read;
 * OutboxSessionBeginQuery adds SPI, as the extension's owner (raises when there
 * is no extension), and its end wakes the relay once more, because a lock wait
 * may have swallowed a wake-up; it is OutboxSessionBegin, OutboxSessionEnterQuery.
 */
extern void OutboxSessionBegin(void);

/*
 * The first thing in a transaction (OutboxSessionBegin does it): locks the
 * extension, if there is one, until the transaction ends. Raises
 * lock_not_available, which names the holder, when that takes too long.
 */
extern void OutboxSessionLockExtension(int wait_ms);
extern void OutboxSessionCommit(void);
extern void OutboxSessionAbort(void);
extern void OutboxSessionBeginQuery(OutboxOwnerScope *scope);
extern void OutboxSessionEnterQuery(OutboxOwnerScope *scope);
extern void OutboxSessionEndQuery(const OutboxOwnerScope *scope);

/* Around a wait of the server's own outside of a transaction: a stop request cancels it. */
extern void OutboxSessionBeginWait(void);
extern void OutboxSessionEndWait(void);

/* Waits until the latch is set or the time has passed; the latch is reset. */
extern void OutboxSessionWait(long timeout_ms);

#endif /* OUTBOX_SESSION_H */
