/*-------------------------------------------------------------------------
 *
 * redrive_letter.c
 *	  Open dead letters: which of them are worked on, and what becomes of them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "catalog/outbox_catalog.h"
#include "letters/letters.h"
#include "letters/redrive/redrive_private.h"

#define LETTER_COLUMNS \
	"id, contract, event_type, emit, key, before, source_columns, stage, attempts, before_snapshot::pg_catalog.text"

/* The same, but large rows stay where they are. */
#define LETTER_COLUMNS_SHORT                                                                                                      \
	"id, contract, event_type, emit, NULL::pg_catalog.jsonb, CASE WHEN pg_catalog.pg_column_size(before) < 2000 THEN before END," \
	" source_columns, stage, attempts, before_snapshot::pg_catalog.text"

/* Between two attempts of the relay at a late key, of which there is no last one. */
#define LONGEST_PAUSE_S "3600"

static List *take(const char *query, int nargs, Oid *types, Datum *values, const char *nulls);
static List *read_letters(MemoryContext context);
static OutboxLetter *read_letter(HeapTuple tuple, TupleDesc desc);
static char *column_text(HeapTuple tuple, TupleDesc desc, int column);
static Jsonb *column_jsonb(HeapTuple tuple, TupleDesc desc, int column);

/*
 * Locks and reads them until the end of the transaction: a list of
 * OutboxLetter *, by id, in the current memory context. Those that another
 * session works on are skipped. Of more than there may be, those
 * come first that were tried least often: one that fails again and again does
 * not keep others from their turn.
 */
List *
OutboxTakeLetters(const OutboxLetterChoice *choice)
{
	static const char query[] =
		"WITH taken AS MATERIALIZED (SELECT " LETTER_COLUMNS " FROM outbox_internal.dead_letter_entry"
		" WHERE state = 'open' AND ($1 IS NULL OR id = $1)"
		" AND ($2 IS NULL OR contract = $2) ORDER BY attempts, id LIMIT $3 FOR UPDATE SKIP LOCKED)"
		" SELECT * FROM taken ORDER BY id";
	Oid types[] = {INT8OID, TEXTOID, INT4OID};
	Datum values[] = {choice->id ? Int64GetDatum(*choice->id) : (Datum) 0,
					  choice->contract ? CStringGetTextDatum(choice->contract) : (Datum) 0, Int32GetDatum(choice->max_rows)};
	char nulls[] = {choice->id ? ' ' : 'n', choice->contract ? ' ' : 'n', ' ', '\0'};

	return take(query, lengthof(types), types, values, nulls);
}

/* Those whose turn it is. */
#define LATE_ROWS                                                                                                             \
	" FROM outbox_internal.dead_letter_entry"                                                                                 \
	" WHERE state = 'open' AND stage = 'flush'"                                                                               \
	" AND (attempts = 0 OR coalesce(tried_at, created_at)"                                                                    \
	" + pg_catalog.make_interval(secs => least(4 ^ least(attempts, 6), " LONGEST_PAUSE_S ")) < pg_catalog.clock_timestamp())" \
	" ORDER BY id LIMIT $1"

/*
 * The same of late ones, for the relay. One that fails is left alone for
 * longer and longer, at most an hour.
 */
List *
OutboxTakeLateLetters(int max_rows)
{
	static const char query[] = "SELECT " LETTER_COLUMNS LATE_ROWS " FOR UPDATE SKIP LOCKED";
	Oid types[] = {INT4OID};
	Datum values[] = {Int32GetDatum(max_rows)};

	return take(query, lengthof(types), types, values, NULL);
}

/*
 * The same without a lock, those that others work on included, and only to look: without key, and without a large row before.
 */
List *
OutboxSeeLateLetters(int max_rows)
{
	static const char query[] = "SELECT " LETTER_COLUMNS_SHORT LATE_ROWS;
	Oid types[] = {INT4OID};
	Datum values[] = {Int32GetDatum(max_rows)};

	return take(query, lengthof(types), types, values, NULL);
}

