/*-------------------------------------------------------------------------
 *
 * dead_letter.h
 *	  Keeping aside what could not become an event, and recording gaps.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_DEAD_LETTER_H
#define OUTBOX_DEAD_LETTER_H

#include "utils/jsonb.h"

typedef struct OutboxDeadLetter
{
	const char *contract;
	const char *event_type; /* NULL: the contract's row itself could not be mapped */
	const char *emit;       /* created, changed, deleted; NULL: not known yet */
	const char *stage;      /* map, condition, check, encode, size, flush */
	int sqlerrcode;
	const char *message;
	const char *detail; /* or NULL, as the rest */
	const char *hint;
	Jsonb *key;
	Jsonb *source_columns;
	Jsonb *before;
	Datum snapshot; /* a pg_snapshot: what others had committed when `before` was read; 0: it was not, or nobody asks */
} OutboxDeadLetter;

/*
 * Inserts the dead letter with the present (sub)transaction, whoever the user
 * is: no permission is needed and no query runs.
 */
extern void OutboxDeadLetterInsert(const OutboxDeadLetter *letter);

/* Records that changes of a source produced no events; detail, for a person, may be NULL. The same terms. */
extern void OutboxGapInsert(const char *contract, Oid source, const char *reason, const char *detail);

#endif /* OUTBOX_DEAD_LETTER_H */
