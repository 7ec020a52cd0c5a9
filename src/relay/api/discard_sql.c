/*-------------------------------------------------------------------------
 *
 * discard_sql.c
 *	  discard_held(): events that a topic or a registry will never take are given up.
 *
 * Given up is what waits for a topic, or a schema of it, that takes nothing;
 * what waits behind a rejected event of its aggregate has its own remedy, the
 * dead letter.  Each event becomes a dead letter of stage publish that is
 * discarded already, so who, when and why stand where people look for lost
 * events, with the payload, and a replay leaves the event out.
 *
 * The relay need not pause.  It may have an event under way meanwhile, which
 * is published all the same then.  The row stays, without its payload, until
 * the position on disk has passed the event (hold_store.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "letters/letters.h"
#include "relay/api/api_private.h"
#include "relay/hold/hold.h"
#include "sink/sink.h"
#include "util/util.h"

PG_FUNCTION_INFO_V1(outbox_discard_held);

/* What a person wants given up. */
typedef struct Request
{
	OutboxSinkEntry sink;
	const char *topic;   /* NULL: any */
	const char *subject; /* NULL: any */
	const char *reason;
	const char *person;
} Request;

static void take_request(FunctionCallInfo fcinfo, Request *request);
static Datum held_schemas(const Request *request, bool blocked);
static bool is_of_subject(const Request *request, const OutboxSinkCallbacks *callbacks, const char *topic, const char *full_name);
static uint64 give_up(const Request *request, Datum schemas);
OUTBOX_NORETURN static void refuse_nothing(const Request *request);

/*
 * discard_held(sink text, topic text, subject text, reason text) returns
 * bigint: how many events were given up.  Raises null_value_not_allowed,
 * invalid_parameter_value, undefined_object (no such sink, or it holds
 * nothing of the kind), object_not_in_prerequisite_state (nothing refuses
 * what it holds), feature_not_supported (its library knows no subjects).
 */
Datum
outbox_discard_held(PG_FUNCTION_ARGS)
{
	Request request;
	OutboxOwnerScope scope;
	uint64 n;

	take_request(fcinfo, &request);
	OutboxApiBegin(&scope);
	SPI_connect();
	request.sink = OutboxReadSink(request.sink.name);
	n = give_up(&request, held_schemas(&request, true));
	if (n == 0)
		refuse_nothing(&request);
	(void) OutboxHoldForgetDiscarded(request.sink.id);
	SPI_finish();
	OutboxOwnerEnd(&scope);
	OutboxTellSinks();
	OutboxWakeRelaysAtCommit();
	PG_RETURN_INT64((int64) n);
}

static void
take_request(FunctionCallInfo fcinfo, Request *request)
{
	*request = (Request){.sink.name = OutboxRequiredTextArg(fcinfo, 0, "sink"),
						 .topic = OutboxTextArg(fcinfo, 1),
						 .subject = OutboxTextArg(fcinfo, 2),
						 .reason = OutboxRequiredTextArg(fcinfo, 3, "reason"),
						 .person = GetUserNameFromId(GetSessionUserId(), false)};
	if (request->topic == NULL && request->subject == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("\"topic\" or \"subject\" must be given"),
				 errdetail("Events are given up of one topic, or of one subject of a registry."),
				 errhint("SELECT name, last_error FROM outbox.status WHERE kind = 'topic'; names both.")));
	if (request->reason[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"reason\" must not be empty"),
				 errhint("Say why the events are not needed; outbox.dead_letter keeps the reason.")));
}

/*
 * The ids of schemas of which events wait, as an array; blocked: only those
 * that the topic or the registry takes nothing of.  Within SPI.
 */
