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
#include "util/util.h"

#define LETTER_COLUMNS \
	"id, contract, event_type, emit, key, before, source_columns, stage, attempts, before_snapshot::pg_catalog.text, version"

/* The columns without the key; large rows before stay where they are. */
#define LETTER_COLUMNS_SHORT                                                                                                      \
	"id, contract, event_type, emit, NULL::pg_catalog.jsonb, CASE WHEN pg_catalog.pg_column_size(before) < 2000 THEN before END," \
	" source_columns, stage, attempts, before_snapshot::pg_catalog.text, version"

/* The longest pause between two attempts of the relay at a late key. It never gives up. */
#define LONGEST_PAUSE_S "3600"

static List *take(const char *query, int nargs, const OutboxArg *args);
static List *read_letters(const OutboxRows *rows, MemoryContext context);
static OutboxLetter *read_letter(const OutboxRows *rows, uint64 i);
static Jsonb *column_jsonb(const OutboxRows *rows, uint64 i, int column);

/*
 * Reads open letters and locks them until the end of the transaction. Returns a
 * list of OutboxLetter *, by id, in the current memory context. Letters that
 * another session works on are skipped. When there are more than max_rows, those
 * that were tried least often come first: a letter that fails again and again does
 * not keep others from their turn. May raise.
 */
List *
OutboxTakeLetters(const OutboxLetterChoice *choice)
{
	static const char query[] =
		"WITH taken AS MATERIALIZED (SELECT " LETTER_COLUMNS " FROM outbox_internal.dead_letter_entry"
		" WHERE state = 'open' AND ($1 IS NULL OR id = $1)"
		" AND ($2 IS NULL OR contract = $2) ORDER BY attempts, id LIMIT $3 FOR UPDATE SKIP LOCKED)"
		" SELECT * FROM taken ORDER BY id";

	return take(query, OUTBOX_ARGS({INT8OID, choice->id ? Int64GetDatum(*choice->id) : (Datum) 0, choice->id == NULL}, OUTBOX_TEXT(choice->contract), OUTBOX_INT4(choice->max_rows)));
}

/* Those whose turn it is. */
#define LATE_ROWS                                                                                                             \
	" FROM outbox_internal.dead_letter_entry"                                                                                 \
	" WHERE state = 'open' AND stage = 'flush'"                                                                               \
	" AND (attempts = 0 OR coalesce(tried_at, created_at)"                                                                    \
	" + pg_catalog.make_interval(secs => least(4 ^ least(attempts, 6), " LONGEST_PAUSE_S ")) < pg_catalog.clock_timestamp())" \
	" ORDER BY id LIMIT $1"

/*
 * Takes open letters of late keys, for the relay, on the terms of OutboxTakeLetters.
 * After a failure a letter is left alone for longer and longer, at most an hour.
 */
List *
OutboxTakeLateLetters(int max_rows)
{
	static const char query[] = "SELECT " LETTER_COLUMNS LATE_ROWS " FOR UPDATE SKIP LOCKED";

	return take(query, OUTBOX_ARGS(OUTBOX_INT4(max_rows)));
}

/*
 * Reads the open letters of late keys whose turn it is, without a lock, including those that others work on. They have
 * no key, and no large row before: they serve to find out which keys to look for.
 */
List *
OutboxSeeLateLetters(int max_rows)
{
	static const char query[] = "SELECT " LETTER_COLUMNS_SHORT LATE_ROWS;

	return take(query, OUTBOX_ARGS(OUTBOX_INT4(max_rows)));
}

static List *
take(const char *query, int nargs, const OutboxArg *args)
{
	MemoryContext caller = CurrentMemoryContext;
	OutboxRows rows;
	List *letters;
	OutboxOwnerScope scope;

	OutboxOwnerBegin(&scope);
	SPI_connect();
	rows = OutboxRun(query, nargs, args);
	letters = read_letters(&rows, caller);
	SPI_finish();
	OutboxOwnerEnd(&scope);
	return letters;
}

