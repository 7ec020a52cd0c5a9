/*-------------------------------------------------------------------------
 *
 * redrive.c
 *	  outbox.redrive() and outbox.discard(): dead letters worked by a person.
 *
 * An event that a broker rejected is published again as it is, by the relay of
 * that sink (deadletter/rejected.c). Everything else is captured again:
 * a redriven event describes the row as it is now, read through the contract's
 * view by the dead letter's key; what it was before, and that it was created,
 * changed or deleted, comes from the dead letter. Every dead letter is tried
 * in a subtransaction of its own: one that fails again says why and stays.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "capture/redrive_key.h"
#include "capture/transition.h"
#include "catalog/outbox_catalog.h"
#include "contract/contract_api.h"
#include "contract/guard.h"
#include "deadletter/rejected.h"

/* How long the relay holds aggregates. */
#define LATE_TIME_MS	50

PG_FUNCTION_INFO_V1(outbox_redrive);
PG_FUNCTION_INFO_V1(outbox_redrive_late);
PG_FUNCTION_INFO_V1(outbox_discard);

/* An open dead letter. */
typedef struct Letter
{
	int64		id;
	char	   *contract;
	char	   *event_type;
	char	   *emit;
	bool		publish;		/* an event that the broker rejected */
	Jsonb	   *key;
	Jsonb	   *before;
	Jsonb	   *source_columns;
	bool		late;			/* of stage flush */
	bool		by_relay;
} Letter;

#define SELECT_LETTERS \
	"SELECT id, contract, event_type, emit, key, before, source_columns, stage FROM outbox.dead_letter_entry"

/* A letter on its way, and what becomes of it. */
typedef struct Attempt
{
	Letter	   *letter;
	int			nevents;
	OutboxDeadLetter failure;	/* sqlerrcode = 0: none */
} Attempt;

static int64 try_letters(List *letters);
static List *take_letters(FunctionCallInfo fcinfo, int max_rows);
static List *take_late_letters(int max_rows);
static List *read_letters(MemoryContext context);
static Letter *read_letter(HeapTuple tuple, TupleDesc desc);
static char *column_text(HeapTuple tuple, TupleDesc desc, int column);
static Jsonb *column_jsonb(HeapTuple tuple, TupleDesc desc, int column);
static bool try_letter(Letter *letter, MemoryContext context);
static void attempt_step(void *arg);
static void attempt_key(Attempt *attempt, OutboxCompiledContract *contract);
static HeapTuple row_before(OutboxCompiledContract *contract, const Letter *letter);
static char *view_name(const OutboxCompiledContract *contract);
static void capture_again(Attempt *attempt);
static OutboxEmit letter_emit(const Letter *letter);
static bool find_rows(Attempt *attempt, OutboxCompiledContract *contract, OutboxRedrive *redrive);
static HeapTuple fetch_row(OutboxCompiledContract *contract, const char *query, Jsonb *argument);
static char *key_condition(const OutboxCompiledContract *contract, const char *view);
static void fail(Attempt *attempt, int sqlerrcode, const char *message, const char *hint);
static void record_attempt(const Letter *letter, const OutboxDeadLetter *failure);

/* redrive(id, contract, max_rows): how many dead letters became events. */
Datum
outbox_redrive(PG_FUNCTION_ARGS)
{
	int			max_rows = PG_ARGISNULL(2) ? 1000 : PG_GETARG_INT32(2);
	List	   *letters;

	OutboxRequireVersion();
	letters = take_letters(fcinfo, max_rows);
	if (letters == NIL && !PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no open dead letter %lld", (long long) PG_GETARG_INT64(0)),
				 errhint("SELECT * FROM outbox.dead_letter WHERE state = 'open' lists them.")));
	PG_RETURN_INT64(try_letters(letters));
}

/*
 * redrive_late(max_rows): the relay's; how many letters it took up. The
 * aggregates stay locked until its transaction ends, and commits of the
 * application wait for them: so it stops after a short time.
 */
Datum
outbox_redrive_late(PG_FUNCTION_ARGS)
{
	List	   *letters = take_late_letters(PG_GETARG_INT32(0));
	TimestampTz start = GetCurrentTimestamp();
	int64		taken = 0;
	ListCell   *lc;

	foreach(lc, letters)
	{
		Letter	   *letter = lfirst(lc);

		letter->by_relay = true;
		(void) try_letters(list_make1(letter));
		taken++;
		if (TimestampDifferenceExceeds(start, GetCurrentTimestamp(), LATE_TIME_MS))
			break;
	}
	PG_RETURN_INT64(taken);
}

