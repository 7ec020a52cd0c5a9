/*-------------------------------------------------------------------------
 *
 * dead_letter.h
 *	  Keeping aside what could not become an event, and recording gaps.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_DEAD_LETTER_H
#define OUTBOX_DEAD_LETTER_H

#include "executor/tuptable.h"
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
} OutboxDeadLetter;

/*
 * Inserts the dead letter with the present (sub)transaction, whoever the user
 * is: no permission is needed and no query runs.
 */
extern void OutboxDeadLetterInsert(const OutboxDeadLetter *letter);

/* Records that changes of a source produced no events; detail, for a person, may be NULL. The same terms. */
extern void OutboxGapInsert(const char *contract, Oid source, const char *reason, const char *detail);

/*
 * Columns of a row as a jsonb object: booleans, integers and JSON as such,
 * everything else as its text, cut at 8 kB. `columns` are numbers from 0. May
 * raise: the types' output functions run.
 */
extern Jsonb *OutboxColumnsToJsonb(TupleDesc desc, const Datum *values, const bool *isnull,
								   const int *columns, int ncolumns);

/* The same under the names table.column; the columns are deformed. */
extern Jsonb *OutboxTableColumnsToJsonb(const char *table, TupleTableSlot *row, const int *columns, int ncolumns);

/* A lookup key: a row without NULLs. The same terms. */
extern Jsonb *OutboxLookupToJsonb(TupleDesc desc, const Datum *values);

/* A whole row, texts cut at max_bytes. The same terms. */
extern Jsonb *OutboxRowToJsonb(TupleDesc desc, const Datum *values, const bool *isnull, int max_bytes);

#endif /* OUTBOX_DEAD_LETTER_H */
