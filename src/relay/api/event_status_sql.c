/*-------------------------------------------------------------------------
 *
 * event_status_sql.c
 *	  outbox.event_status(): what became of one event, by its id, for operators.
 *
 * There is no index on ids: they would cost every writer. An id tells the
 * millisecond in which it was made, and the leaves tell which times they hold, so
 * one or two leaves are read from end to end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "utils/uuid.h"

#include "catalog/outbox_catalog.h"
#include "relay/api/api_private.h"
#include "util/util.h"

PG_FUNCTION_INFO_V1(outbox_event_status);

/* Columns of event_status(). */
enum
{
	STATUS_SINK,
	STATUS_STATE,
	STATUS_TOPIC,
	STATUS_SEQ,
	STATUS_REASON,
	STATUS_COLUMNS
};

typedef struct FoundEvent
{
	uint64 xid;
	int64 seq;
	char *topic;
} FoundEvent;

static bool find_event(const pg_uuid_t *id, FoundEvent *event);
static bool find_in_leaf(Oid leaf, const pg_uuid_t *id, FoundEvent *event);
static bool take_event(const OutboxRows *rows, FoundEvent *event);
static TimestampTz time_of(const pg_uuid_t *id);
static void put_status(ReturnSetInfo *result, const OutboxSinkPosition *sink, const FoundEvent *event);
static const char *left_behind(const OutboxSinkPosition *sink, const FoundEvent *event, char **reason);
static bool is_acked(const OutboxSinkPosition *sink, const FoundEvent *event);
static void put(ReturnSetInfo *result, const char *sink, const char *state, const FoundEvent *event, const char *reason);

/*
 * event_status(id uuid, sink text): one row per sink, none when the event is
 * nowhere. Reads leaves from end to end. Raises undefined_object.
 */
Datum
outbox_event_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	char *name = OutboxTextArg(fcinfo, 1);
	OutboxOwnerScope scope;
	OutboxSinkPosition *sinks;
	FoundEvent event;
	int n;

	InitMaterializedSRF(fcinfo, 0);
	OutboxRequireVersion();
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	OutboxApiBegin(&scope);
	SPI_connect();
	n = OutboxSinkPositions(name, &sinks);
	PushActiveSnapshot(GetLatestSnapshot());
	if (find_event(PG_GETARG_UUID_P(0), &event))
	{
		for (int i = 0; i < n; i++)
			put_status(result, &sinks[i], &event);
	}
	PopActiveSnapshot();
	SPI_finish();
	OutboxOwnerEnd(&scope);
	return (Datum) 0;
}

/* Among those that wait, then in the leaves of its time. */
static bool
find_event(const pg_uuid_t *id, FoundEvent *event)
{
	static const char held[] =
		"SELECT h.xid::text::bigint, h.seq, s.topic FROM outbox_internal.held_event h"
		" LEFT JOIN outbox_internal.event_schema s ON s.id = h.schema_id WHERE h.id = $1 LIMIT 1";
	static const char leaves[] =
		"SELECT relation::oid FROM outbox_internal.leaf WHERE state <> 'empty'"
		" AND coalesce($1 >= first_at - interval '1 hour' AND $1 <= last_at + interval '1 hour', true) ORDER BY leaf";
	OutboxRows rows = OutboxSelect(held, OUTBOX_ARGS(OUTBOX_DATUM(UUIDOID, UUIDPGetDatum(id))));

	if (take_event(&rows, event))
		return true;
	rows = OutboxSelect(leaves, OUTBOX_ARGS(OUTBOX_TIME(time_of(id))));
	for (uint64 i = 0; i < rows.n; i++)
	{
		if (find_in_leaf((Oid) OutboxRowInt(&rows, i, 1, InvalidOid), id, event))
			return true;
	}
	return false;
}

