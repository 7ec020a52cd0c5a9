/*-------------------------------------------------------------------------
 *
 * hold_discard.c
 *	  Events that were given up while they waited (discard_held).
 *
 * Their rows stay, without payload, until the position on disk has passed
 * them: an event that is read again after a crash has a copy then, and is not
 * published behind later events of its key.  In memory they count as waiting.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "utils/timestamp.h"

#include "relay/hold/hold_private.h"
#include "relay/session/session.h"
#include "util/util.h"

/* Between two looks whether the position on disk, which is written every second, has passed them. */
#define DISCARDED_MS 1000

/*
 * Removes those of a sink that the position on disk has passed: no relay
 * reads them again.  A transaction id that this database has not reached came
 * with a dump: see is_passed() in release.c.  Within SPI; the rows tell of
 * schema and aggregate.
 */
OutboxRows
OutboxHoldForgetDiscarded(int32 sink_id)
{
	static const char query[] =
		"DELETE FROM outbox_internal.held_event h WHERE h.sink_id = $1 AND h.state = 'discarded'"
		" AND (h.xid >= pg_snapshot_xmax(pg_current_snapshot())"
		" OR EXISTS (SELECT FROM outbox_internal.relay_progress p WHERE p.sink_id = $1"
		" AND (pg_visible_in_snapshot(h.xid, p.snap_last) OR h.seq <= p.cursor AND pg_visible_in_snapshot(h.xid, p.snap_cur))))"
		" RETURNING h.schema_id, h.aggregate_type, h.message_key";

	return OutboxRun(query, OUTBOX_ARGS(OUTBOX_INT4(sink_id)));
}

/* The same for a relay, now and then while there are some: what waited behind them need not any more. Runs a transaction. */
void
OutboxHoldTendDiscarded(OutboxHold *hold, OutboxSchemaCache *schemas, TimestampTz now)
{
	OutboxOwnerScope scope;
	OutboxRows rows;

	if (hold->discarded == 0 || !OutboxTimeReached(hold->discarded_again_at, now, DISCARDED_MS))
		return;
	hold->discarded_again_at = TimestampTzPlusMilliseconds(now, DISCARDED_MS);
	OutboxSessionBeginQuery(&scope);
	OutboxHoldWalkByKey();
	rows = OutboxHoldForgetDiscarded(hold->sink_id);
	for (uint64 i = 0; i < rows.n; i++)
	{
		uint64 aggregate = OutboxAggregateHash(OutboxRowSlice(&rows, i, 2), OutboxRowSlice(&rows, i, 3));

		OutboxHoldUncount(hold, OutboxHoldLane(aggregate, OutboxSchemaGet(schemas, (int32) OutboxRowInt(&rows, i, 1, 0))));
	}
	OutboxSessionEndQuery(&scope);
	hold->discarded -= Min(hold->discarded, rows.n);
	hold->release |= rows.n > 0;
}
