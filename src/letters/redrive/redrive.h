/*-------------------------------------------------------------------------
 *
 * redrive.h
 *	  An open dead letter, tried again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_REDRIVE_H
#define OUTBOX_REDRIVE_H

#include "letters/redrive/redrive_letter.h"

typedef enum OutboxRedriveResult
{
	OUTBOX_REDRIVE_RESOLVED, /* by events in the present transaction or because none is wanted any more */
	OUTBOX_REDRIVE_FAILED,
	OUTBOX_REDRIVE_LOOK_FIRST, /* nothing was done: its key is to be looked for (redrive_look.h), */
	OUTBOX_REDRIVE_NO_ROOM     /* or the transaction holds OutboxRedriveRoom() keys */
} OutboxRedriveResult;

/*
 * Tries the letter in a subtransaction and records what became of it; `again`: that it
 * is to be looked for, too. What is wrong with one letter's rows, even a page that cannot be
 * read, is that letter's failure alone; a cancel or a serialization failure is
 * raised. Allocates in CurrentMemoryContext.
 */
extern OutboxRedriveResult OutboxRedriveLetter(OutboxLetter *letter, bool again);

/*
 * So many keys of contracts evaluated at commit may be redriven in one transaction. It
 * holds them until it ends; with more, all commits of their aggregate types would wait for it.
 */
extern int OutboxRedriveRoom(void);

#endif /* OUTBOX_REDRIVE_H */
