/*-------------------------------------------------------------------------
 *
 * sink_position.c
 *	  How far sinks are acknowledged, for SQL functions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"

#include "relay/api/api_private.h"
#include "shared/outbox_shared.h"
#include "util/util.h"

static void take_shown(OutboxSinkPosition *sink);

/*
 * The sinks of the database by name, or the one of this name, as they are now,
 * whatever the transaction's snapshot; returns how many. Raises undefined_object.
 * Within SPI, as the extension's owner.
 */
int
OutboxSinkPositions(const char *name, OutboxSinkPosition **sinks)
{
	static const char query[] =
		"SELECT s.id, s.name, s.desired_state = 'running', p.snap_last, p.snap_cur, p.cursor, p.start_snap, p.updated_at"
		" FROM outbox_internal.sink s LEFT JOIN outbox_internal.relay_progress p"
		" ON p.sink_id = s.id AND p.system_identifier = $2 AND p.database_oid = $3"
		" WHERE s.name = $1 OR $1 IS NULL ORDER BY s.name";
	OutboxRows rows;

	PushActiveSnapshot(GetLatestSnapshot());
	rows = OutboxSelect(query, OUTBOX_ARGS(OUTBOX_TEXT(name), OUTBOX_INT8((int64) GetSystemIdentifier()), OUTBOX_OID(MyDatabaseId)));
	PopActiveSnapshot();
	if (name != NULL && rows.n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("sink \"%s\" does not exist", name),
				 errhint("SELECT name FROM outbox.sinks; shows the sinks there are.")));
	*sinks = palloc0(sizeof(OutboxSinkPosition) * Max(rows.n, 1));
	for (uint64 i = 0; i < rows.n; i++)
	{
		OutboxSinkPosition *sink = &(*sinks)[i];
		bool isnull;

		sink->id = (int32) OutboxRowInt(&rows, i, 1, 0);
		sink->name = OutboxRowText(&rows, i, 2);
		sink->running = OutboxRowBool(&rows, i, 3);
		sink->last = OutboxSnapshotOfRow(&rows, i, 4);
		sink->cur = OutboxSnapshotOfRow(&rows, i, 5);
		sink->cursor = OutboxRowInt(&rows, i, 6, 0);
		sink->start = OutboxSnapshotOfRow(&rows, i, 7);
		sink->as_of = DatumGetTimestampTz(OutboxRowDatum(&rows, i, 8, &isnull));
		if (isnull)
			sink->as_of = 0;
		take_shown(sink);
	}
	return (int) rows.n;
}

/* What the sink's relay shows, if it does. Looked at once: who looks for what was left behind does so after it. */
static void
take_shown(OutboxSinkPosition *sink)
{
	OutboxAcked acked;
	Size size;

	if (!OutboxAckedLoad(sink->id, &acked))
		return;
	size = offsetof(OutboxSnapshot, xip) + sizeof(uint64) * acked.nxip;
	sink->shown = palloc(size);
	SET_VARSIZE(sink->shown, size);
	sink->shown->nxip = acked.nxip;
	sink->shown->xmin = acked.xmin;
	sink->shown->xmax = acked.xmax;
	memcpy(sink->shown->xip, acked.xip, sizeof(uint64) * acked.nxip);
	sink->as_of = acked.shown_at;
}

/*
 * Is everything acknowledged that the transaction wrote, as far as it was not left
 * behind? The position on disk says so, or the newer one that the relay shows.
 */
bool
OutboxSinkPositionSees(const OutboxSinkPosition *sink, uint64 xid)
{
	return OutboxSnapshotSees(sink->shown, xid) || OutboxSnapshotSees(sink->last, xid);
}
