/*-------------------------------------------------------------------------
 *
 * dead_letter.c
 *	  Dead letters and gaps: recorded; events that a broker rejected: decided.
 *
 * A dead letter or a gap is recorded inside a customer's write, without a
 * statement: the writer has no rights on our tables and must not pay for a
 * planner.
 *
 * An event that a broker rejected is held in outbox_internal.held_event. A
 * person decides about it; the relay of the sink publishes and removes it. The
 * relay notices by a number in the sink's row, which it reads every second.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "catalog/outbox_catalog.h"
#include "letters/letters_private.h"
#include "util/util.h"

/* A message can quote a value, which can be large. */
#define MAX_TEXT_BYTES 8192

enum
{
	Anum_letter_id = 1,
	Anum_letter_contract,
	Anum_letter_event_type,
	Anum_letter_emit,
	Anum_letter_key,
	Anum_letter_stage,
	Anum_letter_sqlstate,
	Anum_letter_message,
	Anum_letter_detail,
	Anum_letter_hint,
	Anum_letter_source_columns,
	Anum_letter_before,
	Anum_letter_sink,
	Anum_letter_event_id,
	Anum_letter_payload,
	Anum_letter_created_at,
	Anum_letter_state,
	Anum_letter_attempts,
	Anum_letter_resolved_at,
	Anum_letter_resolved_by,
	Anum_letter_resolution,
	Anum_letter_last_failure,
	Anum_letter_last_failure_hint,
	Anum_letter_before_snapshot,
	Anum_letter_tried_at,
	Anum_letter_xid,
	Anum_letter_resolved_xid,
	Anum_letter_version
};
#define Natts_letter Anum_letter_version

enum
{
	Anum_gap_id = 1,
	Anum_gap_contract,
	Anum_gap_source,
	Anum_gap_reason,
	Anum_gap_xid,
	Anum_gap_created_at,
	Anum_gap_resolved_at,
	Anum_gap_detail
};
#define Natts_gap Anum_gap_detail

enum
{
	Anum_ddl_check_id = 1,
	Anum_ddl_check_at,
	Anum_ddl_check_command_tag,
	Anum_ddl_check_contract,
	Anum_ddl_check_what
};
#define Natts_ddl_check Anum_ddl_check_what

static void insert_row(const char *table, const char *sequence, const Datum *values, const bool *nulls, int n);
static void set_cut_text(Datum *values, bool *nulls, AttrNumber column, const char *text);
static void set_jsonb(Datum *values, bool *nulls, AttrNumber column, Jsonb *value);

/*
 * Inserts the dead letter with the present (sub)transaction. The user needs no
 * right for it, and no query runs. May raise.
 */
