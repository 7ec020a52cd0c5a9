/*-------------------------------------------------------------------------
 *
 * chore.c
 *	  What a relay does for dead letters, and what it does when that fails.
 *
 * They are rows of tables that anybody may have locked, and the views behind
 * them are a customer's: whatever is wrong there must not keep events from
 * being published. A failure is said once, and tried again later and later.
 * Locks are not waited for, here or in the views' functions; lock_timeout
 * works only while SIGINT cancels, which it otherwise does not in a relay.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lwlock.h"
#include "tcop/tcopprot.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "compat.h"
#include "relay/session/session.h"
#include "relay/worker/worker_private.h"
#include "util/util.h"

#define RETRY_FIRST_MS 1000
#define RETRY_LONGEST_MS 60000

/* Whoever has locked a table may keep it for hours. */
#define LOCK_TIMEOUT "20ms"

static void run(OutboxRelay *relay, OutboxChore *chore, void (*work)(OutboxRelay *));
static bool holds_off(OutboxChore *chore, TimestampTz now);
static void note_failure(OutboxRelay *relay, OutboxChore *chore);

/* ---- chore.c: the next two, in a relay that goes on whatever comes of them. Outside of a transaction. ---- */
void
OutboxRelayChores(OutboxRelay *relay)
{
	run(relay, &relay->purging, OutboxRelayPurge);
	run(relay, &relay->redriving, OutboxRelayRedriveLate);
}

static void
run(OutboxRelay *relay, OutboxChore *chore, void (*work)(OutboxRelay *))
{
	if (holds_off(chore, relay->now))
		return;
	pqsignal(SIGINT, StatementCancelHandler);
	PG_TRY();
	{
		work(relay);
		pqsignal(SIGINT, OUTBOX_SIG_IGN);
		chore->failures = 0;
	}
	PG_CATCH();
	{
		pqsignal(SIGINT, OUTBOX_SIG_IGN);
		MemoryContextSwitchTo(relay->turn_context);
		note_failure(relay, chore);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(relay->turn_context);
}

/* As OutboxSessionBeginQuery, in one of them: waits for locks for a moment only. */
void
OutboxChoreBegin(OutboxOwnerScope *scope)
{
	OutboxSessionBeginQuery(scope);
	OutboxSetInTransaction("lock_timeout", LOCK_TIMEOUT);
}

static bool
holds_off(OutboxChore *chore, TimestampTz now)
{
	/* the clock may have been set back */
	if (chore->failures == 0 || chore->failed_at > now)
		return false;
	return !TimestampDifferenceExceeds(chore->failed_at, now,
									   Min(RETRY_LONGEST_MS, RETRY_FIRST_MS << Min(chore->failures - 1, 6)));
}

/* In PG_CATCH: ends what was interrupted, and says the first of a streak. */
static void
note_failure(OutboxRelay *relay, OutboxChore *chore)
{
	ErrorData *error = CopyErrorData();
	bool busy = error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;

	FlushErrorState();
	LWLockReleaseAll();
	pgstat_report_wait_end();
	OutboxSessionAbort();
	chore->failed_at = GetCurrentTimestamp();
	if (!OutboxSessionStopRequested())
		ereport(chore->failures == 0 && !busy ? LOG : DEBUG1,
				(errcode(error->sqlerrcode),
				 errmsg("could not look after dead letters, will try again: %s", error->message),
				 error->detail != NULL ? errdetail_internal("%s", error->detail) : 0,
				 error->hint != NULL ? errhint("%s", error->hint) : errhint("Events are published meanwhile; late ones wait in outbox.dead_letter.")));
	chore->failures++;
	FreeErrorData(error);
}