static bool
find_in_leaf(Oid leaf, const pg_uuid_t *id, FoundEvent *event)
{
	OutboxRows rows;
	char *query;

	/* a leaf that was dropped since */
	if (get_rel_name(leaf) == NULL)
		return false;
	query = psprintf("SELECT e.xid::text::bigint, e.seq, s.topic FROM ONLY %s e"
					 " LEFT JOIN outbox_internal.event_schema s ON s.id = e.schema_id WHERE e.id = $1 LIMIT 1",
					 OutboxQualifiedName(leaf));
	rows = OutboxSelect(query, OUTBOX_ARGS(OUTBOX_DATUM(UUIDOID, UUIDPGetDatum(id))));
	return take_event(&rows, event);
}

static bool
take_event(const OutboxRows *rows, FoundEvent *event)
{
	if (rows->n == 0)
		return false;
	event->xid = (uint64) OutboxRowInt(rows, 0, 1, 0);
	event->seq = OutboxRowInt(rows, 0, 2, 0);
	event->topic = OutboxRowText(rows, 0, 3);
	return true;
}

/* Of a UUID of version 7: its first 48 bits are milliseconds since 1970. */
static TimestampTz
time_of(const pg_uuid_t *id)
{
	int64 ms = 0;

	for (int i = 0; i < 6; i++)
		ms = ms << 8 | id->data[i];
	return (ms - (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000) * 1000;
}

static void
put_status(ReturnSetInfo *result, const OutboxSinkPosition *sink, const FoundEvent *event)
{
	char *reason = NULL;
	const char *state;
	bool acked;

	if (OutboxSnapshotSees(sink->start, event->xid))
	{
		put(result, sink->name, "unknown", event, "It was there before the sink began, which does not get it.");
		return;
	}
	acked = is_acked(sink, event);
	/* what was left behind was written down before the position went past it */
	PushActiveSnapshot(GetLatestSnapshot());
	state = left_behind(sink, event, &reason);
	PopActiveSnapshot();
	put(result, sink->name, state != NULL ? state : acked ? "acked"
														  : "pending",
		event, reason);
}

/* "held", "dead_letter" or "discarded" when the sink has passed the event without publishing it; else NULL. */
static const char *
left_behind(const OutboxSinkPosition *sink, const FoundEvent *event, char **reason)
{
	static const char query[] =
		"SELECT CASE WHEN h.state IN ('held', 'discarded') THEN h.state ELSE 'dead_letter' END,"
		" coalesce(CASE WHEN h.state = 'discarded' THEN d.resolution END, d.last_failure, d.message,"
		" (SELECT b.reason FROM outbox_internal.blocked_route b WHERE b.sink_id = h.sink_id AND b.topic = $3"
		" AND b.schema_id IN (0, h.schema_id) ORDER BY b.schema_id LIMIT 1), 'It waits for an earlier event of its aggregate.')"
		" FROM outbox_internal.held_event h LEFT JOIN outbox_internal.dead_letter_entry d ON d.id = h.letter"
		" WHERE h.sink_id = $1 AND h.seq = $2";
	OutboxRows rows = OutboxSelect(query, OUTBOX_ARGS(OUTBOX_INT4(sink->id), OUTBOX_INT8(event->seq), OUTBOX_TEXT(event->topic)));

	if (rows.n == 0)
		return NULL;
	*reason = OutboxRowText(&rows, 0, 2);
	return OutboxRowText(&rows, 0, 1);
}

/* Behind the position: in a window that is done, or in the done part of the present one. */
static bool
is_acked(const OutboxSinkPosition *sink, const FoundEvent *event)
{
	if (OutboxSinkPositionSees(sink, event->xid))
		return true;
	return OutboxSnapshotSees(sink->cur, event->xid) && event->seq <= sink->cursor;
}

static void
put(ReturnSetInfo *result, const char *sink, const char *state, const FoundEvent *event, const char *reason)
{
	Datum values[STATUS_COLUMNS] = {0};
	bool nulls[STATUS_COLUMNS] = {false};

	OutboxSetText(values, nulls, STATUS_SINK, sink);
	OutboxSetText(values, nulls, STATUS_STATE, state);
	OutboxSetText(values, nulls, STATUS_TOPIC, event->topic);
	values[STATUS_SEQ] = Int64GetDatum(event->seq);
	OutboxSetText(values, nulls, STATUS_REASON, reason);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}
