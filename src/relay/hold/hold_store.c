/*-------------------------------------------------------------------------
 *
 * hold_store.c
 *	  Events that wait, on disk: outbox_internal.held_event, and their dead letters.
 *
 * The copy of an event commits before the position that passes it: positions
 * are written by later transactions of the same process, so whatever crash
 * leaves the position leaves the copy.  The other way round an event may be
 * read again although it has a copy; then the copy counts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "relay/hold/hold_private.h"
#include "relay/session/session.h"
#include "shared/outbox_shared.h"
#include "sink/sink.h"
#include "util/util.h"

/* Rows of outbox_internal.held_event fetched at a time while loading. */
#define LOAD_ROWS 5000

/* The same columns of outbox.event, whose names are those of Debezium's router, and of outbox_internal.held_event. */
#define EVENT_COLUMNS(aggregate_type, message_key, event_type)                                            \
	"seq, xid, occurred_at, id, schema_id, leaf, flags, " aggregate_type ", " message_key ", " event_type \
	", payload, tracingspancontext, headers"

/* The copy of events from one leaf, prepared until the transaction ends; leaf 0: not yet. */
typedef struct LeafPlan
{
	uint16 leaf;
	const char *query;
	OutboxPlan *prepared;
} LeafPlan;

static void reset_memory(OutboxHold *hold);
static void load_routes(OutboxHold *hold);
static void load_rows(OutboxHold *hold, OutboxSchemaCache *schemas);
static void load_row(OutboxHold *hold, OutboxSchemaCache *schemas, const OutboxRows *rows, uint64 i);
static bool is_word(OutboxSlice text, const char *word);
static int compare_marks(const void *a, const void *b);
static void store(OutboxHold *hold, OutboxHoldMark *mark, const char *sink_name, LeafPlan *plan);
static bool copy_event(const OutboxHold *hold, const OutboxHoldMark *mark, LeafPlan *plan);
static bool copy_event_at(const OutboxHold *hold, const OutboxHoldMark *mark, LeafPlan *plan);
static const char *copy_state(const OutboxHoldMark *mark);
static bool copy_event_anywhere(const OutboxHold *hold, const OutboxHoldMark *mark);
static const char *copy_query(const char *leaf, const char *also);
static const char *leaf_name(int number);
static void write_letter(int32 sink_id, int64 seq, const char *sink_name, const char *words);
static bool has_copy(const OutboxHold *hold, int64 seq);

/* ---- loading ----------------------------------------------------------------- */

/* Reads what waits. Runs a transaction. */
void
OutboxHoldLoad(OutboxHold *hold, OutboxSchemaCache *schemas)
{
	OutboxOwnerScope scope;

	reset_memory(hold);
	OutboxSessionBeginQuery(&scope);
	OutboxHoldWalkByKey();
	load_routes(hold);
	load_rows(hold, schemas);
	OutboxSessionEndQuery(&scope);
	hold->stale = false;
	/* a round finds soon enough that there is nothing to do */
	hold->release = true;
}

/*
 * For the rest of the transaction outbox_internal.held_event is walked along its key:
 * it grows and shrinks faster than statistics follow, and a million rows
 * sorted for every few hundred is what a planner without them may choose.
 */
void
OutboxHoldWalkByKey(void)
{
	static const char *const settings[] = {"enable_seqscan", "enable_bitmapscan", "enable_sort"};

	for (int i = 0; i < lengthof(settings); i++)
		OutboxSetInTransaction(settings[i], "off");
}

