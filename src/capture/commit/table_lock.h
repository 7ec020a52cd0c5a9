/*-------------------------------------------------------------------------
 *
 * table_lock.h
 *	  Keys locked in the server's lock table, where there is no shared memory
 *	  of ours.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_TABLE_LOCK_H
#define OUTBOX_TABLE_LOCK_H

#include "capture/commit/aggregate_lock.h"

typedef struct OutboxTableLocks OutboxTableLocks;

/* How many keys this transaction may still lock, in these classes. */
extern int OutboxTableRoom(OutboxLockSet **sets, int nsets);

/* In CurrentMemoryContext; parts in the order of their classes. */
extern OutboxTableLocks *OutboxTableLocksMake(const OutboxTicketPart *parts, int nparts);

/*
 * Takes the locks that are left without ever waiting; true when all are held.
 * They end with the transaction. May raise when the lock table is full.
 */
extern bool OutboxTableTake(OutboxTableLocks *locks);

/* Gives back what was taken. */
extern void OutboxTableRelease(OutboxTableLocks *locks);

#endif /* OUTBOX_TABLE_LOCK_H */