/* What the query returned, outside of SPI's memory. */
static List *
read_letters(const OutboxRows *rows, MemoryContext context)
{
	MemoryContext spi = MemoryContextSwitchTo(context);
	List *letters = NIL;

	for (uint64 i = 0; i < rows->n; i++)
		letters = lappend(letters, read_letter(rows, i));
	MemoryContextSwitchTo(spi);
	return letters;
}

static OutboxLetter *
read_letter(const OutboxRows *rows, uint64 i)
{
	OutboxLetter *letter = palloc0(sizeof(OutboxLetter));
	const char *stage = OutboxRowText(rows, i, 8);

	letter->id = OutboxRowInt(rows, i, 1, 0);
	letter->contract = OutboxRowText(rows, i, 2);
	letter->event_type = OutboxRowText(rows, i, 3);
	letter->emit = OutboxRowText(rows, i, 4);
	letter->key = column_jsonb(rows, i, 5);
	letter->before = column_jsonb(rows, i, 6);
	letter->source_columns = column_jsonb(rows, i, 7);
	letter->late = strcmp(stage, "flush") == 0;
	letter->publish = strcmp(stage, "publish") == 0;
	letter->attempts = (int32) OutboxRowInt(rows, i, 9, 0);
	letter->snapshot = OutboxRowText(rows, i, 10);
	letter->version = (int32) OutboxRowInt(rows, i, 11, 0);
	return letter;
}

static Jsonb *
column_jsonb(const OutboxRows *rows, uint64 i, int column)
{
	bool isnull;
	Datum value = OutboxRowDatum(rows, i, column, &isnull);

	return isnull ? NULL : DatumGetJsonbPCopy(value);
}

/*
 * The version of the contract under which the letter is tried: its own, or the one that took the place of that. Of a
 * letter that names none: the first one. NULL: it is retired. Raises when the contract does not exist.
 */
OutboxContractConfig *
OutboxLetterContract(const OutboxLetter *letter)
{
	OutboxContractConfig *config = OutboxContractGet(letter->contract);
	OutboxContractConfig *version = letter->version == 0 ? config : OutboxContractVersion(config, letter->version);
	const char *args[] = {psprintf("%d", config->id), psprintf("%d", letter->version)};
	char *line;

	if (version)
		return version;
	line = OutboxExecute("SELECT line FROM outbox_internal.contract_version WHERE contract_id = $1::int AND version = $2::int", lengthof(args), args);
	/* without a row the contract was dropped, and created again */
	return line ? OutboxContractLine(config, pg_strtoint32(line)) : config;
}

/* By what the version is found in the cache of compiled contracts. */
int32
OutboxVersionLine(const OutboxContractConfig *config)
{
	return config == linitial(config->versions) ? 0 : config->line;
}

/* The emit of a letter. A letter without one, or with "always", is of a changed row. */
OutboxEmit
OutboxLetterEmit(const char *emit)
{
	if (emit && strcmp(emit, OutboxEmitName(OUTBOX_EMIT_CREATED)) == 0)
		return OUTBOX_EMIT_CREATED;
	if (emit && strcmp(emit, OutboxEmitName(OUTBOX_EMIT_DELETED)) == 0)
		return OUTBOX_EMIT_DELETED;
	return OUTBOX_EMIT_CHANGED;
}

/* The letter is resolved; the reason, or NULL, says why there is no event. */
void
OutboxLetterResolved(const OutboxLetter *letter, const char *reason)
{
	const char *args[] = {psprintf(INT64_FORMAT, letter->id), GetUserNameFromId(GetSessionUserId(), false), reason};

	(void) OutboxExecute("UPDATE outbox_internal.dead_letter_entry SET state = 'redriven', attempts = attempts + 1,"
						 " resolved_at = clock_timestamp(), resolved_by = $2, resolution = $3, last_failure = NULL,"
						 " last_failure_hint = NULL, resolved_xid = pg_current_xact_id() WHERE id = $1::bigint",
						 lengthof(args), args);
}

/* The letter stays open. The reason of this failure is stored beside the reason of the letter. */
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
