/*-------------------------------------------------------------------------
 *
 * keeper_backlog.c
 *	  What is done when more is kept for the sinks than the operator allows.
 *
 * keep: said in the log and in status. refuse: writers find out by themselves
 * (capture/write/leaf_writer.c). drop: the oldest frozen leaf is emptied, whether
 * the sinks have it or not, and every contract whose events a sink loses gets
 * a gap for it.
 *
 * Dropping a leaf leaves the positions of the sinks right: a position says
 * which transactions are done with, and those of the leaf simply have no
 * events any more. A relay in the middle of a window notices that the leaf has
 * other storage and collects the rest of the window again. A leaf that is not
 * frozen is never dropped: a transaction may still write to it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"


#include "guc.h"
#include "relay/keeper/keeper_private.h"
#include "util/util.h"

/* A backlog is dropped, and measured, in pieces of at most this part of the limit. */
#define LEAVES_PER_BACKLOG 4
#define MIN_LEAF_SIZE ((int64) 64 * 1024)

static void say_backlog(OutboxKeeper *keeper);
static const OutboxKeptLeaf *find_leaf(const OutboxKeeper *keeper, OutboxLeafState state);
static bool drop_leaf(OutboxKeeper *keeper, const OutboxKeptLeaf *leaf);
static uint64 record_gaps(const OutboxKeptLeaf *leaf);

/* Bytes at which the current leaf is full. */
int64
OutboxKeeperLeafSize(void)
{
	int64 size = (int64) outbox_leaf_size * 1024;

	if (outbox_max_backlog > 0)
		size = Min(size, Max(MIN_LEAF_SIZE, (int64) outbox_max_backlog * 1024 / LEAVES_PER_BACKLOG));
	return size;
}

/* True: a leaf was emptied or switched. */
bool
OutboxKeeperBacklog(OutboxKeeper *keeper)
{
	const OutboxKeptLeaf *leaf;

	if (outbox_max_backlog == 0 || keeper->backlog <= (int64) outbox_max_backlog * 1024)
	{
		keeper->said_backlog = false;
		return false;
	}
	say_backlog(keeper);
	if (outbox_backlog_policy != OUTBOX_BACKLOG_DROP)
		return false;
	leaf = find_leaf(keeper, OUTBOX_LEAF_FROZEN);
	return leaf != NULL && drop_leaf(keeper, leaf);
}

static void
say_backlog(OutboxKeeper *keeper)
{
	static const char *const details[] = {
		[OUTBOX_BACKLOG_KEEP] = "They are kept.",
		[OUTBOX_BACKLOG_REFUSE] = "Writes are refused until it is less.",
		[OUTBOX_BACKLOG_DROP] = "The oldest are dropped; outbox_internal.gap says which.",
	};

	if (keeper->said_backlog)
		return;
	keeper->said_backlog = true;
	ereport(LOG,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("leaves that are not acknowledged have " INT64_FORMAT " kB, more than outbox.max_backlog",
					keeper->backlog / 1024),
			 errdetail_internal("%s", details[outbox_backlog_policy]),
			 errhint("See what they wait for: SELECT * FROM outbox.status and outbox.leaf_status.")));
}

/* The oldest one that is not left alone for a while. */
static const OutboxKeptLeaf *
find_leaf(const OutboxKeeper *keeper, OutboxLeafState state)
{
	for (int i = 0; i < keeper->n; i++)
	{
		if (keeper->leaves[i].state == state && !keeper->leaves[i].passed && !OutboxKeeperHeldOff(keeper, keeper->leaves[i].number))
			return &keeper->leaves[i];
	}
	return NULL;
}

static bool
drop_leaf(OutboxKeeper *keeper, const OutboxKeptLeaf *leaf)
{
	static const char query[] =
		"UPDATE outbox_internal.leaf SET state = 'empty', changed_at = clock_timestamp(), leaf_generation = leaf_generation + 1,"
		" opened_at = NULL, frozen_snapshot = NULL, bytes = NULL, events = NULL, min_xid = NULL,"
		" first_at = NULL, last_at = NULL, acked_at = NULL, republished = 0"
		" WHERE leaf = $1 AND leaf_generation = $2 AND state = 'frozen'";
	OutboxOwnerScope scope;
	uint64 lost = 0;
	bool dropped = false;

	OutboxKeeperBegin(&scope);
	if (OutboxLeafLockAway(leaf->relid))
	{
		lost = record_gaps(leaf);
		dropped = OutboxRun(query, OUTBOX_ARGS(OUTBOX_INT2(leaf->number), OUTBOX_INT8(leaf->leaf_generation))).n == 1;
		if (!dropped)
			elog(ERROR, "leaf %d is not frozen any more", leaf->number);
		OutboxLeafEmpty(leaf->relid);
	}
	OutboxKeeperEnd(&scope);
	if (!dropped)
	{
		OutboxKeeperHoldOff(keeper, leaf->number);
		return false;
	}
	OutboxKeeperSucceeded(keeper, leaf->number);
	ereport(LOG,
			(errmsg("dropped leaf %d of outbox.event because of outbox.max_backlog", leaf->number),
			 errdetail("Gaps were recorded for " UINT64_FORMAT " events; an event counts once for each sink that has not acknowledged it.", lost),
			 errhint("See SELECT * FROM outbox.gap WHERE reason = 'backlog';")));
	return true;
}

/* One gap per contract and sink. What is acknowledged but not recorded yet, or under way, counts as lost. */
static uint64
record_gaps(const OutboxKeptLeaf *leaf)
{
	static const char query[] =
		"WITH lost AS ("
		" SELECT coalesce(c.contract, '(schema ' || e.schema_id || ')') AS contract, s.name AS sink,"
		"  count(*) AS n, min(e.seq) AS first, max(e.seq) AS last, min(e.occurred_at) AS since, max(e.occurred_at) AS until"
		" FROM outbox_internal.event_%d e CROSS JOIN outbox_internal.sink s"
		" LEFT JOIN outbox_internal.relay_progress p ON p.sink_id = s.id"
		" LEFT JOIN outbox_internal.event_schema c ON c.id = e.schema_id"
		" WHERE NOT coalesce(pg_visible_in_snapshot(e.xid, p.snap_last), false)"
		"  AND NOT coalesce(pg_visible_in_snapshot(e.xid, p.snap_cur) AND e.seq <= p.cursor, false)"
		" GROUP BY 1, 2"
		"), gaps AS ("
		" INSERT INTO outbox_internal.gap (contract, reason, sink, detail)"
		" SELECT contract, 'backlog', sink,"
		"  format('%%s events, seq %%s to %%s, from %%s to %%s', n, first, last, since, until) FROM lost ORDER BY contract, sink"
		") SELECT coalesce(sum(n), 0)::bigint FROM lost";
	OutboxRows rows = OutboxRun(psprintf(query, leaf->number), OUTBOX_NO_ARGS);

	return (uint64) OutboxRowInt(&rows, 0, 1, 0);
}
