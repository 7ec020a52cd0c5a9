/*-------------------------------------------------------------------------
 *
 * letters.h
 *	  Dead letters and gaps.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_LETTERS_LETTERS_H
#define OUTBOX_LETTERS_LETTERS_H

#include "executor/tuptable.h"
#include "utils/jsonb.h"

#include "catalog/outbox_catalog.h"

/* ---- dead_letter.c: dead letters and gaps recorded; events that a broker rejected ---- */

typedef struct OutboxDeadLetter
{
	const char *contract;
	int32 version;          /* of the contract; 0: not known */
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

extern void OutboxDeadLetterInsert(const OutboxDeadLetter *letter);
extern void OutboxDeadLetterInsertEach(OutboxDeadLetter *letter, const OutboxContractConfig *config);
/* The detail of a gap of reason detached */
#define OUTBOX_VIEWS_AWAY "a change while the views were away, by outbox.detach()"

extern void OutboxGapInsert(const char *contract, Oid source, const char *reason, const char *detail);
extern void OutboxDdlCheckLogInsert(const char *command, const char *contract, const char *what);
extern bool OutboxRedriveRejected(int64 letter);
extern bool OutboxDropRejected(int64 letter);
extern void OutboxTellSinks(void);

/* ---- letter_json.c: rows as JSON that a person can read, and back ---- */

/* How much of a value is shown where nobody needs the whole. */
#define OUTBOX_SHOWN_BYTES 8192

extern Jsonb *OutboxColumnsToJsonb(TupleDesc desc, const Datum *values, const bool *isnull,
								   const int *columns, int ncolumns, int max_bytes);
extern Jsonb *OutboxTableColumnsToJsonb(const char *table, TupleTableSlot *row, const int *columns, int ncolumns);
extern Jsonb *OutboxLookupToJsonb(TupleDesc desc, const Datum *values);
extern Jsonb *OutboxRowToJsonb(TupleDesc desc, const Datum *values, const bool *isnull);
extern void OutboxRowFromJsonb(TupleDesc desc, Jsonb *object, Datum *values, bool *isnull);
extern Oid OutboxReadBackType(Oid type, int32 *typmod);
extern const char *OutboxCutText(const char *text, int max_bytes);

#endif /* OUTBOX_LETTERS_LETTERS_H */
