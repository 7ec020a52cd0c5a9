/*-------------------------------------------------------------------------
 *
 * replay_sql.c
 *	  SQL functions that ask for a replay and cancel one.
 *
 * A replay is a row that the sink's relay works at; see replay.c. Which events
 * it has is decided here, once: those that lie before the sink's position as
 * of this statement, among the events that are still kept, without those that
 * the sink has passed and not published.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "catalog/outbox_catalog.h"
#include "relay/api/api.h"
#include "shared/outbox_shared.h"
#include "util/util.h"

PG_FUNCTION_INFO_V1(outbox_replay);
PG_FUNCTION_INFO_V1(outbox_cancel_replay);

/* Arguments of replay(). */
enum
{
	ARG_SINK,
	ARG_FROM_TIME,
	ARG_TO_TIME,
	ARG_EVENT_TYPE,
	ARG_AGGREGATE_TYPE,
	ARG_AGGREGATE_ID,
	ARG_FROM_SEQ,
	ARG_TO_SEQ,
	ARG_TOPIC,
	ARG_RATE,
	ARG_DRY_RUN
};

/* Parameters of the queries: the arguments up to the rate, the first one as the sink's id, then where we are. */
#define NPARAMS 12
#define PARAM_SYSTEM_IDENTIFIER 10
#define PARAM_DATABASE_OID 11

/* Columns of the result. */
#define RESULT_COLUMNS 4

#define DEFAULT_RATE 1000
#define FINISHED_DAYS "30"

static void check_arguments(FunctionCallInfo fcinfo);
static void check_order(FunctionCallInfo fcinfo);
static void check_event_type(FunctionCallInfo fcinfo);
static void ask(FunctionCallInfo fcinfo, int32 sink_id, Datum *result, bool *nulls);
static void forget_finished(void);

/*
 * replay(sink, from_time, to_time, event_type, aggregate_type, message_key,
 * from_seq, to_seq, topic, rate, dry_run) returns (request, events, first_at,
 * last_at). Raises undefined_object, invalid_parameter_value.
 */
Datum
outbox_replay(PG_FUNCTION_ARGS)
{
	char *sink = OutboxRequiredTextArg(fcinfo, ARG_SINK, "sink");
	bool dry_run = !PG_ARGISNULL(ARG_DRY_RUN) && PG_GETARG_BOOL(ARG_DRY_RUN);
	Datum result[RESULT_COLUMNS] = {0};
	int32 sink_id;
	bool nulls[RESULT_COLUMNS] = {true, true, true, true};
	OutboxOwnerScope scope;
	TupleDesc desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	OutboxApiBegin(&scope);
	SPI_connect();
	sink_id = OutboxFindSink(sink).id;
	check_arguments(fcinfo);
	check_event_type(fcinfo);
	ask(fcinfo, sink_id, result, nulls);
	if (!dry_run)
		forget_finished();
	SPI_finish();
	OutboxOwnerEnd(&scope);
	if (!dry_run)
		OutboxWakeRelaysAtCommit();
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), result, nulls)));
}

static void
check_arguments(FunctionCallInfo fcinfo)
{
	check_order(fcinfo);
	if (!PG_ARGISNULL(ARG_RATE) && PG_GETARG_INT32(ARG_RATE) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("rate of a replay must not be negative: %d", PG_GETARG_INT32(ARG_RATE)),
				 errhint("Give events per second, or 0 for as many as new events leave room for.")));
	if (!PG_ARGISNULL(ARG_TOPIC) && VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(ARG_TOPIC)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("topic of a replay is empty"),
				 errhint("Name a topic, or leave it out: each event then goes to its own.")));
}

/* A range that is the wrong way round finds nothing, which would look like history that is gone. */
static void
check_order(FunctionCallInfo fcinfo)
{
	if (!PG_ARGISNULL(ARG_FROM_TIME) && !PG_ARGISNULL(ARG_TO_TIME) &&
		PG_GETARG_TIMESTAMPTZ(ARG_FROM_TIME) >= PG_GETARG_TIMESTAMPTZ(ARG_TO_TIME))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("from_time of a replay is not before to_time"),
				 errdetail("A replay has the events that occurred from from_time on and before to_time."),
				 errhint("Exchange them, or leave one out.")));
	if (!PG_ARGISNULL(ARG_FROM_SEQ) && !PG_ARGISNULL(ARG_TO_SEQ) &&
		PG_GETARG_INT64(ARG_FROM_SEQ) > PG_GETARG_INT64(ARG_TO_SEQ))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("from_seq of a replay is larger than to_seq"),
				 errdetail("A replay has the events from from_seq to to_seq, both included."),
				 errhint("Exchange them, or leave one out.")));
}

/* Types that were dropped have events and schemas still. Within SPI. */
static void
check_event_type(FunctionCallInfo fcinfo)
{
	char *type = OutboxTextArg(fcinfo, ARG_EVENT_TYPE);

	if (type == NULL)
		return;
	if (OutboxSelect("SELECT FROM outbox_internal.event_schema WHERE event_type = $1 LIMIT 1", OUTBOX_ARGS(OUTBOX_TEXT(type))).n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there are no events of type \"%s\"", type),
				 errhint("SELECT DISTINCT event_type FROM outbox.event_schemas lists the types that there were.")));
}

/*
 * Counts, and records the request if it is one and has events. What the sink
 * has passed without publishing it (rejected, discarded, waiting) is noted, so
 * that it is left out. Within SPI; the result is by value.
 */
