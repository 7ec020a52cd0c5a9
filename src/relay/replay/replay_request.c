/*-------------------------------------------------------------------------
 *
 * replay_request.c
 *	  A row of outbox_internal.replay_request: what to publish again, and how far it got.
 *
 * The set of events is fixed when the replay is asked for: those that lay
 * before the sink's position then. So a replay cannot run ahead of what the
 * relay publishes first, and a restart goes on with the same set. Snapshots
 * mean something only in the copy of the data in which they were taken.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xlog.h"
#include "catalog/pg_type_d.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/timestamp.h"

#include "relay/replay/replay_private.h"
#include "relay/session/session.h"
#include "util/util.h"

/* Columns of the query below. */
enum
{
	REQUEST_FROM_TIME = 1,
	REQUEST_TO_TIME,
	REQUEST_FROM_SEQ,
	REQUEST_TO_SEQ,
	REQUEST_EVENT_TYPE,
	REQUEST_AGGREGATE_TYPE,
	REQUEST_MESSAGE_KEY,
	REQUEST_SNAP_LAST,
	REQUEST_SNAP_CUR,
	REQUEST_SNAP_CURSOR,
	REQUEST_TOPIC,
	REQUEST_RATE,
	REQUEST_EVENTS,
	REQUEST_CURSOR,
	REQUEST_PUBLISHED,
	REQUEST_REJECTED,
	REQUEST_SYSTEM_IDENTIFIER,
	REQUEST_DATABASE_OID,
	REQUEST_EXCLUDED
};

static bool read_row(OutboxReplayRequest *request, MemoryContext context);
static void read_columns(OutboxReplayRequest *request, const OutboxRows *row);
static void read_excluded(OutboxReplayRequest *request, const OutboxRows *row);
static int compare_seq(const void *a, const void *b);
static bool is_foreign(const OutboxReplayRequest *request, const OutboxRows *row);
static void close_foreign(int64 id);

/*
 * Reads the request into the current memory context, in a transaction of its
 * own. False: it is not open any more, or belongs to another copy of the data,
 * in which case it is closed.
 */
bool
OutboxReplayRequestLoad(OutboxReplayRequest *request, int64 id)
{
	MemoryContext context = CurrentMemoryContext;
	OutboxOwnerScope scope;
	bool found;

	memset(request, 0, sizeof(*request));
	request->id = id;
	OutboxSessionBeginQuery(&scope);
	found = read_row(request, context);
	OutboxSessionEndQuery(&scope);
	return found;
}

/* Within SPI. */
static bool
read_row(OutboxReplayRequest *request, MemoryContext context)
{
	static const char query[] =
		"SELECT from_time, to_time, from_seq, to_seq, event_type, aggregate_type, message_key,"
		" snap_last, snap_cur, snap_cursor, topic, rate, events, cursor, published, rejected,"
		" system_identifier, database_oid, excluded"
		" FROM outbox_internal.replay_request WHERE id = $1 AND state IN ('waiting', 'running')";
	OutboxRows row = OutboxSelect(query, OUTBOX_ARGS(OUTBOX_INT8(request->id)));
	MemoryContext old;

	if (row.n == 0)
		return false;
	old = MemoryContextSwitchTo(context);
	read_columns(request, &row);
	MemoryContextSwitchTo(old);
	if (!is_foreign(request, &row))
		return true;
	close_foreign(request->id);
	return false;
}

static void
read_columns(OutboxReplayRequest *request, const OutboxRows *row)
{
	char *topic = OutboxRowText(row, 0, REQUEST_TOPIC);

	request->from_time = OutboxRowInt(row, 0, REQUEST_FROM_TIME, DT_NOBEGIN);
	request->to_time = OutboxRowInt(row, 0, REQUEST_TO_TIME, DT_NOEND);
	request->from_seq = OutboxRowInt(row, 0, REQUEST_FROM_SEQ, 0);
	request->to_seq = OutboxRowInt(row, 0, REQUEST_TO_SEQ, PG_INT64_MAX);
	request->event_type = OutboxRowText(row, 0, REQUEST_EVENT_TYPE);
	request->aggregate_type = OutboxRowText(row, 0, REQUEST_AGGREGATE_TYPE);
	request->message_key = OutboxRowText(row, 0, REQUEST_MESSAGE_KEY);
	request->last = OutboxSnapshotOfRow(row, 0, REQUEST_SNAP_LAST);
	request->cur = OutboxSnapshotOfRow(row, 0, REQUEST_SNAP_CUR);
	request->cur_cursor = OutboxRowInt(row, 0, REQUEST_SNAP_CURSOR, 0);
	request->topic = topic != NULL ? pg_server_to_any(topic, strlen(topic), PG_UTF8) : NULL;
	request->rate = (int32) OutboxRowInt(row, 0, REQUEST_RATE, 0);
	request->events = OutboxRowInt(row, 0, REQUEST_EVENTS, 0);
	request->cursor = OutboxRowInt(row, 0, REQUEST_CURSOR, 0);
	request->published = OutboxRowInt(row, 0, REQUEST_PUBLISHED, 0);
	request->rejected = OutboxRowInt(row, 0, REQUEST_REJECTED, 0);
	read_excluded(request, row);
}