static List *
take(const char *query, int nargs, Oid *types, Datum *values, const char *nulls)
{
	MemoryContext caller = CurrentMemoryContext;
	List *letters;
	OutboxOwnerScope scope;

	OutboxOwnerBegin(&scope);
	SPI_connect();
	if (SPI_execute_with_args(query, nargs, types, values, nulls, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read outbox_internal.dead_letter_entry");
	letters = read_letters(caller);
	SPI_finish();
	OutboxOwnerEnd(&scope);
	return letters;
}

/* What the query returned, outside of SPI's memory. */
static List *
read_letters(MemoryContext context)
{
	MemoryContext spi = MemoryContextSwitchTo(context);
	List *letters = NIL;

	for (uint64 i = 0; i < SPI_processed; i++)
		letters = lappend(letters, read_letter(SPI_tuptable->vals[i], SPI_tuptable->tupdesc));
	MemoryContextSwitchTo(spi);
	return letters;
}

static OutboxLetter *
read_letter(HeapTuple tuple, TupleDesc desc)
{
	OutboxLetter *letter = palloc0(sizeof(OutboxLetter));
	bool isnull;

	letter->id = DatumGetInt64(heap_getattr(tuple, 1, desc, &isnull));
	letter->contract = column_text(tuple, desc, 2);
	letter->event_type = column_text(tuple, desc, 3);
	letter->emit = column_text(tuple, desc, 4);
	letter->key = column_jsonb(tuple, desc, 5);
	letter->before = column_jsonb(tuple, desc, 6);
	letter->source_columns = column_jsonb(tuple, desc, 7);
	letter->late = strcmp(column_text(tuple, desc, 8), "flush") == 0;
	letter->publish = strcmp(column_text(tuple, desc, 8), "publish") == 0;
	letter->attempts = DatumGetInt32(heap_getattr(tuple, 9, desc, &isnull));
	letter->snapshot = column_text(tuple, desc, 10);
	return letter;
}

static char *
column_text(HeapTuple tuple, TupleDesc desc, int column)
{
	bool isnull;
	Datum value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static Jsonb *
column_jsonb(HeapTuple tuple, TupleDesc desc, int column)
{
	bool isnull;
	Datum value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? NULL : DatumGetJsonbPCopy(value);
}

/* What a letter says that happened; one that does not say, or asks for any change, is of a changed row. */
OutboxEmit
OutboxLetterEmit(const char *emit)
{
	if (emit && strcmp(emit, OutboxEmitName(OUTBOX_EMIT_CREATED)) == 0)
		return OUTBOX_EMIT_CREATED;
	if (emit && strcmp(emit, OutboxEmitName(OUTBOX_EMIT_DELETED)) == 0)
		return OUTBOX_EMIT_DELETED;
	return OUTBOX_EMIT_CHANGED;
}

/* It is resolved; the reason, or NULL, says why there may be no event. */
void
OutboxLetterResolved(const OutboxLetter *letter, const char *reason)
{
	const char *args[] = {psprintf(INT64_FORMAT, letter->id), GetUserNameFromId(GetSessionUserId(), false), reason};

	(void) OutboxExecute("UPDATE outbox_internal.dead_letter_entry SET state = 'redriven', attempts = attempts + 1,"
						 " resolved_at = clock_timestamp(), resolved_by = $2, resolution = $3, last_failure = NULL,"
						 " last_failure_hint = NULL WHERE id = $1::bigint",
						 lengthof(args), args);
}

/* It stays open, with why it did beside why it is there. */
void
OutboxLetterFailed(const OutboxLetter *letter, const OutboxDeadLetter *failure)
{
	const char *args[] = {psprintf(INT64_FORMAT, letter->id),
						  psprintf("%s: %s", unpack_sql_state(failure->sqlerrcode), OutboxCutText(failure->message, OUTBOX_SHOWN_BYTES)),
						  failure->hint};

	(void) OutboxExecute("UPDATE outbox_internal.dead_letter_entry SET attempts = attempts + 1, last_failure = $2,"
						 " last_failure_hint = $3, tried_at = clock_timestamp() WHERE id = $1::bigint",
						 lengthof(args), args);
}
