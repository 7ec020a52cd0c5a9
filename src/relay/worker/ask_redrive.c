/*-------------------------------------------------------------------------
 *
 * ask_redrive.c
 *	  Asks for late keys to be evaluated, now that their transaction ended.
 *
 * A commit that had no time for a contract leaves dead letters of stage flush.
 * They belong to capture; the relay is the process that is there to ask for
 * them, between its own work, a few at a time. Every relay of a database does;
 * letters that another one works on are skipped.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"
#include "utils/timestamp.h"

#include "catalog/outbox_catalog.h"
#include "relay/session/session.h"
#include "relay/worker/worker_private.h"
#include "util/util.h"

#define LATE_INTERVAL_MS 1000

/* Events wait meanwhile: of a relay's time that is short, they get at least nineteen of twenty parts. */
#define SHORT_MS 100
#define TIMES_IDLE 19

#define LATE_ROWS 20

static bool is_installed(void);
static int64 redrive_late(void);

/* ---- ask_redrive.c: has late keys evaluated, when due ---- */
void
OutboxRelayRedriveLate(OutboxRelay *relay)
{
	OutboxOwnerScope scope;
	TimestampTz start = GetCurrentTimestamp();
	int64 taken;
	long spent_ms;

	if (!TimestampDifferenceExceeds(relay->late_at, relay->now, relay->late_pause))
		return;
	relay->late_at = relay->now;
	relay->late_pause = LATE_INTERVAL_MS;
	OutboxChoreBegin(&scope);
	taken = is_installed() ? redrive_late() : 0;
	OutboxSessionEndQuery(&scope);
	spent_ms = TimestampDifferenceMilliseconds(start, GetCurrentTimestamp());
	if (spent_ms > SHORT_MS)
	{
		relay->late_at = GetCurrentTimestamp();
		relay->late_pause = Max(LATE_INTERVAL_MS, spent_ms * TIMES_IDLE);
	}
	/* perhaps there are more */
	else if (taken > 1)
		relay->late_pause = 0;
}

/* This library also serves the objects of the version before. */
static bool
is_installed(void)
{
	Oid types[] = {INT4OID};
	List *name = list_make2(makeString(OUTBOX_INTERNAL_SCHEMA), makeString("redrive_late"));

	return OidIsValid(LookupFuncName(name, lengthof(types), types, true));
}

static int64
redrive_late(void)
{
	OutboxRows rows = OutboxRun("SELECT outbox_internal.redrive_late($1)", OUTBOX_ARGS(OUTBOX_INT4(LATE_ROWS)));

	return OutboxRowInt(&rows, 0, 1, 0);
}
