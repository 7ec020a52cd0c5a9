/*-------------------------------------------------------------------------
 *
 * letter_json.h
 *	  Rows as JSON that a person can read, and back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_LETTER_JSON_H
#define OUTBOX_LETTER_JSON_H

#include "executor/tuptable.h"
#include "utils/jsonb.h"

/* How much of a value is shown where nobody needs the whole. */
#define OUTBOX_SHOWN_BYTES 8192

/*
 * Columns of a row as a jsonb object: booleans, integers and jsonb as such,
 * everything else as its text. Texts longer than max_bytes are cut and say so
 * (0: never; only then the object can be read back). `columns` are numbers
 * from 0. May raise: the types' output functions run, and an object has its limits.
 */
extern Jsonb *OutboxColumnsToJsonb(TupleDesc desc, const Datum *values, const bool *isnull,
								   const int *columns, int ncolumns, int max_bytes);

/* The same, whole, under the names table.column; the columns are deformed. */
extern Jsonb *OutboxTableColumnsToJsonb(const char *table, TupleTableSlot *row, const int *columns, int ncolumns);

/* A lookup key: a row without NULLs. The same terms. */
extern Jsonb *OutboxLookupToJsonb(TupleDesc desc, const Datum *values);

/* A whole row. The same terms. */
extern Jsonb *OutboxRowToJsonb(TupleDesc desc, const Datum *values, const bool *isnull);

/*
 * Reads back what these wrote, by the names of the columns; one that is not
 * there is NULL. Raises when a value does not fit its type any more. Domains
 * are not checked: their values have been. So no code of their owners runs,
 * but where they are inside rows and ranges; whoever calls this with the rights
 * of a role asks first whether the input functions may run with them.
 */
extern void OutboxRowFromJsonb(TupleDesc desc, Jsonb *object, Datum *values, bool *isnull);

/* The type by whose input function it reads a value of this type, and the modifier that it passes. */
extern Oid OutboxReadBackType(Oid type, int32 *typmod);

/* The text itself, or a palloc'd beginning of it that says how much is missing. */
extern const char *OutboxCutText(const char *text, int max_bytes);

#endif /* OUTBOX_LETTER_JSON_H */
