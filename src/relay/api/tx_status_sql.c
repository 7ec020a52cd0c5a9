/*-------------------------------------------------------------------------
 *
 * tx_status_sql.c
 *	  SQL functions for applications that want to know when their transaction is published.
 *
 * A transaction is acknowledged for a sink when the sink's position sees it as
 * ended and nothing of it was left behind. What was left behind is written down
 * before the position moves past it, so it is looked for with a snapshot that is
 * taken after the position was read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "utils/xid8.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "relay/api/api_private.h"
#include "relay/session/session.h"
#include "shared/outbox_shared.h"
#include "util/util.h"

PG_FUNCTION_INFO_V1(outbox_tx_status);
PG_FUNCTION_INFO_V1(outbox_wait_acked);

/* The longest sleep between two looks. A transaction that ends without events wakes nobody. */
#define LOOK_MS 1000
#define LOOK_RUNNING_MS 50

/* Columns of tx_status(). */
enum
{
	STATUS_SINK,
	STATUS_STATE,
	STATUS_HELD,
	STATUS_DEAD_LETTERS,
	STATUS_AS_OF,
	STATUS_COLUMNS
};

/* In the order in which wait_acked() names the worst of several sinks. */
typedef enum TxState
{
	TX_ACKED,
	TX_HELD,
	TX_DEAD_LETTER,
	TX_PENDING,
	TX_RUNNING,
	TX_ABORTED,
	TX_UNKNOWN
} TxState;

static const char *const state_words[] = {
	[TX_ACKED] = "acked",
	[TX_HELD] = "held",
	[TX_DEAD_LETTER] = "dead_letter",
	[TX_PENDING] = "pending",
	[TX_RUNNING] = "running",
	[TX_ABORTED] = "aborted",
	[TX_UNKNOWN] = "unknown",
};

/* What a sink has of the transaction. */
typedef struct TxAtSink
{
	const OutboxSinkPosition *sink;
	TxState state;
	int64 held;
	int64 dead_letters;
} TxAtSink;

static uint64 transaction_arg(FunctionCallInfo fcinfo);
static int look(uint64 xid, const char *name, TxAtSink **found);
static TxState transaction_state(uint64 xid);
static void look_at(TxAtSink *at, uint64 xid);
static bool count_left_behind(TxAtSink *at, uint64 xid);
static bool count_of(TxAtSink *at, uint64 xid, const char *event_type, bool redrive);
static OutboxArg transaction(uint64 xid);
static long timeout_arg(FunctionCallInfo fcinfo);
static void check_ended(uint64 xid);
static TxState look_for_worst(uint64 xid, const char *name, int32 *waits_for);

/* tx_status(xid xid8, sink text): one row per sink. Raises undefined_object, invalid_parameter_value (a transaction of the future). */
Datum
outbox_tx_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	uint64 xid = transaction_arg(fcinfo);
	char *name = OutboxTextArg(fcinfo, 1);
	OutboxOwnerScope scope;
	TxAtSink *found;
	int n;

	InitMaterializedSRF(fcinfo, 0);
	OutboxApiBegin(&scope);
	SPI_connect();
	n = look(xid, name, &found);
	for (int i = 0; i < n; i++)
	{
		const TxAtSink *at = &found[i];
		Datum values[STATUS_COLUMNS] = {CStringGetTextDatum(at->sink->name), CStringGetTextDatum(state_words[at->state]),
										Int64GetDatum(at->held), Int64GetDatum(at->dead_letters), TimestampTzGetDatum(at->sink->as_of)};
		bool nulls[STATUS_COLUMNS] = {false, false, false, false, at->sink->as_of == 0};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	SPI_finish();
	OutboxOwnerEnd(&scope);
	return (Datum) 0;
}

static uint64
transaction_arg(FunctionCallInfo fcinfo)
{
	OutboxRequireVersion();
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("xid must not be null"),
				 errhint("outbox.tx_id() returns it, called in the transaction itself.")));
	return U64FromFullTransactionId(PG_GETARG_FULLTRANSACTIONID(0));
}