static void
reset_memory(OutboxHold *hold)
{
	HASHCTL lanes = {.keysize = sizeof(uint64), .entrysize = sizeof(OutboxLane)};
	HASHCTL aggregates = {.keysize = sizeof(uint64), .entrysize = sizeof(OutboxBlockedAggregate)};

	if (hold->context == NULL)
		hold->context = AllocSetContextCreate(hold->parent, "outbox held events", ALLOCSET_DEFAULT_SIZES);
	else
		MemoryContextReset(hold->context);
	lanes.hcxt = aggregates.hcxt = hold->context;
	hold->lanes = hash_create("outbox lanes", 256, &lanes, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	hold->aggregates = hash_create("outbox blocked aggregates", 64, &aggregates, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	hold->rejected = NULL;
	hold->nrejected = 0;
	hold->rejected_capacity = 0;
	hold->routes = NULL;
	hold->total = 0;
	hold->discarded = 0;
	hold->discarded_again_at = 0;
}

static void
load_routes(OutboxHold *hold)
{
	static const char query[] =
		"SELECT topic, schema_id, reason, tries, tried_at, next_try FROM outbox_internal.blocked_route WHERE sink_id = $1";
	OutboxRows rows = OutboxSelect(query, OUTBOX_ARGS(OUTBOX_INT4(hold->sink_id)));

	for (uint64 i = 0; i < rows.n; i++)
	{
		char *topic = OutboxRowText(&rows, i, 1);
		OutboxRoute *route = OutboxRouteAdd(hold, pg_server_to_any(topic, strlen(topic), PG_UTF8), (int32) OutboxRowInt(&rows, i, 2, 0));

		route->reason = MemoryContextStrdup(hold->context, OutboxRowText(&rows, i, 3));
		route->tries = (int) OutboxRowInt(&rows, i, 4, 0);
		route->tried_at = OutboxRowInt(&rows, i, 5, 0);
		route->next_try = OutboxRowInt(&rows, i, 6, 0);
	}
}

/* A batch at a time: there may be a million. */
static void
load_rows(OutboxHold *hold, OutboxSchemaCache *schemas)
{
	static const char query[] =
		"SELECT seq, schema_id, aggregate_type, message_key, state FROM outbox_internal.held_event WHERE sink_id = $1 AND seq > $2"
		" AND (state IN ('held', 'discarded') OR $3) ORDER BY seq LIMIT $4";
	bool all = hold->on_reject != OUTBOX_ON_REJECT_SKIP;
	int64 last = PG_INT64_MIN;
	OutboxRows rows;

	do
	{
		rows = OutboxSelect(query, OUTBOX_ARGS(OUTBOX_INT4(hold->sink_id), OUTBOX_INT8(last), OUTBOX_BOOL(all), OUTBOX_INT4(LOAD_ROWS)));
		for (uint64 i = 0; i < rows.n; i++)
			load_row(hold, schemas, &rows, i);
		if (rows.n > 0)
			last = OutboxRowInt(&rows, rows.n - 1, 1, 0);
		SPI_freetuptable(rows.table);
		CHECK_FOR_INTERRUPTS();
	} while (rows.n == LOAD_ROWS);
}

static void
load_row(OutboxHold *hold, OutboxSchemaCache *schemas, const OutboxRows *rows, uint64 i)
{
	int64 seq = OutboxRowInt(rows, i, 1, 0);
	const OutboxCachedSchema *schema = OutboxSchemaGet(schemas, (int32) OutboxRowInt(rows, i, 2, 0));
	uint64 aggregate = OutboxAggregateHash(OutboxRowSlice(rows, i, 3), OutboxRowSlice(rows, i, 4));
	OutboxSlice state = OutboxRowSlice(rows, i, 5);

	OutboxHoldCount(hold, seq, OutboxHoldLane(aggregate, schema));
	if (is_word(state, "discarded"))
		hold->discarded++;
	else if (!is_word(state, "held"))
		OutboxHoldAddRejected(hold, seq, aggregate);
}

static bool
is_word(OutboxSlice text, const char *word)
{
	return text.len == strlen(word) && memcmp(text.data, word, text.len) == 0;
}

/* ---- storing ----------------------------------------------------------------- */

/*
 * Writes what was marked, and routes that changed, in one transaction: with or
 * before the position that passes the events. True: the marked messages count
 * as acknowledged now.
 */
bool
OutboxHoldStore(OutboxHold *hold, OutboxDispatch *dispatch, const char *sink_name)
{
	OutboxOwnerScope scope;
	LeafPlan plan = {0};
	bool routes_changed = false;

	for (const OutboxRoute *route = hold->routes; route != NULL; route = route->next)
		routes_changed |= route->changed || route->open;
	if (hold->nmarks == 0 && !routes_changed)
		return false;

	/* acknowledgements come in any order */
	if (hold->nmarks > 1)
		qsort(hold->marks, hold->nmarks, sizeof(OutboxHoldMark), compare_marks);
	OutboxSessionBeginQuery(&scope);
	OutboxHoldWalkByKey();
	for (int i = 0; i < hold->nmarks; i++)
		store(hold, &hold->marks[i], sink_name, &plan);
	OutboxRoutesSave(hold);
	OutboxSessionEndQuery(&scope);

	for (int i = 0; i < hold->nmarks; i++)
	{
		OutboxPlace *place = OutboxDispatchFind(dispatch, hold->marks[i].index);

		if (place != NULL)
			place->acked = true;
	}
	hold->nmarks = 0;
	MemoryContextReset(hold->marks_context);
	return true;
}

static int
compare_marks(const void *a, const void *b)
{
	uint64 x = ((const OutboxHoldMark *) a)->index;
	uint64 y = ((const OutboxHoldMark *) b)->index;

	return x < y ? -1 : x > y;
}

/* One that has a copy already was counted when that was loaded. */
static void
store(OutboxHold *hold, OutboxHoldMark *mark, const char *sink_name, LeafPlan *plan)
{
	bool counts = mark->rejection == NULL || hold->on_reject != OUTBOX_ON_REJECT_SKIP;

	if (!copy_event(hold, mark, plan))
	{
		if (counts)
			OutboxHoldUncount(hold, mark->lane);
		return;
	}
	if (mark->rejection != NULL)
		write_letter(hold->sink_id, mark->seq, sink_name, mark->rejection);
}

/* False: there is a copy already. */
static bool
copy_event(const OutboxHold *hold, const OutboxHoldMark *mark, LeafPlan *plan)
{
	if (copy_event_at(hold, mark, plan))
		return true;
	if (has_copy(hold, mark->seq))
		return false;
	/* its leaf was rewritten since it was read */
	if (copy_event_anywhere(hold, mark))
		return true;
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("event %lld is not in the outbox any more", (long long) mark->seq),
			 errdetail("It is not published yet, and could not be held."),
			 errhint("The relay looks for it again; if this repeats, somebody removed rows of outbox.event.")));
	return false;
}