/* How many became events. */
static int64
try_letters(List *letters)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "outbox redrive", ALLOCSET_DEFAULT_SIZES);
	int64		redriven = 0;
	bool		any_publish = false;
	ListCell   *lc;

	foreach(lc, letters)
	{
		MemoryContext caller = MemoryContextSwitchTo(context);
		Letter	   *letter = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		any_publish |= letter->publish;
		redriven += try_letter(letter, context);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(context);
	}
	if (any_publish)
		OutboxTellSinks();
	return redriven;
}

/* discard(id, reason) */
Datum
outbox_discard(PG_FUNCTION_ARGS)
{
	char	   *reason = OutboxRequiredTextArg(fcinfo, 1, "reason");
	const char *args[] = {NULL, reason, GetUserNameFromId(GetSessionUserId(), false)};

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("\"id\" must not be NULL")));
	if (reason[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"reason\" must not be empty"),
				 errhint("Say why the event is not needed; whoever asks later finds it in outbox.dead_letter.")));
	args[0] = psprintf(INT64_FORMAT, PG_GETARG_INT64(0));
	if (OutboxExecute("UPDATE outbox.dead_letter_entry SET state = 'discarded', resolution = $2,"
					  " resolved_at = clock_timestamp(), resolved_by = $3"
					  " WHERE id = $1::bigint AND state = 'open' RETURNING id", lengthof(args), args) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no open dead letter %s", args[0]),
				 errhint("SELECT * FROM outbox.dead_letter WHERE state = 'open' lists them.")));
	if (OutboxDropRejected(PG_GETARG_INT64(0)))
		OutboxTellSinks();
	PG_RETURN_VOID();
}