/* What each sink has of the transaction now; name NULL: all sinks. Returns how many. Within SPI, as the extension's owner. */
static int
look(uint64 xid, const char *name, TxAtSink **found)
{
	TxState state = transaction_state(xid);
	OutboxSinkPosition *sinks;
	int n = OutboxSinkPositions(name, &sinks);

	*found = palloc0(sizeof(TxAtSink) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		(*found)[i].sink = &sinks[i];
		(*found)[i].state = state;
		if (state == TX_PENDING)
			look_at(&(*found)[i], xid);
	}
	return n;
}

/* Pending: it has committed. Raises invalid_parameter_value when there was no such transaction yet. */
static TxState
transaction_state(uint64 xid)
{
	LOCAL_FCINFO(fcinfo, 1);
	char *word;
	Datum status;

	InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = FullTransactionIdGetDatum(FullTransactionIdFromU64(xid));
	fcinfo->args[0].isnull = false;
	status = pg_xact_status(fcinfo);
	if (fcinfo->isnull)
		return TX_UNKNOWN;
	word = TextDatumGetCString(status);
	return strcmp(word, "committed") == 0 ? TX_PENDING : strcmp(word, "aborted") == 0 ? TX_ABORTED
																					  : TX_RUNNING;
}

/* Of a transaction that has committed. */
static void
look_at(TxAtSink *at, uint64 xid)
{
	bool passed = OutboxSinkPositionSees(at->sink, xid);
	bool to_come;

	PushActiveSnapshot(GetLatestSnapshot());
	to_come = count_left_behind(at, xid);
	PopActiveSnapshot();
	if (at->dead_letters > 0)
		at->state = TX_DEAD_LETTER;
	else if (at->held > 0)
		at->state = TX_HELD;
	else if (passed && !to_come)
		at->state = TX_ACKED;
}

/*
 * Counts what of the transaction waits, and what needs a person, also of events that a redrive made for it in a
 * transaction of its own: those are told by their event type. True: an event is still to come without a person, of a late
 * key, which the relay takes up, or by a redrive that the sink has not acknowledged.
 */
static bool
count_left_behind(TxAtSink *at, uint64 xid)
{
	static const char redriven[] =
		"SELECT DISTINCT resolved_xid::text::bigint, event_type FROM outbox_internal.dead_letter_entry"
		" WHERE xid = $1 AND state = 'redriven' AND resolved_xid IS NOT NULL AND (sink IS NULL OR sink = $2)";
	OutboxRows rows = OutboxSelect(redriven, OUTBOX_ARGS(transaction(xid), OUTBOX_TEXT(at->sink->name)));
	bool to_come = count_of(at, xid, NULL, false);

	for (uint64 i = 0; i < rows.n; i++)
	{
		uint64 by = (uint64) OutboxRowInt(&rows, i, 1, 0);

		(void) count_of(at, by, OutboxRowText(&rows, i, 2), true);
		to_come |= !OutboxSinkPositionSees(at->sink, by);
	}
	return to_come;
}

/* Adds what a transaction left behind, of an event type (NULL: of all), of a redrive only what the broker rejected. True: late keys wait. */
static bool
count_of(TxAtSink *at, uint64 xid, const char *event_type, bool redrive)
{
	static const char query[] =
		"SELECT (SELECT count(*) FROM outbox_internal.held_event WHERE sink_id = $1 AND xid = $2 AND state <> 'discarded'"
		" AND ($4 IS NULL OR event_type = $4)),"
		" count(*) FILTER (WHERE stage <> 'flush' OR last_failure IS NOT NULL),"
		" count(*) FILTER (WHERE stage = 'flush' AND last_failure IS NULL)"
		" FROM outbox_internal.dead_letter_entry WHERE xid = $2 AND state = 'open' AND (sink IS NULL OR sink = $3)"
		" AND ($4 IS NULL OR event_type = $4) AND (stage = 'publish' OR NOT $5)";
	OutboxRows rows = OutboxSelect(query, OUTBOX_ARGS(OUTBOX_INT4(at->sink->id), transaction(xid), OUTBOX_TEXT(at->sink->name), OUTBOX_TEXT(event_type), OUTBOX_BOOL(redrive)));

	at->held += OutboxRowInt(&rows, 0, 1, 0);
	at->dead_letters += OutboxRowInt(&rows, 0, 2, 0);
	return OutboxRowInt(&rows, 0, 3, 0) > 0;
}