/* Where it was read; ten thousands may be copied in a row, most of them from one leaf. */
static bool
copy_event_at(const OutboxHold *hold, const OutboxHoldMark *mark, LeafPlan *plan)
{
	if (plan->leaf != mark->leaf)
	{
		const char *leaf = leaf_name(mark->leaf);

		if (leaf == NULL)
			return false;
		*plan = (LeafPlan){.leaf = mark->leaf, .query = copy_query(leaf, " AND ctid = $4")};
	}
	return OutboxRunPlanned(&plan->prepared, OUTBOX_PLAN_TO_END, plan->query,
							OUTBOX_ARGS(OUTBOX_INT4(hold->sink_id), OUTBOX_TEXT(copy_state(mark)), OUTBOX_INT8(mark->seq),
										OUTBOX_DATUM(TIDOID, PointerGetDatum(&mark->tid))))
			   .n > 0;
}

static const char *
copy_state(const OutboxHoldMark *mark)
{
	return mark->rejection ? "rejected" : "held";
}

static bool
copy_event_anywhere(const OutboxHold *hold, const OutboxHoldMark *mark)
{
	for (int number = 1; number <= OUTBOX_MAX_LEAVES; number++)
	{
		const char *leaf = leaf_name(number);

		if (leaf == NULL)
			continue;
		if (OutboxRun(copy_query(leaf, ""), OUTBOX_ARGS(OUTBOX_INT4(hold->sink_id), OUTBOX_TEXT(copy_state(mark)), OUTBOX_INT8(mark->seq))).n > 0)
			return true;
	}
	return false;
}