void
OutboxDeadLetterInsert(const OutboxDeadLetter *letter)
{
	Datum values[Natts_letter];
	bool nulls[Natts_letter];

	memset(nulls, true, sizeof(nulls));
	OutboxSetText(values, nulls, Anum_letter_contract - 1, letter->contract);
	OutboxSetText(values, nulls, Anum_letter_event_type - 1, letter->event_type);
	OutboxSetText(values, nulls, Anum_letter_emit - 1, letter->emit);
	OutboxSetText(values, nulls, Anum_letter_stage - 1, letter->stage);
	OutboxSetText(values, nulls, Anum_letter_sqlstate - 1, unpack_sql_state(letter->sqlerrcode));
	set_cut_text(values, nulls, Anum_letter_message, letter->message ? letter->message : "");
	set_cut_text(values, nulls, Anum_letter_detail, letter->detail);
	set_cut_text(values, nulls, Anum_letter_hint, letter->hint);
	set_jsonb(values, nulls, Anum_letter_key, letter->key);
	set_jsonb(values, nulls, Anum_letter_source_columns, letter->source_columns);
	set_jsonb(values, nulls, Anum_letter_before, letter->before);
	values[Anum_letter_before_snapshot - 1] = letter->snapshot;
	nulls[Anum_letter_before_snapshot - 1] = letter->snapshot == 0;
	values[Anum_letter_version - 1] = Int32GetDatum(letter->version);
	nulls[Anum_letter_version - 1] = letter->version == 0;
	OutboxSetText(values, nulls, Anum_letter_state - 1, "open");
	values[Anum_letter_created_at - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	nulls[Anum_letter_created_at - 1] = false;
	values[Anum_letter_attempts - 1] = Int32GetDatum(0);
	nulls[Anum_letter_attempts - 1] = false;
	values[Anum_letter_xid - 1] = FullTransactionIdGetDatum(GetTopFullTransactionId());
	nulls[Anum_letter_xid - 1] = false;
	insert_row("dead_letter_entry", "dead_letter_entry_id_seq", values, nulls, Natts_letter);
}

/* The same for each active version of the contract: the change failed before any of them looked at it. */
void
OutboxDeadLetterInsertEach(OutboxDeadLetter *letter, const OutboxContractConfig *config)
{
	ListCell *lc;

	foreach (lc, config->versions)
	{
		const OutboxContractConfig *version = lfirst(lc);

		letter->version = version->version;
		if (version->state == OUTBOX_VERSION_ACTIVE)
			OutboxDeadLetterInsert(letter);
	}
}

/*
 * Records that changes of a source produced no events, with the present (sub)transaction; detail, for a person, may be
 * NULL. The user needs no right for it, and no query runs. May raise.
 */
void
OutboxGapInsert(const char *contract, Oid source, const char *reason, const char *detail)
{
	Datum values[Natts_gap];
	bool nulls[Natts_gap];

	memset(nulls, true, sizeof(nulls));
	OutboxSetText(values, nulls, Anum_gap_contract - 1, contract);
	OutboxSetText(values, nulls, Anum_gap_reason - 1, reason);
	OutboxSetText(values, nulls, Anum_gap_detail - 1, detail);
	values[Anum_gap_source - 1] = ObjectIdGetDatum(source);
	nulls[Anum_gap_source - 1] = false;
	values[Anum_gap_xid - 1] = FullTransactionIdGetDatum(GetTopFullTransactionId());
	nulls[Anum_gap_xid - 1] = false;
	values[Anum_gap_created_at - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	nulls[Anum_gap_created_at - 1] = false;
	insert_row("gap", "gap_id_seq", values, nulls, Natts_gap);
}

/*
 * Records what the DDL check could not see, or only tells: about a contract or (NULL) a command. As OutboxGapInsert(). May
 * raise.
 */
void
OutboxDdlCheckLogInsert(const char *command, const char *contract, const char *what)
{
	Datum values[Natts_ddl_check];
	bool nulls[Natts_ddl_check];

	memset(nulls, true, sizeof(nulls));
	values[Anum_ddl_check_at - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	nulls[Anum_ddl_check_at - 1] = false;
	OutboxSetText(values, nulls, Anum_ddl_check_command_tag - 1, command ? command : "DDL");
	OutboxSetText(values, nulls, Anum_ddl_check_contract - 1, contract);
	set_cut_text(values, nulls, Anum_ddl_check_what, what);
	insert_row("ddl_check_log", "ddl_check_log_id_seq", values, nulls, Natts_ddl_check);
}

/* The first n columns. The table may have fewer, created by an older script, or more, by a newer one: those stay NULL. */
static void
insert_row(const char *table, const char *sequence, const Datum *values, const bool *nulls, int n)
{
	Relation rel = table_open(OutboxRelationOid(table), RowExclusiveLock);
	int natts = RelationGetDescr(rel)->natts;
	Datum *row = palloc0(sizeof(Datum) * natts);
	bool *row_nulls = palloc(sizeof(bool) * natts);
	OutboxSequence numbers = {0};

	memset(row_nulls, true, sizeof(bool) * natts);
	memcpy(row, values, sizeof(Datum) * Min(n, natts));
	memcpy(row_nulls, nulls, sizeof(bool) * Min(n, natts));
	OutboxSequenceBind(&numbers, OutboxRelationOid(sequence), true);
	row[0] = Int64GetDatum(OutboxSequenceNext(&numbers));
	row_nulls[0] = false;
	OutboxInsertOwnRow(rel, row, row_nulls);
	pfree(row);
	pfree(row_nulls);
	table_close(rel, NoLock);
}

static void
set_cut_text(Datum *values, bool *nulls, AttrNumber column, const char *text)
{
	OutboxSetText(values, nulls, column - 1, text ? OutboxCutText(text, MAX_TEXT_BYTES) : NULL);
}

static void
set_jsonb(Datum *values, bool *nulls, AttrNumber column, Jsonb *value)
{
	nulls[column - 1] = value == NULL;
	if (value)
		values[column - 1] = JsonbPGetDatum(value);
}

/* ---- events that a broker rejected ------------------------------------------------ */

/* Asks the relay to offer the dead letter's event again. False: the event is not held any more. May raise. */
bool
OutboxRedriveRejected(int64 letter)
{
	const char *args[] = {psprintf(INT64_FORMAT, letter)};

	return OutboxExecute("UPDATE outbox_internal.held_event SET state = 'redrive'"
						 " WHERE letter = $1::pg_catalog.int8 AND state = 'rejected' RETURNING letter",
						 lengthof(args), args) != NULL;
}

/* Drops the dead letter's event, so that events held behind it can go. False: it is not held any more. May raise. */
bool
OutboxDropRejected(int64 letter)
{
	const char *args[] = {psprintf(INT64_FORMAT, letter)};

	return OutboxExecute("DELETE FROM outbox_internal.held_event WHERE letter = $1::pg_catalog.int8 RETURNING letter",
						 lengthof(args), args) != NULL;
}

/*
 * Makes the relays look, once after any number of the calls above. May raise.
 *
 * All rows of sinks are locked in one order, so two callers never wait for each other in a circle. A relay stores rows
 * that refer to its sink; with this lock it does not wait for a caller who leaves his transaction open.
 */
void
OutboxTellSinks(void)
{
	(void) OutboxExecute("UPDATE outbox_internal.sink SET resolved = resolved + 1"
						 " WHERE id IN (SELECT id FROM outbox_internal.sink ORDER BY id FOR NO KEY UPDATE)",
						 0, NULL);
}