static void
read_excluded(OutboxReplayRequest *request, const OutboxRows *row)
{
	bool isnull;
	ArrayType *array = DatumGetArrayTypeP(OutboxRowDatum(row, 0, REQUEST_EXCLUDED, &isnull));
	Datum *values;

	deconstruct_array(array, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &values, NULL, &request->nexcluded);
	request->excluded = palloc(sizeof(int64) * Max(request->nexcluded, 1));
	for (int i = 0; i < request->nexcluded; i++)
		request->excluded[i] = DatumGetInt64(values[i]);
	pfree(values);
}

/* Was this event passed without being published? */
bool
OutboxReplayExcludes(const OutboxReplayRequest *request, int64 seq)
{
	return bsearch(&seq, request->excluded, request->nexcluded, sizeof(int64), compare_seq) != NULL;
}

static int
compare_seq(const void *a, const void *b)
{
	int64 left = *(const int64 *) a;
	int64 right = *(const int64 *) b;

	return (left > right) - (left < right);
}

/* Asked for in a database that this one is a copy of, or in a future that a failover has lost? */
static bool
is_foreign(const OutboxReplayRequest *request, const OutboxRows *row)
{
	uint64 next = U64FromFullTransactionId(ReadNextFullTransactionId());

	return (uint64) OutboxRowInt(row, 0, REQUEST_SYSTEM_IDENTIFIER, 0) != GetSystemIdentifier() ||
		(Oid) OutboxRowInt(row, 0, REQUEST_DATABASE_OID, InvalidOid) != MyDatabaseId ||
		(request->last != NULL && request->last->xmax > next) ||
		(request->cur != NULL && request->cur->xmax > next);
}

static void
close_foreign(int64 id)
{
	static const char query[] =
		"UPDATE outbox_internal.replay_request SET state = 'cancelled', finished_at = clock_timestamp(),"
		" error = 'It was asked for in another copy of the data.' WHERE id = $1";

	(void) OutboxRun(query, OUTBOX_ARGS(OUTBOX_INT8(id)));
}

/*
 * Records how far it got, in a transaction of its own; finished: it is done.
 * error: what is wrong at present, NULL = nothing. False: somebody cancelled it.
 *
 * What was published counts also when somebody has cancelled the rest meanwhile.
 */
bool
OutboxReplayRequestSave(const OutboxReplayRequest *request, bool finished, const char *error)
{
	static const char query[] =
		"UPDATE outbox_internal.replay_request r SET cursor = $2, published = $3, rejected = $4, error = $5,"
		" started_at = coalesce(r.started_at, clock_timestamp()), updated_at = clock_timestamp(),"
		" state = CASE WHEN r.state NOT IN ('waiting', 'running') THEN r.state WHEN $6 THEN 'done' ELSE 'running' END,"
		" finished_at = CASE WHEN r.state IN ('waiting', 'running') AND $6 THEN clock_timestamp() ELSE r.finished_at END"
		" WHERE r.id = $1 RETURNING r.state IN ('running', 'done')";
	OutboxOwnerScope scope;
	OutboxRows row;
	bool goes_on;

	OutboxSessionBeginQuery(&scope);
	row = OutboxRun(query, OUTBOX_ARGS(OUTBOX_INT8(request->id), OUTBOX_INT8(request->cursor), OUTBOX_INT8(request->published), OUTBOX_INT8(request->rejected), OUTBOX_TEXT(error), OUTBOX_BOOL(finished)));
	goes_on = row.n == 1 && OutboxRowBool(&row, 0, 1);
	OutboxSessionEndQuery(&scope);
	return goes_on;
}
