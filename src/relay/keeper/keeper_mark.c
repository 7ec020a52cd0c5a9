/*-------------------------------------------------------------------------
 *
 * keeper_mark.c
 *	  What is acknowledged of leaves that are not complete.
 *
 * A leaf counts as backlog until every sink is past it, which cannot be known
 * before it is frozen. One that cannot be frozen or left, because a
 * transaction stays open or no further leaf may be had, would count for as
 * long, and writers be refused although every event is out. So the keeper
 * notes how large such leaves are, and a snapshot; when every sink's recorded
 * position is past it, that much is no backlog.
 *
 * What is still open at that moment is left out of the count: it decides about
 * a limit, not about events.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type_d.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "guc.h"
#include "relay/keeper/keeper_private.h"
#include "shared/outbox_shared.h"
#include "util/util.h"

static bool is_open(const OutboxKeptLeaf *leaf);
static OutboxLeafMark *find_mark(OutboxKeeper *keeper, const OutboxKeptLeaf *leaf);
static bool all_passed(const OutboxSnapshot *snapshot);
static void take_over(OutboxKeeper *keeper);
static void make_marks(OutboxKeeper *keeper);

/*
 * Takes off the backlog what every sink has acknowledged of leaves that are not
 * complete. Within OutboxKeeperBegin; after the leaves were read.
 */
void
OutboxKeeperSubtractPassed(OutboxKeeper *keeper, OutboxLeafSummary *summary)
{
	int64 limit = (int64) outbox_max_backlog * 1024;

	if (limit == 0 || keeper->backlog <= limit / 2)
		return;
	if (keeper->marked != NULL && all_passed(keeper->marked))
		take_over(keeper);
	if (keeper->marked == NULL)
		make_marks(keeper);
	if (keeper->marked != NULL)
		summary->freeze_xmax = Max(summary->freeze_xmax, keeper->marked->xmax);
	for (int i = 0; i < keeper->n; i++)
	{
		const OutboxKeptLeaf *leaf = &keeper->leaves[i];
		int64 passed;

		if (!is_open(leaf))
			continue;
		passed = Min(find_mark(keeper, leaf)->passed, leaf->bytes);
		keeper->backlog -= passed;
		summary->closed_bytes -= passed;
	}
}

static bool
is_open(const OutboxKeptLeaf *leaf)
{
	return leaf->state == OUTBOX_LEAF_CURRENT || leaf->state == OUTBOX_LEAF_CLOSING;
}

/* What is known of another use of the leaf is forgotten. */
static OutboxLeafMark *
find_mark(OutboxKeeper *keeper, const OutboxKeptLeaf *leaf)
{
	OutboxLeafMark *mark = &keeper->marks[leaf->number];

	if (mark->leaf_generation != leaf->leaf_generation)
		*mark = (OutboxLeafMark){.leaf_generation = leaf->leaf_generation};
	return mark;
}

static bool
all_passed(const OutboxSnapshot *snapshot)
{
	static const char query[] =
		"SELECT count(*) > 0 AND coalesce(bool_and(outbox_internal.snapshot_covers(p.snap_last, $1) AND p.rewind_to IS NULL), false)"
		" AND count(p.snap_last) = count(*)"
		" FROM outbox_internal.sink s LEFT JOIN outbox_internal.relay_progress p ON p.sink_id = s.id"
		" AND p.database_oid = (SELECT oid FROM pg_database WHERE datname = current_database())"
		" AND p.system_identifier = (SELECT system_identifier FROM pg_control_system())";
	OutboxRows rows = OutboxRun(query, OUTBOX_ARGS(OUTBOX_DATUM(PG_SNAPSHOTOID, PointerGetDatum(snapshot))));

	return OutboxRowBool(&rows, 0, 1);
}

static void
take_over(OutboxKeeper *keeper)
{
	for (int i = 0; i < keeper->n; i++)
	{
		OutboxLeafMark *mark = find_mark(keeper, &keeper->leaves[i]);

		mark->passed = Max(mark->passed, mark->bytes);
	}
	pfree(keeper->marked);
	keeper->marked = NULL;
}

/* Sizes were read before the snapshot is taken: what is within them and has ended, it sees. */
static void
make_marks(OutboxKeeper *keeper)
{
	MemoryContext old;
	bool grown = false;

	for (int i = 0; i < keeper->n; i++)
	{
		OutboxLeafMark *mark = find_mark(keeper, &keeper->leaves[i]);

		if (!is_open(&keeper->leaves[i]))
			continue;
		mark->bytes = keeper->leaves[i].bytes;
		grown |= mark->bytes > mark->passed;
	}
	if (!grown)
		return;
	old = MemoryContextSwitchTo(GetMemoryChunkContext(keeper));
	PushActiveSnapshot(GetTransactionSnapshot());
	keeper->marked = OutboxSnapshotActive();
	PopActiveSnapshot();
	MemoryContextSwitchTo(old);
	/* a position can be past it only when there is a newer transaction */
	(void) GetTopTransactionId();
}
