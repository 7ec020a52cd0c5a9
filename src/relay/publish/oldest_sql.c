/*-------------------------------------------------------------------------
 *
 * oldest_sql.c
 *	  The oldest event that a sink has not acknowledged, when no relay says so.
 *
 * A relay that runs reports it.  For a sink that is stopped, paused, was never
 * started, or pauses after a failure, the recorded position and the leaves are
 * asked.  A backlog may be large and old, and monitoring looks often: of a leaf
 * only a few blocks are read.  Rows are written in about the order in which
 * their transactions commit, so a binary search finds where those begin that
 * are not acknowledged, and a scan around that place finds the oldest.  A
 * transaction that was open when the position was recorded may have written
 * far before; then a larger, still bounded part of the leaf is read.
 *
 * Waits for no lock: a leaf that is being emptied is left out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "catalog/outbox_catalog.h"
#include "relay/session/session.h"
#include "util/util.h"

/* Blocks without a row of a committed transaction that a probe passes over. */
#define PROBE_BLOCKS 16
/* Blocks around the place that was found: concurrent transactions write beside each other. */
#define AROUND_BLOCKS 64
/* Blocks before it, when a transaction that was open then may have written there: 32 MB. */
#define BEFORE_BLOCKS 4096

typedef struct Position
{
	OutboxSnapshot *last; /* NULL: nothing is acknowledged */
	OutboxSnapshot *cur;
	int64 cursor;
} Position;

/* What a range of blocks holds. */
typedef struct Finding
{
	bool any;           /* a row of a committed transaction */
	bool pending;       /* one that is not acknowledged */
	TimestampTz oldest; /* of those */
} Finding;

PG_FUNCTION_INFO_V1(outbox_oldest_pending);

static void read_position(int32 sink_id, Position *position);
static Finding search_leaf(Oid relid, const Position *position);
static BlockNumber find_boundary(Relation rel, BlockNumber nblocks, const Position *position);
static Finding read_blocks(Relation rel, BlockNumber first, BlockNumber n, const Position *position);
static bool is_acknowledged(const Position *position, uint64 xid, int64 seq);

/*
 * oldest_pending(sink_id int) returns timestamptz: occurred_at; NULL when
 * everything that is committed is acknowledged.  Leaves are looked at in the order of their use,
 * until one has such an event.
 */
Datum
outbox_oldest_pending(PG_FUNCTION_ARGS)
{
	static const char query[] =
		"SELECT l.relation::oid FROM outbox_internal.leaf l"
		" JOIN outbox_internal.leaf_sink k ON k.leaf = l.leaf AND k.sink_id = $1"
		" WHERE l.state <> 'empty' AND NOT k.passed ORDER BY l.opened_at, l.leaf";
	OutboxOwnerScope scope;
	Finding finding = {0};
	Position position;
	OutboxRows leaves;

	OutboxOwnerBegin(&scope);
	SPI_connect();
	read_position(PG_GETARG_INT32(0), &position);
	leaves = OutboxSelect(query, OUTBOX_ARGS(OUTBOX_INT4(PG_GETARG_INT32(0))));
	for (uint64 i = 0; i < leaves.n && !finding.pending; i++)
		finding = search_leaf((Oid) OutboxRowInt(&leaves, i, 1, InvalidOid), &position);
	SPI_finish();
	OutboxOwnerEnd(&scope);
	if (!finding.pending)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(finding.oldest);
}

/* Within SPI. A position that was recorded in another copy of the data, or lies ahead, covers nothing. */
static void
read_position(int32 sink_id, Position *position)
{
	static const char query[] =
		"SELECT p.snap_last, p.snap_cur, p.cursor FROM outbox_internal.relay_progress p"
		" WHERE p.sink_id = $1 AND p.rewind_to IS NULL"
		" AND p.database_oid = (SELECT oid FROM pg_database WHERE datname = current_database())"
		" AND p.system_identifier = (SELECT system_identifier FROM pg_control_system())"
		" AND pg_snapshot_xmax(p.snap_last) <= pg_snapshot_xmax(pg_current_snapshot())";
	OutboxRows rows = OutboxSelect(query, OUTBOX_ARGS(OUTBOX_INT4(sink_id)));

	*position = (Position){0};
	if (rows.n == 0)
		return;
	position->last = OutboxSnapshotOfRow(&rows, 0, 1);
	position->cur = OutboxSnapshotOfRow(&rows, 0, 2);
	position->cursor = OutboxRowInt(&rows, 0, 3, 0);
}

static Finding
search_leaf(Oid relid, const Position *position)
{
	Finding finding = {0};
	BlockNumber boundary;
	BlockNumber before;
	BlockNumber first;
	BlockNumber nblocks;
	Relation rel = OutboxOpenWithoutWaiting(relid);

	if (rel == NULL)
		return finding;
	nblocks = RelationGetNumberOfBlocks(rel);
	boundary = find_boundary(rel, nblocks, position);
	before = position->last != NULL && position->last->nxip > 0 ? BEFORE_BLOCKS : AROUND_BLOCKS;
	first = boundary > before ? boundary - before : 0;
	finding = read_blocks(rel, first, boundary - first + AROUND_BLOCKS, position);
	table_close(rel, AccessShareLock);
	return finding;
}

/* The first block, about, from which on events are not acknowledged; nblocks when there is none. */
static BlockNumber
find_boundary(Relation rel, BlockNumber nblocks, const Position *position)
{
	BlockNumber low = 0;
	BlockNumber high = nblocks;

	while (low < high)
	{
		BlockNumber middle = low + (high - low) / 2;
		Finding probe = {0};
		BlockNumber i;

		for (i = 0; i < PROBE_BLOCKS && middle + i < high && !probe.any; i++)
			probe = read_blocks(rel, middle + i, 1, position);
		if (probe.any && !probe.pending)
			low = middle + i;
		else
			high = middle;
	}
	return low;
}

static Finding
read_blocks(Relation rel, BlockNumber first, BlockNumber n, const Position *position)
{
	TableScanDesc scan = table_beginscan_strat(rel, GetActiveSnapshot(), 0, NULL, true, false);
	BlockNumber nblocks = ((HeapScanDesc) scan)->rs_nblocks;
	Finding finding = {0};

	if (first < nblocks)
	{
		TupleTableSlot *slot = table_slot_create(rel, NULL);

		heap_setscanlimits(scan, first, Min(n, nblocks - first));
		while (heap_getnextslot(scan, ForwardScanDirection, slot))
		{
			uint64 xid;
			TimestampTz at;

			CHECK_FOR_INTERRUPTS();
			slot_getsomeattrs(slot, Anum_event_occurred_at);
			xid = DatumGetUInt64(slot->tts_values[Anum_event_xid - 1]);
			/* our own are not committed yet */
			if (TransactionIdIsCurrentTransactionId((TransactionId) xid))
				continue;
			finding.any = true;
			if (is_acknowledged(position, xid, DatumGetInt64(slot->tts_values[Anum_event_seq - 1])))
				continue;
			at = DatumGetTimestampTz(slot->tts_values[Anum_event_occurred_at - 1]);
			if (!finding.pending || at < finding.oldest)
				finding.oldest = at;
			finding.pending = true;
		}
		ExecDropSingleTupleTableSlot(slot);
	}
	table_endscan(scan);
	return finding;
}

static bool
is_acknowledged(const Position *position, uint64 xid, int64 seq)
{
	if (OutboxSnapshotSees(position->last, xid))
		return true;
	return position->cur != NULL && OutboxSnapshotSees(position->cur, xid) && seq <= position->cursor;
}