static void
ask(FunctionCallInfo fcinfo, int32 sink_id, Datum *result, bool *nulls)
{
	static const char matching[] =
		"WITH p AS (SELECT snap_last, snap_cur, cursor FROM outbox_internal.relay_progress"
		" WHERE sink_id = $1 AND system_identifier = $11 AND database_oid = $12),"
		" e AS (SELECT e.seq, e.occurred_at, e.seq IN (SELECT h.seq FROM outbox_internal.held_event h WHERE h.sink_id = $1)"
		" OR e.id IN (SELECT d.event_id FROM outbox_internal.dead_letter_entry d JOIN outbox_internal.sink s ON s.name = d.sink"
		" WHERE s.id = $1 AND d.stage = 'publish' AND d.state = 'discarded' AND d.event_id IS NOT NULL) AS excluded"
		" FROM outbox.event e, p"
		" WHERE (pg_visible_in_snapshot(e.xid, p.snap_last)"
		" OR e.seq <= p.cursor AND pg_visible_in_snapshot(e.xid, p.snap_cur))"
		" AND ($2 IS NULL OR e.occurred_at >= $2) AND ($3 IS NULL OR e.occurred_at < $3)"
		" AND ($4 IS NULL OR e.type = $4) AND ($5 IS NULL OR e.aggregatetype = $5)"
		" AND ($6 IS NULL OR e.aggregateid = $6)"
		" AND ($7 IS NULL OR e.seq >= $7) AND ($8 IS NULL OR e.seq <= $8)),"
		" n AS (SELECT count(*) FILTER (WHERE NOT excluded) AS events,"
		" min(occurred_at) FILTER (WHERE NOT excluded) AS first_at,"
		" max(occurred_at) FILTER (WHERE NOT excluded) AS last_at,"
		" coalesce(array_agg(seq ORDER BY seq) FILTER (WHERE excluded), '{}') AS excluded FROM e)";
	static const char count[] =
		" SELECT NULL::bigint, events, first_at, last_at FROM n";
	static const char insert[] =
		", r AS (INSERT INTO outbox_internal.replay_request (sink_id, from_time, to_time, event_type, aggregate_type, message_key,"
		" from_seq, to_seq, topic, rate, snap_last, snap_cur, snap_cursor, excluded, events, system_identifier, database_oid)"
		" SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, p.snap_last, p.snap_cur, p.cursor, n.excluded, n.events, $11, $12"
		" FROM n, p WHERE n.events > 0 RETURNING id)"
		" SELECT r.id, events, first_at, last_at FROM n LEFT JOIN r ON true";
	static const Oid types[] = {INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID,
								INT8OID, INT8OID, TEXTOID, INT4OID};
	bool dry_run = !PG_ARGISNULL(ARG_DRY_RUN) && PG_GETARG_BOOL(ARG_DRY_RUN);
	OutboxArg args[NPARAMS];
	OutboxRows rows;

	for (int i = ARG_FROM_TIME; i <= ARG_RATE; i++)
		args[i] = (OutboxArg){types[i], PG_GETARG_DATUM(i), PG_ARGISNULL(i)};
	args[ARG_SINK] = OUTBOX_INT4(sink_id);
	if (PG_ARGISNULL(ARG_RATE))
		args[ARG_RATE] = OUTBOX_INT4(DEFAULT_RATE);
	args[PARAM_SYSTEM_IDENTIFIER] = OUTBOX_INT8((int64) GetSystemIdentifier());
	args[PARAM_DATABASE_OID] = OUTBOX_OID(MyDatabaseId);
	rows = OutboxRun(psprintf("%s%s", matching, dry_run ? count : insert), NPARAMS, args);
	for (int i = 0; i < RESULT_COLUMNS; i++)
		result[i] = OutboxRowDatum(&rows, 0, i + 1, &nulls[i]);
}

/* Rows of replays that ended long ago. Within SPI. */
static void
forget_finished(void)
{
	(void) OutboxRun("DELETE FROM outbox_internal.replay_request WHERE finished_at < clock_timestamp() - interval '" FINISHED_DAYS " days'",
					 OUTBOX_NO_ARGS);
}

/*
 * cancel_replay(request bigint). Raises undefined_object,
 * object_not_in_prerequisite_state.
 */
Datum
outbox_cancel_replay(PG_FUNCTION_ARGS)
{
	OutboxOwnerScope scope;
	OutboxRows rows;
	char *state;

	OutboxRequireArg(fcinfo, 0, "request");
	OutboxApiBegin(&scope);
	SPI_connect();
	rows = OutboxRun("SELECT state FROM outbox_internal.replay_request WHERE id = $1 FOR UPDATE",
					 OUTBOX_ARGS(OUTBOX_INT8(PG_GETARG_INT64(0))));
	if (rows.n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("replay %lld does not exist", (long long) PG_GETARG_INT64(0)),
				 errhint("SELECT * FROM outbox.replays lists the replays.")));
	state = OutboxRowText(&rows, 0, 1);
	if (strcmp(state, "waiting") != 0 && strcmp(state, "running") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("replay %lld cannot be cancelled", (long long) PG_GETARG_INT64(0)),
				 errdetail("Its state is \"%s\".", state),
				 errhint("Only a replay that is waiting or running can be cancelled.")));
	(void) OutboxRun("UPDATE outbox_internal.replay_request SET state = 'cancelled', finished_at = clock_timestamp() WHERE id = $1",
					 OUTBOX_ARGS(OUTBOX_INT8(PG_GETARG_INT64(0))));
	SPI_finish();
	OutboxOwnerEnd(&scope);
	OutboxWakeRelaysAtCommit();
	PG_RETURN_VOID();
}