static OutboxArg
transaction(uint64 xid)
{
	return OUTBOX_DATUM(XID8OID, FullTransactionIdGetDatum(FullTransactionIdFromU64(xid)));
}

/* ---- waiting ------------------------------------------------------------------------ */

/*
 * wait_acked(xid xid8, sink text, timeout interval) returns text: the state as soon
 * as waiting longer would not change it, or when the time is over. Raises
 * active_sql_transaction, object_not_in_prerequisite_state (no sink is running),
 * undefined_object, invalid_parameter_value.
 */
Datum
outbox_wait_acked(PG_FUNCTION_ARGS)
{
	uint64 xid = transaction_arg(fcinfo);
	char *name = OutboxTextArg(fcinfo, 1);
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_arg(fcinfo));
	int32 waits_for = 0;
	int slot = -1;
	TxState state;

	check_ended(xid);
	for (;;)
	{
		long left;

		/* the look comes after this, so that what happens behind it wakes us */
		if (waits_for != 0)
			slot = OutboxAckedPrepare(waits_for);
		state = look_for_worst(xid, name, &waits_for);
		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
		if (waits_for == 0 || left <= 0)
			break;
		CHECK_FOR_INTERRUPTS();
		if (slot >= 0)
			OutboxAckedWait(slot, Min(left, state == TX_RUNNING ? LOOK_RUNNING_MS : LOOK_MS));
		else if (OutboxAckedPrepare(waits_for) < 0)
			OutboxPause(Min(left, LOOK_RUNNING_MS), OutboxWaitEvent("OutboxWaitAcked"));
	}
	OutboxAckedWaited();
	PG_RETURN_TEXT_P(cstring_to_text(state_words[state]));
}

/* In milliseconds. */
static long
timeout_arg(FunctionCallInfo fcinfo)
{
	const Interval *timeout;

	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("timeout must not be null"), errhint("It is an interval: '2 s'.")));
	timeout = PG_GETARG_INTERVAL_P(2);
	if (timeout->month != 0 || timeout->day != 0 || timeout->time < 0 || timeout->time > USECS_PER_HOUR)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("timeout must be between 0 and one hour"),
				 errdetail("The session and its connection are in use meanwhile, and its snapshot keeps VACUUM from dead rows."),
				 errhint("Wait for some seconds, and ask again with outbox.tx_status().")));
	return (long) (timeout->time / 1000);
}

/* Its own transaction can only be published after it. */
static void
check_ended(uint64 xid)
{
	if (FullTransactionIdIsValid(GetTopFullTransactionIdIfAny()) && U64FromFullTransactionId(GetTopFullTransactionIdIfAny()) == xid)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("transaction %llu has not ended: it is the present one", (unsigned long long) xid),
				 errhint("Call outbox.wait_acked() after COMMIT.")));
}

/* The worst state of the sinks, and a sink that may still get on; 0: none will by itself. */
static TxState
look_for_worst(uint64 xid, const char *name, int32 *waits_for)
{
	TxState state = TX_ACKED;
	OutboxOwnerScope scope;
	TxAtSink *found;
	bool any = false;
	int n;

	*waits_for = 0;
	OutboxApiBegin(&scope);
	SPI_connect();
	n = look(xid, name, &found);
	for (int i = 0; i < n; i++)
	{
		const TxAtSink *at = &found[i];

		if (name == NULL && !at->sink->running)
			continue;
		any = true;
		state = Max(state, at->state);
		if (at->sink->running && (at->state == TX_PENDING || at->state == TX_HELD || at->state == TX_RUNNING))
			*waits_for = at->sink->id;
	}
	SPI_finish();
	OutboxOwnerEnd(&scope);
	if (!any)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no sink is running"),
				 errhint("SELECT outbox.start_relay(); or name the sink.")));
	return state;
}
