/*-------------------------------------------------------------------------
 *
 * dead_letters.c
 *	  A relay's duties for dead letters: it forgets resolved ones and retries late keys.
 *
 * A resolved dead letter (redriven or discarded) is kept for
 * outbox.dead_letter_retention, so that a person finds its outcome; an open
 * one is never removed. A commit that had no time for a contract leaves dead
 * letters of stage flush: the relay asks the capture side to evaluate their
 * keys, between its own work, a few at a time. Every relay of a database does
 * both; rows that another one works on are skipped.
 *
 * Anybody may have locked the tables, and the views belong to a customer: a
 * trouble there must not keep events from being published. The first failure
 * of a streak is logged, and the pauses before the next tries grow. The relay
 * waits for no lock, here or in the views' functions; lock_timeout works only
 * while SIGINT cancels, which it otherwise does not in a relay.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"
#include "pgstat.h"
#include "storage/lwlock.h"
#include "tcop/tcopprot.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "guc.h"
#include "relay/session/session.h"
#include "relay/worker/worker.h"
#include "util/util.h"

#define RETRY_FIRST_MS 1000
#define RETRY_LONGEST_MS 60000

/* Whoever has locked a table may keep it for hours. */
#define LOCK_TIMEOUT "20ms"

/* Resolved ones: how often, and how many at a time. The relay has better things to do. */
#define PURGE_INTERVAL_MS (10 * 60 * 1000)
#define PURGE_ROWS 1000

/* Late keys: how often, and how many at a time. */
#define LATE_INTERVAL_MS 1000
#define LATE_ROWS 20

/* Events wait meanwhile: of a relay's time that is short, they get at least nineteen of twenty parts. */
#define SHORT_MS 100
#define TIMES_IDLE 19

static void run(OutboxRelay *relay, OutboxLetterDuty *duty, void (*work)(OutboxRelay *));
static bool holds_off(OutboxLetterDuty *duty, TimestampTz now);
static void note_failure(OutboxRelay *relay, OutboxLetterDuty *duty);
static void begin(OutboxOwnerScope *scope);
static void purge(OutboxRelay *relay);
static long purge_interval(void);
static uint64 delete_resolved(void);
static void redrive(OutboxRelay *relay);
static bool is_installed(void);
static int64 redrive_late(void);

/* Does what is due. Outside of a transaction; raises nothing for a failed duty. */
void
OutboxRelayTendLetters(OutboxRelay *relay)
{
	run(relay, &relay->purging, purge);
	run(relay, &relay->redriving, redrive);
}

static void
run(OutboxRelay *relay, OutboxLetterDuty *duty, void (*work)(OutboxRelay *))
{
	if (holds_off(duty, relay->now))
		return;
	pqsignal(SIGINT, StatementCancelHandler);
	PG_TRY();
	{
		work(relay);
		pqsignal(SIGINT, OUTBOX_SIG_IGN);
		duty->failures = 0;
	}
	PG_CATCH();
	{
		pqsignal(SIGINT, OUTBOX_SIG_IGN);
		MemoryContextSwitchTo(relay->turn_context);
		note_failure(relay, duty);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(relay->turn_context);
}

/* As OutboxSessionBeginQuery, but waits for a lock only for a moment. */
static void
begin(OutboxOwnerScope *scope)
{
	OutboxSessionBeginQuery(scope);
	OutboxSetInTransaction("lock_timeout", LOCK_TIMEOUT);
}

static bool
holds_off(OutboxLetterDuty *duty, TimestampTz now)
{
	/* the clock may have been set back */
	if (duty->failures == 0 || duty->failed_at > now)
		return false;
	return !TimestampDifferenceExceeds(duty->failed_at, now,
									   Min(RETRY_LONGEST_MS, RETRY_FIRST_MS << Min(duty->failures - 1, 6)));
}

/* In PG_CATCH: ends what was interrupted, and says the first of a streak. */
static void
note_failure(OutboxRelay *relay, OutboxLetterDuty *duty)
{
	ErrorData *error = CopyErrorData();
	bool busy = error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;

	FlushErrorState();
	LWLockReleaseAll();
	pgstat_report_wait_end();
	OutboxSessionAbort();
	duty->failed_at = GetCurrentTimestamp();
	if (!OutboxSessionStopRequested())
		ereport(duty->failures == 0 && !busy ? LOG : DEBUG1,
				(errcode(error->sqlerrcode),
				 errmsg("could not look after dead letters, will try again: %s", error->message),
				 error->detail != NULL ? errdetail_internal("%s", error->detail) : 0,
				 error->hint != NULL ? errhint("%s", error->hint) : errhint("Events are published meanwhile; late ones wait in outbox.dead_letter.")));
	duty->failures++;
	FreeErrorData(error);
}

/* Removes resolved dead letters, when due. */
static void
purge(OutboxRelay *relay)
{
	OutboxOwnerScope scope;

	if (outbox_dead_letter_retention < 0 ||
		!TimestampDifferenceExceeds(relay->purged_at, relay->now, purge_interval()))
		return;
	relay->purged_at = relay->now;
	begin(&scope);
	/* discard_held() may have left a million */
	if (delete_resolved() == PURGE_ROWS)
		relay->purged_at = 0;
	OutboxSessionEndQuery(&scope);
}

/* A short retention is looked at more often. */
static long
purge_interval(void)
{
	return Max(1000, Min((long) outbox_dead_letter_retention * 1000, PURGE_INTERVAL_MS));
}

/* How many. */
static uint64
delete_resolved(void)
{
	static const char query[] =
		"DELETE FROM outbox_internal.dead_letter_entry WHERE id IN"
		" (SELECT id FROM outbox_internal.dead_letter_entry WHERE state <> 'open'"
		" AND resolved_at < clock_timestamp() - make_interval(secs => $1)"
		" LIMIT $2 FOR UPDATE SKIP LOCKED)";

	return OutboxRun(query, OUTBOX_ARGS(OUTBOX_FLOAT8(outbox_dead_letter_retention), OUTBOX_INT4(PURGE_ROWS))).n;
}

/* Has late keys evaluated, when due. */
static void
redrive(OutboxRelay *relay)
{
	OutboxOwnerScope scope;
	TimestampTz start = GetCurrentTimestamp();
	int64 taken;
	long spent_ms;

	if (!TimestampDifferenceExceeds(relay->late_at, relay->now, relay->late_pause))
		return;
	relay->late_at = relay->now;
	relay->late_pause = LATE_INTERVAL_MS;
	begin(&scope);
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
