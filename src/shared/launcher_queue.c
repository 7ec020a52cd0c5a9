/*-------------------------------------------------------------------------
 *
 * launcher_queue.c
 *	  How others tell the launcher to look at a database again.
 *
 * Called in commit callbacks: a spinlock around a few words, a latch, no
 * error.  When the queue is full the launcher looks at all databases.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"

#include "shared/shared_private.h"

static void
launcher_detach(int code, Datum arg)
{
	SpinLockAcquire(&outbox_shared->launcher_lock);
	outbox_shared->launcher_latch = NULL;
	SpinLockRelease(&outbox_shared->launcher_lock);
}

/* Registers the launcher's latch, until it exits. */
void
OutboxLauncherAttach(void)
{
	SpinLockAcquire(&outbox_shared->launcher_lock);
	outbox_shared->launcher_latch = MyLatch;
	SpinLockRelease(&outbox_shared->launcher_lock);
	before_shmem_exit(launcher_detach, 0);
}

/* Asks the launcher to look at this database again (InvalidOid: at all databases). Safe in a commit callback. */
void
OutboxLauncherPoke(Oid dboid)
{
	bool known = false;
	Latch *latch;

	if (outbox_shared == NULL)
		return;
	SpinLockAcquire(&outbox_shared->launcher_lock);
	for (int i = 0; i < outbox_shared->npokes && !known; i++)
		known = outbox_shared->pokes[i] == dboid;
	if (!OidIsValid(dboid) || (!known && outbox_shared->npokes == OUTBOX_POKES))
		outbox_shared->poke_all = true;
	else if (!known)
		outbox_shared->pokes[outbox_shared->npokes++] = dboid;
	latch = outbox_shared->launcher_latch;
	SpinLockRelease(&outbox_shared->launcher_lock);
	if (latch != NULL)
		SetLatch(latch);
}

/* False when nothing is queued; InvalidOid asks for all databases. */
bool
OutboxLauncherNextPoked(Oid *dboid)
{
	bool found = true;

	SpinLockAcquire(&outbox_shared->launcher_lock);
	if (outbox_shared->poke_all)
	{
		outbox_shared->poke_all = false;
		outbox_shared->npokes = 0;
		*dboid = InvalidOid;
	}
	else if (outbox_shared->npokes > 0)
		*dboid = outbox_shared->pokes[--outbox_shared->npokes];
	else
		found = false;
	SpinLockRelease(&outbox_shared->launcher_lock);
	return found;
}

/* ---- is the server out of background workers? -------------------------------- */

/*
 * The launcher remembers whether it found a free background worker the last time; returns what it remembered.
 *
 * For the launcher; returns what was said before.
 */
bool
OutboxLauncherSetNoWorker(bool no_worker)
{
	bool before;

	SpinLockAcquire(&outbox_shared->launcher_lock);
	before = outbox_shared->no_worker;
	outbox_shared->no_worker = no_worker;
	SpinLockRelease(&outbox_shared->launcher_lock);
	return before;
}

/* Was no background worker free when the launcher last asked for one? */
bool
OutboxLauncherLacksWorkers(void)
{
	bool no_worker;

	if (outbox_shared == NULL)
		return false;
	SpinLockAcquire(&outbox_shared->launcher_lock);
	no_worker = outbox_shared->no_worker;
	SpinLockRelease(&outbox_shared->launcher_lock);
	return no_worker;
}

/* ---- the probe says whether it came to its end ------------------------------ */

uint32
OutboxProbeBegin(void)
{
	uint32 token;

	SpinLockAcquire(&outbox_shared->launcher_lock);
	token = ++outbox_shared->probe_token;
	outbox_shared->probe_done = false;
	SpinLockRelease(&outbox_shared->launcher_lock);
	return token;
}

void
OutboxProbeDone(uint32 token)
{
	SpinLockAcquire(&outbox_shared->launcher_lock);
	if (outbox_shared->probe_token == token)
		outbox_shared->probe_done = true;
	SpinLockRelease(&outbox_shared->launcher_lock);
}

bool
OutboxProbeSucceeded(uint32 token)
{
	bool done;

	SpinLockAcquire(&outbox_shared->launcher_lock);
	done = outbox_shared->probe_token == token && outbox_shared->probe_done;
	SpinLockRelease(&outbox_shared->launcher_lock);
	return done;
}
