/*-------------------------------------------------------------------------
 *
 * session.h
 *	  The relay as a session of the server, and its sink's row.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_RELAY_SESSION_SESSION_H
#define OUTBOX_RELAY_SESSION_SESSION_H

#include "access/xlogdefs.h"
#include "utils/jsonb.h"
#include "utils/palloc.h"
#include "utils/timestamp.h"

#include "catalog/outbox_catalog.h"
#include "util/util.h"

/* ---- Moments that are waited for, on a clock that may be turned back. ---- */

/*
 * Is a moment reached that was set at most this far ahead? One that is further
 * ahead was set before the clock was turned back: waiting for it would take as
 * long as the clock needs to catch up.
 */
static inline bool
OutboxTimeReached(TimestampTz when, TimestampTz now, long longest_ms)
{
	return when <= now || when > TimestampTzPlusMilliseconds(now, longest_ms);
}

/* ---- durable.c: Nothing leaves before it would survive a crash. ---- */

extern XLogRecPtr OutboxCommitRecord(uint64 xid);
extern void OutboxMakeDurable(XLogRecPtr upto);

/* ---- origin.c: The name by which consumers know this database. ---- */

extern char *OutboxOriginName(MemoryContext context);

/* ---- What the launcher tells a relay worker when it starts it. ---- */

/*
 * The slot in shared memory travels in bgw_main_arg, this struct in
 * bgw_extra.  The slot_generation tells a late worker that its slot was given to
 * somebody else meanwhile: OutboxRelayAttach then returns false and the
 * worker exits without an error.
 */

#define OUTBOX_RELAY_LIBRARY "outbox_ext"
#define OUTBOX_RELAY_FUNCTION "OutboxRelayMain"
#define OUTBOX_RELAY_TYPE "outbox relay"

typedef struct OutboxRelayArgs
{
	Oid dboid;
	int32 sink_id;
	uint32 slot_generation;
	TransactionId starter; /* of a relay on trial; invalid: it need not be waited for */
} OutboxRelayArgs;

/* ---- session.c: The relay as a session of the server: signals, settings, transactions. ---- */

extern void OutboxSessionSignals(void);
extern void OutboxSessionPinSettings(void);
extern bool OutboxSessionStopRequested(void);
extern void OutboxSessionStopping(bool yes);
extern void OutboxSessionBegin(void);
extern void OutboxSessionLockExtension(int wait_ms);
extern void OutboxSessionCommit(void);
extern void OutboxSessionAbort(void);
extern void OutboxSessionBeginQuery(OutboxOwnerScope *scope);
extern void OutboxSessionEndQuery(const OutboxOwnerScope *scope);
extern void OutboxSessionWait(long timeout_ms);

/* ----
 * sink_row.c: The relay's own row of outbox_internal.sink: what to publish to, whether to run, and whether this copy
 * of the data may publish at all.
 * ---- */

typedef enum OutboxSinkWish
{
	OUTBOX_SINK_RUN,
	OUTBOX_SINK_CHANGED, /* library, options or policy differ: connect anew */
	OUTBOX_SINK_STOP     /* stopped, paused, dropped, or the extension is gone */
} OutboxSinkWish;

/* What follows an event that the broker rejects. */
typedef enum OutboxOnReject
{
	OUTBOX_ON_REJECT_BLOCK_KEY, /* later events of its aggregate wait */
	OUTBOX_ON_REJECT_SKIP,      /* everything else goes on */
	OUTBOX_ON_REJECT_STOP       /* nothing behind it is published */
} OutboxOnReject;

typedef struct OutboxSinkRow
{
	int32 id;
	Oid extension;         /* outbox_ext as of the relay's start */
	MemoryContext context; /* of the strings below, reset at each load */
	bool loaded;
	char *name;
	char *library;
	Jsonb *options;
	int64 replay_id; /* the replay to work at, 0 = none */
	OutboxOnReject on_reject;
	int64 resolved;   /* changes when a dead letter of this sink was redriven or discarded */
	int64 forgotten;  /* changes when the ids of registries were forgotten */
	char *copy_error; /* this copy of the data must not publish: why; else NULL */
	char *copy_hint;
} OutboxSinkRow;

extern void OutboxSinkRowInit(OutboxSinkRow *row, int32 id, MemoryContext context);
extern OutboxSinkWish OutboxSinkRowLoad(OutboxSinkRow *row);
extern bool OutboxSinkRowGone(const OutboxSinkRow *row);
extern bool OutboxSinkRowLock(const OutboxSinkRow *row);

/* ---- window.c: Snapshots as values, the two ends of a window of new events. ---- */

/*
 * A pg_snapshot datum, whose layout PostgreSQL keeps to itself. Transaction
 * ids have 64 bits, xip is sorted and holds top-level transactions only.
 */
typedef struct OutboxSnapshot
{
	int32 vl_len_;
	uint32 nxip;
	uint64 xmin;
	uint64 xmax;
	uint64 xip[FLEXIBLE_ARRAY_MEMBER];
} OutboxSnapshot;

extern OutboxSnapshot *OutboxSnapshotActive(void);
extern OutboxSnapshot *OutboxSnapshotOfOthers(void);
extern bool OutboxSnapshotCovers(const OutboxSnapshot *later, const OutboxSnapshot *earlier);
extern OutboxSnapshot *OutboxSnapshotCopy(const OutboxSnapshot *snapshot);
extern OutboxSnapshot *OutboxSnapshotOfRow(const OutboxRows *rows, uint64 row, int column);
extern bool OutboxSnapshotListsRunning(const OutboxSnapshot *snapshot, uint64 xid);

/* Had the transaction ended, one way or the other, when the snapshot was taken? NULL saw nothing. */
static inline bool
OutboxSnapshotSees(const OutboxSnapshot *snapshot, uint64 xid)
{
	if (snapshot == NULL || xid >= snapshot->xmax)
		return false;
	if (xid < snapshot->xmin)
		return true;
	return !OutboxSnapshotListsRunning(snapshot, xid);
}

#endif /* OUTBOX_RELAY_SESSION_SESSION_H */