/* Locks and reads the open letters that the arguments name; those that another session works on are skipped. */
static List *
take_letters(FunctionCallInfo fcinfo, int max_rows)
{
	MemoryContext caller = CurrentMemoryContext;
	Oid			types[] = {INT8OID, TEXTOID, INT4OID};
	Datum		values[] = {PG_ARGISNULL(0) ? (Datum) 0 : PG_GETARG_DATUM(0),
	PG_ARGISNULL(1) ? (Datum) 0 : PG_GETARG_DATUM(1), Int32GetDatum(max_rows)};
	char		nulls[] = {PG_ARGISNULL(0) ? 'n' : ' ', PG_ARGISNULL(1) ? 'n' : ' ', ' ', '\0'};
	List	   *letters;
	OutboxOwnerScope scope;

	OutboxOwnerBegin(&scope);
	SPI_connect();
	if (SPI_execute_with_args(SELECT_LETTERS
							  " WHERE state = 'open' AND ($1 IS NULL OR id = $1)"
							  " AND ($2 IS NULL OR contract = $2) ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED",
							  lengthof(types), types, values, nulls, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read outbox.dead_letter_entry");
	letters = read_letters(caller);
	SPI_finish();
	OutboxOwnerEnd(&scope);
	return letters;
}

/*
 * The same of those that were late and that nobody has decided about. One that
 * fails is left alone for longer and longer, and in the end to a person.
 */
static List *
take_late_letters(int max_rows)
{
	MemoryContext caller = CurrentMemoryContext;
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(max_rows)};
	List	   *letters;
	OutboxOwnerScope scope;

	OutboxOwnerBegin(&scope);
	SPI_connect();
	if (SPI_execute_with_args(SELECT_LETTERS
							  " WHERE state = 'open' AND stage = 'flush' AND event_type IS NULL"
							  " AND (attempts = 0 OR (attempts < 9 AND"
							  " created_at + pg_catalog.make_interval(secs => 4 ^ attempts) < pg_catalog.clock_timestamp()))"
							  " ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED",
							  lengthof(types), types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read outbox.dead_letter_entry");
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
	List	   *letters = NIL;

	for (uint64 i = 0; i < SPI_processed; i++)
		letters = lappend(letters, read_letter(SPI_tuptable->vals[i], SPI_tuptable->tupdesc));
	MemoryContextSwitchTo(spi);
	return letters;
}

static Letter *
read_letter(HeapTuple tuple, TupleDesc desc)
{
	Letter	   *letter = palloc0(sizeof(Letter));
	bool		isnull;

	letter->id = DatumGetInt64(heap_getattr(tuple, 1, desc, &isnull));
	letter->contract = column_text(tuple, desc, 2);
	letter->event_type = column_text(tuple, desc, 3);
	letter->emit = column_text(tuple, desc, 4);
	letter->key = column_jsonb(tuple, desc, 5);
	letter->before = column_jsonb(tuple, desc, 6);
	letter->source_columns = column_jsonb(tuple, desc, 7);
	letter->late = strcmp(column_text(tuple, desc, 8), "flush") == 0;
	letter->publish = strcmp(column_text(tuple, desc, 8), "publish") == 0;
	return letter;
}

static char *
column_text(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static Jsonb *
column_jsonb(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? NULL : DatumGetJsonbPCopy(value);
}

/* True when it became at least one event, or none is wanted any more. */
static bool
try_letter(Letter *letter, MemoryContext context)
{
	Attempt		attempt = {.letter = letter};
	ErrorData  *error = OutboxRunGuarded(attempt_step, &attempt, context);

	if (error)
		fail(&attempt, error->sqlerrcode, error->message, error->hint);
	if (attempt.failure.sqlerrcode == 0)
	{
		record_attempt(letter, NULL);
		return true;
	}
	record_attempt(letter, &attempt.failure);
	return false;
}

static void
attempt_step(void *arg)
{
	Attempt    *attempt = arg;
	Letter	   *letter = attempt->letter;

	if (!letter->publish)
		capture_again(attempt);
	else if (!OutboxRedriveRejected(letter->id))
		fail(attempt, ERRCODE_NO_DATA_FOUND, "the rejected event is not kept any more, its sink was dropped",
			 "Discard the dead letter.");
}

static void
capture_again(Attempt *attempt)
{
	Letter	   *letter = attempt->letter;
	OutboxContractConfig *config = OutboxContractGet(letter->contract);
	OutboxCompiledContract *contract = OutboxCompileContract(config, config->root, false);
	OutboxRedrive redrive = {.emit = letter_emit(letter), .event_type = letter->event_type};

	if (letter->event_type && OutboxContractEventType(config, letter->event_type) == NULL)
		fail(attempt, ERRCODE_UNDEFINED_OBJECT, "the event type does not exist any more",
			 "Discard the dead letter, or create the event type again.");
	else if (contract->query)
		attempt_key(attempt, contract);
	else if (find_rows(attempt, contract, &redrive))
	{
		OutboxDeadLetter failure = {0};

		attempt->nevents = OutboxCaptureRedrive(contract, &redrive, &failure);
		if (failure.message)
			fail(attempt, failure.sqlerrcode, failure.message, failure.hint);
	}
	OutboxFreeContract(contract);
}

/* Of a contract that is evaluated at commit. */
static void
attempt_key(Attempt *attempt, OutboxCompiledContract *contract)
{
	Letter	   *letter = attempt->letter;
	OutboxKeyLetter key_letter = {.event_type = letter->event_type, .emit = letter->emit, .late = letter->late,
		.by_relay = letter->by_relay, .key = letter->key, .lookup = letter->source_columns,
	.before = row_before(contract, letter)};
	OutboxDeadLetter failure = {0};

	attempt->nevents = OutboxRedriveKey(contract, &key_letter, &failure);
	if (failure.message)
		fail(attempt, failure.sqlerrcode, failure.message, failure.hint);
}

static char *
view_name(const OutboxCompiledContract *contract)
{
	Oid			view = contract->config->view;

	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(view)), get_rel_name(view));
}

/* The row before that the letter keeps; NULL when it has none. */
static HeapTuple
row_before(OutboxCompiledContract *contract, const Letter *letter)
{
	if (letter->before == NULL)
		return NULL;
	return fetch_row(contract, psprintf("SELECT (pg_catalog.jsonb_populate_record(NULL::%s, $1)).*", view_name(contract)),
					 letter->before);
}

static OutboxEmit
letter_emit(const Letter *letter)
{
	for (OutboxEmit emit = OUTBOX_EMIT_CREATED; emit < OUTBOX_EMIT_ALWAYS; emit++)
	{
		if (letter->emit && strcmp(letter->emit, OutboxEmitName(emit)) == 0)
			return emit;
	}
	return OUTBOX_EMIT_CHANGED;
}

/* The rows before and after, as the contract's owner may read them. False: the attempt has failed. */
static bool
find_rows(Attempt *attempt, OutboxCompiledContract *contract, OutboxRedrive *redrive)
{
	Letter	   *letter = attempt->letter;
	char	   *view = view_name(contract);

	if (redrive->emit != OUTBOX_EMIT_CREATED)
		redrive->before = row_before(contract, letter);
	redrive->before_unknown = redrive->before == NULL && redrive->emit == OUTBOX_EMIT_CHANGED;
	if (redrive->emit == OUTBOX_EMIT_DELETED)
	{
		if (redrive->before)
			return true;
		fail(attempt, ERRCODE_NO_DATA_FOUND, "the row before is not known", "Discard the dead letter.");
		return false;
	}
	if (letter->key == NULL)
	{
		fail(attempt, ERRCODE_NO_DATA_FOUND, "the key of the row is not known",
			 "Touch the row in its table again and discard the dead letter.");
		return false;
	}
	redrive->after = fetch_row(contract, psprintf("SELECT v.* FROM %s v WHERE %s", view, key_condition(contract, view)),
							   letter->key);
	if (redrive->after)
		return true;
	fail(attempt, ERRCODE_NO_DATA_FOUND, "the row is not in the view any more", "Discard the dead letter.");
	return false;
}

/* The first row, copied to the current memory context; NULL when there is none. Raises for a second one. */
static HeapTuple
fetch_row(OutboxCompiledContract *contract, const char *query, Jsonb *argument)
{
	MemoryContext caller = CurrentMemoryContext;
	Oid			types[] = {JSONBOID};
	Datum		values[] = {JsonbPGetDatum(argument)};
	HeapTuple	tuple = NULL;
	OutboxEvaluationScope scope;

	OutboxEvaluationBegin(&scope, contract->owner, true);
	SPI_connect();
	if (SPI_execute_with_args(query, lengthof(types), types, values, NULL, false, 2) != SPI_OK_SELECT)
		elog(ERROR, "could not read the view of contract \"%s\"", contract->config->name);
	if (SPI_processed > 1)
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("contract \"%s\" has more than one row for the key", contract->config->name)));
	if (SPI_processed == 1)
	{
		MemoryContext spi = MemoryContextSwitchTo(caller);

		tuple = heap_copytuple(SPI_tuptable->vals[0]);
		MemoryContextSwitchTo(spi);
	}
	SPI_finish();
	OutboxEvaluationEnd(&scope);
	return tuple;
}

