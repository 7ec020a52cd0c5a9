/*-------------------------------------------------------------------------
 *
 * redrive_key.h
 *	  A dead letter of a contract evaluated at commit, tried again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_REDRIVE_KEY_H
#define OUTBOX_REDRIVE_KEY_H

#include "capture/transition/transition.h"

/* Why a letter is resolved without an event, */
#define OUTBOX_REDRIVE_NOTHING "No event type wants the row as it is now."
#define OUTBOX_REDRIVE_UNTOLD "The row is not in the view any more, and no event type tells of deleted rows."

/* and why one of a deleted row is not. */
#define OUTBOX_REDRIVE_THERE_AGAIN "the row is in the view again"

typedef struct OutboxKeyLetter
{
	const char *event_type; /* NULL: the contract's row itself */
	const char *emit;       /* NULL: not known */
	bool late;              /* of stage flush */
	bool by_relay;          /* not by a person */
	int attempts;           /* so far */
	Jsonb *key;             /* as the letter has it */
	Jsonb *lookup;
	HeapTuple before;     /* a row of the contract's view; NULL: not kept */
	const char *snapshot; /* a pg_snapshot: who had committed when it was read; NULL: not known */
} OutboxKeyLetter;

/* What a letter's key is locked by. */
typedef struct OutboxKeyLock
{
	uint64 lock_class;
	uint64 hash;
} OutboxKeyLock;

/* Finds out what that is; false: *failure says why it is not known. May raise, as the next ones. */
extern bool OutboxRedriveLockOf(OutboxCompiledContract *contract, const OutboxKeyLetter *letter, OutboxKeyLock *lock,
								OutboxDeadLetter *failure);

/* Takes the lock, until the end of the (sub)transaction. Nobody should wait for what its caller has locked. */
extern bool OutboxRedriveTakeLock(const OutboxKeyLock *lock, const OutboxKeyLetter *letter, OutboxDeadLetter *failure);

/*
 * Reads the row of a key that is locked as it is now and adds the events to
 * the present transaction. When it fails nothing
 * is added and *failure says why. May raise, so the caller guards it. Returns
 * why there is no event, NULL when there is one.
 */
extern const char *OutboxRedriveKey(OutboxCompiledContract *contract, const OutboxKeyLetter *letter, const OutboxKeyLock *lock,
									OutboxDeadLetter *failure);

/*
 * The key of the row, in a row of the contract's view that is otherwise NULL;
 * NULL: it does not follow from the lookup key. May raise.
 */
extern HeapTuple OutboxRedriveKeyRow(OutboxCompiledContract *contract, const Datum *lookup);

#endif /* OUTBOX_REDRIVE_KEY_H */