static Datum
held_schemas(const Request *request, bool blocked)
{
	static const char query[] =
		"SELECT s.id, s.topic, concat_ws('.', s.schema::json ->> 'namespace', s.schema::json ->> 'name')"
		" FROM outbox_internal.event_schema s"
		" WHERE (s.topic = $2 OR $2 IS NULL)"
		" AND EXISTS (SELECT FROM outbox_internal.held_event h WHERE h.sink_id = $1 AND h.schema_id = s.id AND h.state IN ('held', 'redrive'))"
		" AND (NOT $3 OR EXISTS (SELECT FROM outbox_internal.blocked_route b"
		" WHERE b.sink_id = $1 AND b.topic = s.topic AND b.schema_id IN (0, s.id)))";
	OutboxRows rows = OutboxSelect(query, OUTBOX_ARGS(OUTBOX_INT4(request->sink.id), OUTBOX_TEXT(request->topic), OUTBOX_BOOL(blocked)));
	const OutboxSinkCallbacks *callbacks = request->subject != NULL ? OutboxSinkLoad(request->sink.library) : NULL;
	Datum *ids = palloc(sizeof(Datum) * Max(1, rows.n));
	int n = 0;

	for (uint64 i = 0; i < rows.n; i++)
	{
		if (request->subject == NULL || is_of_subject(request, callbacks, OutboxRowText(&rows, i, 2), OutboxRowText(&rows, i, 3)))
			ids[n++] = Int32GetDatum((int32) OutboxRowInt(&rows, i, 1, 0));
	}
	return PointerGetDatum(construct_array(ids, n, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

/* Subjects are the library's affair. No file is read for it: neither the secrets nor what is wrong with them matters here. */
static bool
is_of_subject(const Request *request, const OutboxSinkCallbacks *callbacks, const char *topic, const char *full_name)
{
	int n;
	OutboxSinkOption *options = OutboxSinkOptionsUnread(request->sink.options, &n);
	const char *subject;

	if (callbacks->subject_cb == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("sink \"%s\" has no subjects", request->sink.name),
				 errdetail("Its library \"%s\" works without a schema registry.", request->sink.library),
				 errhint("Give the topic.")));
	subject = callbacks->subject_cb(options, n, topic, full_name);
	return subject != NULL && strcmp(subject, request->subject) == 0;
}

/* Returns how many events. Within SPI. */
static uint64
give_up(const Request *request, Datum schemas)
{
	/* in the order of seq, as the relay writes them */
	static const char query[] =
		"WITH doomed AS MATERIALIZED (SELECT h.seq FROM outbox_internal.held_event h"
		" WHERE h.sink_id = $1 AND h.schema_id = ANY ($3) AND h.state IN ('held', 'redrive') ORDER BY h.seq FOR UPDATE),"
		" event AS (SELECT h.*, s.contract, (SELECT b.reason FROM outbox_internal.blocked_route b WHERE b.sink_id = $1"
		" AND b.topic = s.topic AND b.schema_id IN (0, s.id) ORDER BY b.schema_id LIMIT 1) AS words"
		" FROM doomed JOIN outbox_internal.held_event h ON h.sink_id = $1 AND h.seq = doomed.seq"
		" JOIN outbox_internal.event_schema s ON s.id = h.schema_id),"
		" letter AS (INSERT INTO outbox_internal.dead_letter_entry (contract, event_type, key, stage, sqlstate, message, sink,"
		" event_id, payload, state, resolved_at, resolved_by, resolution)"
		" SELECT contract, event_type, jsonb_build_object('aggregate_type', aggregate_type, 'message_key', message_key),"
		" 'publish', '38000', words, $2, id, payload, 'discarded', clock_timestamp(), $4, $5 FROM event WHERE letter IS NULL),"
		/* it was rejected once, and redriven */
		" again AS (UPDATE outbox_internal.dead_letter_entry d SET state = 'discarded', last_failure = e.words,"
		" resolved_at = clock_timestamp(), resolved_by = $4, resolution = $5 FROM event e WHERE d.id = e.letter AND d.sink = $2)"
		" UPDATE outbox_internal.held_event h SET state = 'discarded', payload = NULL, letter = NULL"
		" FROM doomed WHERE h.sink_id = $1 AND h.seq = doomed.seq";

	return OutboxRun(query, OUTBOX_ARGS(OUTBOX_INT4(request->sink.id), OUTBOX_TEXT(request->sink.name), OUTBOX_DATUM(INT4ARRAYOID, schemas), OUTBOX_TEXT(request->person), OUTBOX_TEXT(request->reason))).n;
}

/* Nothing was given up: is there nothing, or nothing that is refused? Within SPI. */
static void
refuse_nothing(const Request *request)
{
	const char *kind = request->topic != NULL ? "topic" : "subject";
	const char *name = request->topic != NULL ? request->topic : request->subject;

	if (ARR_NDIM(DatumGetArrayTypeP(held_schemas(request, false))) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("events of %s \"%s\" are not refused by sink \"%s\"", kind, name, request->sink.name),
				 errdetail("Those that wait do so behind rejected events of their aggregates, or have not been offered since the relay started."),
				 errhint("Redrive or discard the dead letters: SELECT * FROM outbox.dead_letter WHERE sink = '%s' AND state = 'open';", request->sink.name)));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("sink \"%s\" holds no events of %s \"%s\"", request->sink.name, kind, name),
			 errhint("SELECT topic, reason, count(*) FROM outbox.held_events WHERE sink = '%s' GROUP BY 1, 2; tells what it holds.", request->sink.name)));
}