/* The leaf itself: whoever locks or alters outbox.event must not stop the relay. */
static const char *
copy_query(const char *leaf, const char *also)
{
	return psprintf("INSERT INTO outbox_internal.held_event (" EVENT_COLUMNS("aggregate_type", "message_key", "event_type") ", sink_id, state)"
																															" SELECT " EVENT_COLUMNS("aggregatetype", "aggregateid", "type") ", $1, $2 FROM ONLY %s WHERE seq = $3%s ON CONFLICT DO NOTHING",
					leaf, also);
}

/* By its oid, whatever it is called by now; NULL: there is none of this number. */
static const char *
leaf_name(int number)
{
	OutboxRows rows = OutboxRun("SELECT relation::oid FROM outbox_internal.leaf WHERE leaf = $1", OUTBOX_ARGS(OUTBOX_INT4(number)));
	Oid leaf = rows.n > 0 ? (Oid) OutboxRowInt(&rows, 0, 1, InvalidOid) : InvalidOid;

	SPI_freetuptable(rows.table);
	return get_rel_name(leaf) == NULL ? NULL : OutboxQualifiedName(leaf);
}

static bool
has_copy(const OutboxHold *hold, int64 seq)
{
	return OutboxRun("SELECT FROM outbox_internal.held_event WHERE sink_id = $1 AND seq = $2",
					 OUTBOX_ARGS(OUTBOX_INT4(hold->sink_id), OUTBOX_INT8(seq)))
			   .n > 0;
}

/* A dead letter of stage publish for a row of outbox_internal.held_event, or the one it has open again. */
static void
write_letter(int32 sink_id, int64 seq, const char *sink_name, const char *words)
{
	static const char again[] =
		"UPDATE outbox_internal.dead_letter_entry d SET state = 'open', last_failure = $3, resolved_at = NULL, resolved_by = NULL, resolved_xid = NULL"
		" FROM outbox_internal.held_event h WHERE h.sink_id = $1 AND h.seq = $2 AND d.id = h.letter AND d.sink = $4";
	static const char first[] =
		"WITH letter AS (INSERT INTO outbox_internal.dead_letter_entry"
		" (contract, event_type, key, stage, sqlstate, message, hint, sink, event_id, payload, xid)"
		" SELECT coalesce(s.contract, h.aggregate_type), h.event_type,"
		" jsonb_build_object('aggregate_type', h.aggregate_type, 'message_key', h.message_key),"
		" 'publish', '38000', $3, 'Remove the cause and redrive it, or discard it.', $4, h.id, h.payload, h.xid"
		" FROM outbox_internal.held_event h LEFT JOIN outbox_internal.event_schema s ON s.id = h.schema_id"
		" WHERE h.sink_id = $1 AND h.seq = $2 RETURNING id)"
		" UPDATE outbox_internal.held_event h SET letter = l.id FROM letter l WHERE h.sink_id = $1 AND h.seq = $2";
	static OutboxPlan *plan_again = NULL;
	static OutboxPlan *plan_first = NULL;
	const OutboxArg args[] = {OUTBOX_INT4(sink_id), OUTBOX_INT8(seq), OUTBOX_TEXT(OutboxPrintable(words)), OUTBOX_TEXT(sink_name)};

	if (OutboxRunPlanned(&plan_again, OUTBOX_PLAN_FOR_GOOD, again, lengthof(args), args).n == 0)
		(void) OutboxRunPlanned(&plan_first, OUTBOX_PLAN_FOR_GOOD, first, lengthof(args), args);
}

/* An event that waited was rejected: so says its row, and a dead letter; within a query. */
void
OutboxHoldReject(int32 sink_id, int64 seq, const char *sink_name, const char *words)
{
	static const char query[] =
		"UPDATE outbox_internal.held_event SET state = 'rejected' WHERE sink_id = $1 AND seq = $2 AND state <> 'discarded'";
	static OutboxPlan *plan = NULL;

	/* none: somebody has given it up meanwhile */
	if (OutboxRunPlanned(&plan, OUTBOX_PLAN_FOR_GOOD, query, OUTBOX_ARGS(OUTBOX_INT4(sink_id), OUTBOX_INT8(seq))).n > 0)
		write_letter(sink_id, seq, sink_name, words);
}
