/*-------------------------------------------------------------------------
 *
 * redrive_letter.h
 *	  Open dead letters: which of them are worked on, and what becomes of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_REDRIVE_LETTER_H
#define OUTBOX_REDRIVE_LETTER_H

#include "catalog/contract_config.h"
#include "letters/dead_letter.h"
#include "nodes/pg_list.h"

typedef struct OutboxLetter
{
	int64 id;
	char *contract;
	char *event_type;
	char *emit;
	int attempts;  /* so far */
	bool publish;  /* an event that the broker rejected */
	bool late;     /* of stage flush */
	bool by_relay; /* tried by a relay, not by a person */
	Jsonb *key;
	Jsonb *before;
	char *snapshot; /* a pg_snapshot: who had committed when `before` was read; NULL: not known */
	Jsonb *source_columns;
} OutboxLetter;

/* Which open letters a person asks for. */
typedef struct OutboxLetterChoice
{
	const int64 *id; /* NULL: any, as the next */
	const char *contract;
	int max_rows;
} OutboxLetterChoice;

/*
 * Locks and reads them until the end of the transaction: a list of
 * OutboxLetter *, by id, in the current memory context. Those that another
 * session works on are skipped. Of more than there may be, those
 * come first that were tried least often: one that fails again and again does
 * not keep others from their turn.
 */
extern List *OutboxTakeLetters(const OutboxLetterChoice *choice);

/*
 * The same of late ones, for the relay. One that fails is left alone for
 * longer and longer, at most an hour.
 */
extern List *OutboxTakeLateLetters(int max_rows);

/* The same without a lock, those that others work on included, and only to look: without key, and without a large row before. */
extern List *OutboxSeeLateLetters(int max_rows);

/* What a letter says that happened; one that does not say, or asks for any change, is of a changed row. */
extern OutboxEmit OutboxLetterEmit(const char *emit);

/* It is resolved; the reason, or NULL, says why there may be no event. */
extern void OutboxLetterResolved(const OutboxLetter *letter, const char *reason);

/* It stays open, with why it did beside why it is there. */
extern void OutboxLetterFailed(const OutboxLetter *letter, const OutboxDeadLetter *failure);

#endif /* OUTBOX_REDRIVE_LETTER_H */
