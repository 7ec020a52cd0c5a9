/*-------------------------------------------------------------------------
 *
 * purge_letters.c
 *	  Forgets dead letters that a person has dealt with.
 *
 * A resolved dead letter (redriven or discarded) is kept for
 * outbox.dead_letter_retention, so that whoever asks finds what became of it;
 * open ones are never removed. Every relay of a database does this now and
 * then; rows that another one is removing are skipped.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "guc.h"
#include "relay/session/session.h"
#include "relay/worker/worker_private.h"
#include "util/util.h"

/* How often, and how many at a time: the relay has better things to do. */
#define PURGE_INTERVAL_MS (10 * 60 * 1000)
#define PURGE_ROWS 1000

static long purge_interval(void);
static void purge(void);

/* ---- purge_letters.c: removes resolved dead letters, when due ---- */
void
OutboxRelayPurge(OutboxRelay *relay)
{
	OutboxOwnerScope scope;

	if (outbox_dead_letter_retention < 0 ||
		!TimestampDifferenceExceeds(relay->purged_at, relay->now, purge_interval()))
		return;
	relay->purged_at = relay->now;
	OutboxChoreBegin(&scope);
	purge();
	OutboxSessionEndQuery(&scope);
}

/* A short retention is looked at more often. */
static long
purge_interval(void)
{
	return Max(1000, Min((long) outbox_dead_letter_retention * 1000, PURGE_INTERVAL_MS));
}

static void
purge(void)
{
	static const char query[] =
		"DELETE FROM outbox_internal.dead_letter_entry WHERE id IN"
		" (SELECT id FROM outbox_internal.dead_letter_entry WHERE state <> 'open'"
		" AND resolved_at < clock_timestamp() - make_interval(secs => $1)"
		" LIMIT $2 FOR UPDATE SKIP LOCKED)";

	(void) OutboxRun(query, OUTBOX_ARGS(OUTBOX_FLOAT8(outbox_dead_letter_retention), OUTBOX_INT4(PURGE_ROWS)));
}