/* "v.a = (...).a AND ...": the letter's key, cast to the view's types. */
static char *
key_condition(const OutboxCompiledContract *contract, const char *view)
{
	StringInfoData condition;
	ListCell   *lc;

	initStringInfo(&condition);
	foreach(lc, contract->config->key)
	{
		const char *column = quote_identifier(lfirst(lc));

		appendStringInfo(&condition, "%sv.%s = (pg_catalog.jsonb_populate_record(NULL::%s, $1)).%s",
						 condition.len ? " AND " : "", column, view, column);
	}
	return condition.data;
}

static void
fail(Attempt *attempt, int sqlerrcode, const char *message, const char *hint)
{
	attempt->failure.sqlerrcode = sqlerrcode ? sqlerrcode : ERRCODE_INTERNAL_ERROR;
	attempt->failure.message = pstrdup(message);
	attempt->failure.hint = hint ? pstrdup(hint) : NULL;
}

/* What the letter says from now on. */
static void
record_attempt(const Letter *letter, const OutboxDeadLetter *failure)
{
	char	   *id = psprintf(INT64_FORMAT, letter->id);

	if (failure == NULL)
	{
		const char *args[] = {id, GetUserNameFromId(GetSessionUserId(), false)};

		(void) OutboxExecute("UPDATE outbox.dead_letter_entry SET state = 'redriven', attempts = attempts + 1,"
							 " resolved_at = clock_timestamp(), resolved_by = $2 WHERE id = $1::bigint",
							 lengthof(args), args);
	}
	else
	{
		const char *args[] = {id, unpack_sql_state(failure->sqlerrcode), failure->message, failure->hint};

		(void) OutboxExecute("UPDATE outbox.dead_letter_entry SET attempts = attempts + 1, sqlstate = $2,"
							 " message = $3, hint = $4 WHERE id = $1::bigint", lengthof(args), args);
	}
}
