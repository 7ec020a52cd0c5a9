/*-------------------------------------------------------------------------
 *
 * keeper_census.c
 *	  What a frozen leaf holds, and whether every sink has all of it.
 *
 * The events are counted in the leaf itself, and compared with how many each
 * sink has acknowledged when its position is past the leaf: two ways to the
 * same number, of which only one goes through hints, windows and positions.
 * When they differ the sink is set back to before the leaf, once.
 *
 * A large leaf is counted in slices, so that publishing does not wait for it;
 * it cannot change meanwhile. A count that is interrupted starts over.
 *
 * It stays, with the way back, because emptying a leaf is the one step that cannot be
 * repaired: a defect in hints, windows or positions costs a repetition, and no event.
 * That no leaf is emptied before every sink has what is in it rests on this, as far as
 * defects go that we do not know: test/t/063_leaf_backlog.pl falsifies a count;
 * test/t/060_leaves.pl and test/t/062_crash_leaves.pl see that all counts agree.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "relay/keeper/keeper_private.h"
#include "util/util.h"

/* 32 MB */
#define SLICE_BLOCKS 4096

static void start_census(OutboxLeafCensus *census, const OutboxKeptLeaf *leaf, Oid relfilenumber);
static bool count_slice(OutboxLeafCensus *census, Relation rel);
static void count_row(OutboxLeafCensus *census, TupleTableSlot *slot);
static void save_census(const OutboxKeptLeaf *leaf, const OutboxLeafCensus *census);
static char *find_missing(const OutboxKeptLeaf *leaf, MemoryContext context);
static void publish_again(const OutboxKeptLeaf *leaf);

/* Counts a slice of a frozen leaf, in a transaction of its own. True: the whole leaf is counted now. */
bool
OutboxKeeperCount(OutboxKeeper *keeper, const OutboxKeptLeaf *leaf)
{
	OutboxLeafCensus *census = &keeper->census;
	OutboxOwnerScope scope;
	Relation rel;
	bool counted = false;

	OutboxKeeperBegin(&scope);
	rel = try_table_open(leaf->relid, AccessShareLock);
	if (rel != NULL)
	{
		if (census->number != leaf->number || census->leaf_generation != leaf->leaf_generation ||
			census->relfilenumber != OutboxRelFileNumber(rel))
			start_census(census, leaf, OutboxRelFileNumber(rel));
		counted = count_slice(census, rel);
		if (counted)
			save_census(leaf, census);
		table_close(rel, NoLock);
	}
	OutboxKeeperEnd(&scope);
	if (counted)
		census->number = 0;
	return counted;
}

static void
start_census(OutboxLeafCensus *census, const OutboxKeptLeaf *leaf, Oid relfilenumber)
{
	*census = (OutboxLeafCensus){
		.number = leaf->number,
		.leaf_generation = leaf->leaf_generation,
		.relfilenumber = relfilenumber,
		.min_xid = PG_UINT64_MAX,
		.first_at = DT_NOEND,
		.last_at = DT_NOBEGIN,
	};
}

/* True: that was the last one. */
static bool
count_slice(OutboxLeafCensus *census, Relation rel)
{
	TableScanDesc scan = table_beginscan_strat(rel, GetActiveSnapshot(), 0, NULL, true, false);
	BlockNumber nblocks = ((HeapScanDesc) scan)->rs_nblocks;

	if (census->next < nblocks)
	{
		TupleTableSlot *slot = table_slot_create(rel, NULL);
		BlockNumber n = Min(SLICE_BLOCKS, nblocks - census->next);

		heap_setscanlimits(scan, census->next, n);
		while (heap_getnextslot(scan, ForwardScanDirection, slot))
			count_row(census, slot);
		census->next += n;
		ExecDropSingleTupleTableSlot(slot);
	}
	table_endscan(scan);
	return census->next >= nblocks;
}

static void
count_row(OutboxLeafCensus *census, TupleTableSlot *slot)
{
	uint64 xid;
	TimestampTz at;

	slot_getsomeattrs(slot, Anum_event_occurred_at);
	xid = DatumGetUInt64(slot->tts_values[Anum_event_xid - 1]);
	at = DatumGetTimestampTz(slot->tts_values[Anum_event_occurred_at - 1]);
	census->events++;
	census->min_xid = Min(census->min_xid, xid);
	census->max_xid = Max(census->max_xid, xid);
	census->first_at = Min(census->first_at, at);
	census->last_at = Max(census->last_at, at);
}

