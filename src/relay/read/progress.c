/*-------------------------------------------------------------------------
 *
 * progress.c
 *	  The position of a relay, as it is kept in outbox_internal.relay_progress.
 *
 * One small row per sink, written many times a minute. The index would have
 * to be walked past all the versions that a long-running transaction keeps
 * from being pruned, so a write goes to where the row was last.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/xid8.h"

#include "catalog/outbox_catalog.h"
#include "relay/read/read_private.h"
#include "relay/session/session.h"
#include "util/util.h"

/* What the timelines of former database systems add to ours. */
static int64 timeline_base = 0;

static void go_back(const OutboxProgressRow *row);
static void forget_start(const OutboxProgressRow *row);
static void load_timeline_base(void);
static bool read_row(OutboxProgressRow *row, OutboxProgress *progress, MemoryContext context);
static const char *why_void(const OutboxProgress *progress, const OutboxRows *rows);
static bool upgraded(const OutboxRows *rows);
static bool write_row(OutboxProgressRow *row, const char *query, const OutboxProgress *progress);

/*
 * Loads the position into *progress, snapshots in the current memory context.
 * When the keeper has asked to go back, it goes back first.
 * A position that belongs to another copy of the data, or to a future that was
 * lost, is void: the relay starts from the beginning, and the log says so.
 * One that pg_upgrade has brought goes on, and becomes this system's own.
 */
void
OutboxProgressLoad(OutboxProgressRow *row, OutboxProgress *progress)
{
	MemoryContext caller = CurrentMemoryContext;
	OutboxOwnerScope scope;

	memset(progress, 0, sizeof(*progress));
	progress->tally.context = caller;
	row->known = false;
	OutboxSessionBeginQuery(&scope);
	go_back(row);
	OutboxSessionEndQuery(&scope);
	OutboxSessionBeginQuery(&scope);
	load_timeline_base();
	if (!read_row(row, progress, caller))
	{
		memset(progress, 0, sizeof(*progress));
		progress->tally.context = caller;
		forget_start(row);
	}
	OutboxSessionEndQuery(&scope);
	MemoryContextSwitchTo(caller);
}

/*
 * The keeper found that the sink has not acknowledged all events of a leaf:
 * from where it says on, everything is published again, and counted anew.
 */
static void
go_back(const OutboxProgressRow *row)
{
	static const char query[] =
		"UPDATE outbox_internal.relay_progress SET snap_last = rewind_to, snap_cur = NULL, cursor = 0, start_snap = rewind_to,"
		" rewind_to = NULL, leaves = '{}', leaf_uses = '{}', leaf_acked = '{}',"
		" written_by = CASE WHEN written_by::xid = xmin THEN pg_current_xact_id() END"
		" WHERE sink_id = $1 AND rewind_to IS NOT NULL";

	if (OutboxRun(query, OUTBOX_ARGS(OUTBOX_INT4(row->sink_id))).n > 0)
		ereport(LOG, (errmsg("sink %d goes back to publish a leaf again", row->sink_id)));
}

/* After a void position the sink gets everything, whatever it began with. */
static void
forget_start(const OutboxProgressRow *row)
{
	(void) OutboxRun("UPDATE outbox_internal.relay_progress SET start_snap = NULL WHERE sink_id = $1 AND start_snap IS NOT NULL",
					 OUTBOX_ARGS(OUTBOX_INT4(row->sink_id)));
}

/*
 * pg_upgrade begins with timeline 1 again, but what is published afterwards
 * must come with a larger one. All sinks of a database agree on it, those
 * that are created later too.
 */
static void
load_timeline_base(void)
{
	static const char query[] =
		"SELECT coalesce(max(timeline_base + CASE WHEN system_identifier = $1 THEN 0 ELSE timeline END), 0)"
		" FROM outbox_internal.relay_progress";
	OutboxRows rows = OutboxSelect(query, OUTBOX_ARGS(OUTBOX_INT8((int64) GetSystemIdentifier())));

	timeline_base = OutboxRowInt(&rows, 0, 1, 0);
}

/* The timeline that messages carry: grows with every promotion, and with pg_upgrade. Loaded with the position. */
uint32
OutboxProgressTimeline(void)
{
	return (uint32) timeline_base + GetWALInsertionTimeLine();
}

/* False: there is no row, or it is void. */
static bool
read_row(OutboxProgressRow *row, OutboxProgress *progress, MemoryContext context)
{
	static const char query[] =
		"SELECT ctid, snap_last, snap_cur, cursor, acked, seq_seen, system_identifier, database_oid,"
		" leaves, leaf_uses, leaf_acked, written_by, xmin"
		" FROM outbox_internal.relay_progress WHERE sink_id = $1";
	OutboxRows rows = OutboxSelect(query, OUTBOX_ARGS(OUTBOX_INT4(row->sink_id)));
	MemoryContext old;
	const char *reason;
	bool foreign;
	bool isnull;

	if (rows.n == 0)
		return false;

	row->tid = *(ItemPointer) DatumGetPointer(OutboxRowDatum(&rows, 0, 1, &isnull));
	row->known = true;
	old = MemoryContextSwitchTo(context);
	progress->last = OutboxSnapshotOfRow(&rows, 0, 2);
	progress->cur = OutboxSnapshotOfRow(&rows, 0, 3);
	MemoryContextSwitchTo(old);
	progress->cursor = OutboxRowInt(&rows, 0, 4, 0);
	progress->acked = (uint64) OutboxRowInt(&rows, 0, 5, 0);
	progress->seq_seen = OutboxRowInt(&rows, 0, 6, 0);
	if (progress->cur == NULL)
		progress->cursor = 0;

	OutboxTallyFromArrays(&progress->tally, OutboxRowDatum(&rows, 0, 9, &isnull), OutboxRowDatum(&rows, 0, 10, &isnull), OutboxRowDatum(&rows, 0, 11, &isnull));

	foreign = (uint64) OutboxRowInt(&rows, 0, 7, 0) != GetSystemIdentifier();
	reason = why_void(progress, &rows);
	if (reason != NULL)
	{
		ereport(LOG,
				(errmsg("position of sink %d is void, starting from the beginning of the outbox", row->sink_id),
				 errdetail_internal("%s", reason)));
		return false;
	}
	if (foreign)
	{
		/* from now on it is ours: leaves are recycled only behind such */
		OutboxProgressSave(row, progress);
		ereport(LOG, (errmsg("sink %d goes on from its position before pg_upgrade", row->sink_id)));
	}
	return true;
}

