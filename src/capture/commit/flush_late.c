/*-------------------------------------------------------------------------
 *
 * flush_late.c
 *	  A flush that gives up: the rows before are kept with its keys.
 *
 * A key is late because its lock was not to be had or because the time is over.
 * What the row was before is then read without the lock, from what others had
 * committed by then, and goes into the letter, with the snapshot that says who
 * these were. Whoever takes the letter up finds the events of the key that
 * were committed since (redrive_history.c) and so knows what consumers know: no
 * person is needed to decide what happened. This reading has a time of its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"

#include "capture/commit/commit_private.h"
#include "capture/transition/transition.h"
#include "compat.h"
#include "guc.h"

/* The time for it is this part of a commit's. */
#define SHARE 2

/* One attempt to open a contract. */
typedef struct OpenRequest
{
	OutboxFlush *flush;
	OutboxFlushContract *contract;
	bool opened;
} OpenRequest;

static bool has_time(OutboxFlush *flush);
static void open_late(OutboxFlush *flush, OutboxFlushContract *contract);
static void open_step(void *arg);

/* Not all locks were to be had: opens the contracts without those of the keys, as far as that goes at once. */
void
OutboxFlushOpenLate(OutboxFlush *flush)
{
	for (int i = 0; i < flush->ncontracts; i++)
	{
		OutboxFlushContract *contract = &flush->contracts[i];

		if (contract->locks && contract->cached == NULL && has_time(flush))
			open_late(flush, contract);
	}
}

/* Once per flush there is more of it. */
static bool
has_time(OutboxFlush *flush)
{
	if ((OutboxCommitGuardExpired() || flush->keys_refused) && !flush->extended)
	{
		flush->extended = true;
		OutboxCommitGuardRestart(Max(outbox_flush_timeout / SHARE, 1));
	}
	return !OutboxCommitGuardExpired();
}

/* A table may be locked for a moment by somebody who is in no hurry. */
static void
open_late(OutboxFlush *flush, OutboxFlushContract *contract)
{
	OpenRequest request = {.flush = flush, .contract = contract};
	const ErrorData *reason = contract->late;
	int pause_ms = 1;

	while (!OutboxCommitGuardExpired())
	{
		ErrorData *error;

		OutboxCommitGuardArm();
		error = OutboxRunGuarded(open_step, &request, flush->context);
		OutboxCommitGuardDisarm();
		if (error || request.opened)
			break;
		OutboxLockPause(&pause_ms);
	}
	/* it turns out that nobody wants its keys */
	if (request.opened && contract->compiled == NULL && contract->late == reason)
		contract->late = NULL;
}

static void
open_step(void *arg)
{
	OpenRequest *request = arg;

	request->opened = OutboxFlushContractOpen(request->contract, request->flush->resources);
}

/*
 * Of the keys of a late contract in the portion, reads the rows before that are
 * not known, without the keys' locks, while the time for that lasts.
 */
void
OutboxFlushReadLate(OutboxFlush *flush, OutboxFlushContract *contract, OutboxCommitRead *read)
{
	OutboxReadKey **keys = palloc(sizeof(OutboxReadKey *) * flush->nkeys);
	int nkeys = 0;

	for (int i = 0; i < flush->nkeys; i++)
	{
		OutboxPortionKey *key = &flush->keys[i];

		if (key->contract == contract && OutboxFlushWantsBefore(key) && !key->before_known)
			keys[nkeys++] = &key->read;
	}
	if (nkeys > 0 && has_time(flush) && OutboxReadKeysBefore(read, keys, nkeys) == NULL)
		OutboxFlushNoteBefore(contract, keys, nkeys);
}

/* What the portion's rows before have seen, as a pg_snapshot in CurrentMemoryContext. */
Datum
OutboxFlushSeen(OutboxFlush *flush)
{
	Datum seen;

	PushActiveSnapshot(flush->snapshot);
	seen = DirectFunctionCall1(pg_current_snapshot, (Datum) 0);
	PopActiveSnapshot();
	return seen;
}