/* That a row is newer than the freeze would mean that locks do not prove what they should. */
static void
save_census(const OutboxKeptLeaf *leaf, const OutboxLeafCensus *census)
{
	static const char query[] =
		"UPDATE outbox_internal.leaf SET events = $3, min_xid = $4, first_at = $5, last_at = $6"
		" WHERE leaf = $1 AND leaf_generation = $2 AND state = 'frozen' AND $7 < pg_snapshot_xmax(frozen_snapshot)";
	bool none = census->events == 0;
	OutboxRows rows = OutboxRun(query, OUTBOX_ARGS(OUTBOX_INT2(leaf->number), OUTBOX_INT8(leaf->leaf_generation), OUTBOX_INT8(census->events), {XID8OID, UInt64GetDatum(census->min_xid), none}, {TIMESTAMPTZOID, TimestampTzGetDatum(census->first_at), none}, {TIMESTAMPTZOID, TimestampTzGetDatum(census->last_at), none}, OUTBOX_DATUM(XID8OID, UInt64GetDatum(census->max_xid))));

	if (rows.n != 1)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("leaf %d was written to after it had been frozen", leaf->number),
				 errdetail("Transaction %llu is newer than the freeze, or outbox.leaf was changed by hand.",
						   (unsigned long long) census->max_xid),
				 errhint("The leaf is kept. Report this with SELECT * FROM outbox.leaf;")));
}

/*
 * Every sink is past the leaf: acked; and all have acknowledged what is in
 * it: retained.  Otherwise those that have not publish it again.
 */
bool
OutboxKeeperCompare(OutboxKeeper *keeper, const OutboxKeptLeaf *leaf)
{
	static const char acked[] =
		"UPDATE outbox_internal.leaf SET state = 'acked', acked_at = coalesce(acked_at, clock_timestamp()), changed_at = clock_timestamp()"
		" WHERE leaf = $1 AND leaf_generation = $2 AND state IN ('frozen', 'acked')"
		" AND (SELECT count(*) > 0 AND bool_and(passed) FROM outbox_internal.leaf_sink WHERE leaf = $1)";
	static const char retained[] =
		"UPDATE outbox_internal.leaf SET state = 'retained' WHERE leaf = $1 AND leaf_generation = $2 AND state = 'acked'";
	const OutboxArg use[] = {OUTBOX_INT2(leaf->number), OUTBOX_INT8(leaf->leaf_generation)};
	OutboxOwnerScope scope;
	char *missing = NULL;
	bool moved = false;

	OutboxKeeperBegin(&scope);
	if (OutboxRun(acked, lengthof(use), use).n == 1)
	{
		missing = find_missing(leaf, keeper->context);
		moved = missing == NULL || !leaf->suspected;
		if (missing == NULL)
			(void) OutboxRun(retained, lengthof(use), use);
		else if (!leaf->suspected)
			publish_again(leaf);
	}
	OutboxKeeperEnd(&scope);

	if (missing != NULL && (moved || !keeper->said_counts))
	{
		keeper->said_counts = !moved;
		ereport(LOG,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("sinks have not acknowledged all events of leaf %d: %s", leaf->number, missing),
				 moved ? errdetail("They go back and publish from the beginning of the leaf on again.")
					   : errdetail("It was published again before; the leaf is kept."),
				 errhint("Report this as a defect of outbox_ext.")));
	}
	if (!moved)
		OutboxKeeperHoldOff(keeper, leaf->number);
	return moved;
}

/* The sinks that have not acknowledged what is in the leaf, with numbers; NULL: there is none. */
static char *
find_missing(const OutboxKeptLeaf *leaf, MemoryContext context)
{
	static const char query[] =
		"SELECT string_agg(format('%s %s of %s', s.sink, s.acked, l.events), ', ')"
		" FROM outbox_internal.leaf l JOIN outbox_internal.leaf_sink s ON s.leaf = l.leaf"
		" WHERE l.leaf = $1 AND s.gets_all AND s.acked <> l.events";
	OutboxRows rows = OutboxRun(query, OUTBOX_ARGS(OUTBOX_INT2(leaf->number)));
	char *missing = OutboxRowText(&rows, 0, 1);

	return missing == NULL ? NULL : MemoryContextStrdup(context, missing);
}

/*
 * A snapshot that sees nothing of the leaf; the relay goes there when it notices (progress.c).  Nor may it see as
 * ended what the position does not: a transaction older than the leaf that is open all the time.
 */
static void
publish_again(const OutboxKeptLeaf *leaf)
{
	static const char rewind[] =
		"UPDATE outbox_internal.relay_progress p SET rewind_to ="
		" format('%1$s:%1$s:', least(l.min_xid, pg_snapshot_xmin(p.snap_last)))::pg_snapshot,"
		" written_by = CASE WHEN p.written_by::xid = p.xmin THEN pg_current_xact_id() END"
		" FROM outbox_internal.leaf l JOIN outbox_internal.leaf_sink s ON s.leaf = l.leaf"
		" WHERE l.leaf = $1 AND s.gets_all AND s.acked <> l.events AND p.sink_id = s.sink_id";
	static const char frozen[] =
		"UPDATE outbox_internal.leaf SET state = 'frozen', acked_at = NULL, republished = republished + 1 WHERE leaf = $1";

	(void) OutboxRun(rewind, OUTBOX_ARGS(OUTBOX_INT2(leaf->number)));
	(void) OutboxRun(frozen, OUTBOX_ARGS(OUTBOX_INT2(leaf->number)));
}
