/*-------------------------------------------------------------------------
 *
 * lock_attempts.h
 *	  Strong locks on tables that an application is writing to.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_LOCK_ATTEMPTS_H
#define OUTBOX_LOCK_ATTEMPTS_H

#include "nodes/pg_list.h"
#include "storage/lockdefs.h"

/*
 * Locks relations (OIDs) until the end of the transaction, all of them or
 * none, partitions included. Whoever has locks on some of them in another
 * order never ends as the victim of a deadlock. Raises lock_not_available when
 * they cannot be had.
 */
extern void OutboxLockInAttempts(const List *relations, LOCKMODE mode);

/*
 * The same in ACCESS EXCLUSIVE for an extension and then all relations that
 * list() names, which is asked again until it names none that is not locked.
 */
extern void OutboxLockExtensionInAttempts(Oid extension, List *(*list)(void) );

#endif /* OUTBOX_LOCK_ATTEMPTS_H */