/* Why the position that was read cannot be meant for this copy of the data; NULL: it can. */
static const char *
why_void(const OutboxProgress *progress, const OutboxRows *rows)
{
	uint64 next = U64FromFullTransactionId(ReadNextFullTransactionId());

	if ((uint64) OutboxRowInt(rows, 0, 7, 0) != GetSystemIdentifier() && !upgraded(rows))
		return "It was recorded by another database system.";
	if ((Oid) OutboxRowInt(rows, 0, 8, InvalidOid) != MyDatabaseId)
		return "It was recorded in another database.";
	if ((progress->last != NULL && progress->last->xmax > next) ||
		(progress->cur != NULL && progress->cur->xmax > next))
		return "It lies ahead of the next transaction id.";
	return NULL;
}

/*
 * pg_upgrade gives the files of tables to a system with another identifier,
 * and the transaction ids go on. So the row is still the one that the
 * transaction wrote that it names, and its snapshots mean here what they meant
 * there. Whatever brings rows from elsewhere (COPY, logical replication)
 * writes them by a transaction of its own, which the row does not name.
 */
static bool
upgraded(const OutboxRows *rows)
{
	bool isnull;
	Datum written_by = OutboxRowDatum(rows, 0, 12, &isnull);
	TransactionId xmin;

	if (isnull)
		return false;
	xmin = DatumGetTransactionId(OutboxRowDatum(rows, 0, 13, &isnull));
	return XidFromFullTransactionId(DatumGetFullTransactionId(written_by)) == xmin;
}

/* Writes the position; within OutboxSessionBeginQuery. */
void
OutboxProgressSave(OutboxProgressRow *row, const OutboxProgress *progress)
{
	static const char update[] =
		"UPDATE outbox_internal.relay_progress SET snap_last = $3, snap_cur = $4, cursor = $5, acked = $6, seq_seen = $7,"
		" system_identifier = $8, database_oid = $9, timeline = $10, updated_at = clock_timestamp(),"
		" leaves = $11, leaf_uses = $12, leaf_acked = $13, timeline_base = $14, written_by = pg_current_xact_id()"
		" WHERE ctid = $2 AND sink_id = $1 RETURNING ctid";
	static const char upsert[] =
		"INSERT INTO outbox_internal.relay_progress"
		" (sink_id, snap_last, snap_cur, cursor, acked, seq_seen, system_identifier, database_oid, timeline, updated_at,"
		" leaves, leaf_uses, leaf_acked, timeline_base, written_by)"
		" VALUES ($1, $3, $4, $5, $6, $7, $8, $9, $10, clock_timestamp(), $11, $12, $13, $14, pg_current_xact_id())"
		" ON CONFLICT (sink_id) DO UPDATE SET snap_last = $3, snap_cur = $4, cursor = $5, acked = $6, seq_seen = $7,"
		" system_identifier = $8, database_oid = $9, timeline = $10, updated_at = clock_timestamp(),"
		" leaves = $11, leaf_uses = $12, leaf_acked = $13, timeline_base = $14, written_by = pg_current_xact_id()"
		" RETURNING ctid";

	if (row->known && write_row(row, update, progress))
		return;
	if (!write_row(row, upsert, progress))
		elog(ERROR, "could not write outbox_internal.relay_progress");
}

/* False: the row is not there. */
static bool
write_row(OutboxProgressRow *row, const char *query, const OutboxProgress *progress)
{
	Datum leaves;
	Datum uses;
	Datum acked;
	OutboxRows rows;
	bool isnull;

	OutboxTallyToArrays(&progress->tally, &leaves, &uses, &acked);
	rows = OutboxRun(query, OUTBOX_ARGS(OUTBOX_INT4(row->sink_id), {TIDOID, PointerGetDatum(&row->tid), !row->known}, {PG_SNAPSHOTOID, PointerGetDatum(progress->last), progress->last == NULL}, {PG_SNAPSHOTOID, PointerGetDatum(progress->cur), progress->cur == NULL}, OUTBOX_INT8(progress->cursor), OUTBOX_INT8((int64) progress->acked), OUTBOX_INT8(progress->seq_seen), OUTBOX_INT8((int64) GetSystemIdentifier()), OUTBOX_OID(MyDatabaseId), OUTBOX_INT8((int64) GetWALInsertionTimeLine()), OUTBOX_DATUM(INT2ARRAYOID, leaves), OUTBOX_DATUM(INT4ARRAYOID, uses), OUTBOX_DATUM(INT8ARRAYOID, acked), OUTBOX_INT8(timeline_base)));
	row->known = rows.n == 1;
	if (row->known)
		row->tid = *(ItemPointer) DatumGetPointer(OutboxRowDatum(&rows, 0, 1, &isnull));
	return row->known;
}
