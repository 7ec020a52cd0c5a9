/*-------------------------------------------------------------------------
 *
 * relay_slots.c
 *	  Who relays which sink, and what it says about itself.
 *
 * One lock guards all slots: they change at the pace of process starts, and
 * reports are copied whole.
 *
 * A relay slot belongs to (database, installation, sink) for as long as the sink is
 * wanted, over any number of workers: it keeps the throttle and the last report
 * between them.  Each worker gets a new slot_generation, so that a worker that comes
 * too late cannot attach.
 *
 * That relays are started again whatever process was killed, the launcher too, rests
 * on this: test/t/032_relay_crash.pl, test/t/061_crash_points.pl.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"

#include "catalog/outbox_catalog.h"
#include "shared/shared_private.h"

/* A relay that ran for this long was no failure. */
#define STEADY_MS 60000
#define THROTTLE_FIRST_MS 1000
#define THROTTLE_MAX_MS 60000

static int my_slot = -1;
static uint32 my_slot_generation = 0;

static void detach(int code, Datum arg);

/* Slot number of the relay that this process is, -1 = none. */
int
OutboxMyRelaySlot(void)
{
	return my_slot;
}

/* Ids of sinks begin anew with each installation in a database. */
static bool
is_of(const OutboxRelaySlot *slot, Oid dboid, Oid installation, int32 sink_id)
{
	return slot->dboid == dboid && slot->installation == installation && slot->sink_id == sink_id;
}

/* Lock held. */
static int
find_slot(Oid dboid, Oid installation, int32 sink_id)
{
	for (int i = 0; i < OUTBOX_MAX_RELAYS; i++)
	{
		const OutboxRelaySlot *slot = &outbox_shared->relays[i];

		if (slot->in_use && is_of(slot, dboid, installation, sink_id))
			return i;
	}
	return -1;
}

/*
 * Lock held. The slot that the sink has, or had last: what was counted stays
 * there until somebody else needs the slot.
 */
int
OutboxRelaySlotOf(Oid dboid, Oid installation, int32 sink_id)
{
	for (int i = 0; i < OUTBOX_MAX_RELAYS; i++)
	{
		const OutboxRelaySlot *slot = &outbox_shared->relays[i];

		if (is_of(slot, dboid, installation, sink_id))
			return i;
	}
	return -1;
}

/* Lock held. A slot that was never used comes before one that has counters; -1 when all are taken. */
static int
find_free_slot(void)
{
	int found = -1;

	for (int i = 0; i < OUTBOX_MAX_RELAYS; i++)
	{
		const OutboxRelaySlot *slot = &outbox_shared->relays[i];

		if (!slot->in_use && (found < 0 || (slot->dboid == InvalidOid && outbox_shared->relays[found].dboid != InvalidOid)))
			found = i;
	}
	return found;
}

/* Lock held exclusively; -1 when all are taken. */
static int
take_slot(Oid dboid, Oid installation, int32 sink_id)
{
	int i = OutboxRelaySlotOf(dboid, installation, sink_id);
	bool former = i >= 0;
	OutboxRelaySlot *slot;
	uint32 slot_generation;

	if (!former)
		i = find_free_slot();
	if (i < 0)
		return -1;
	slot = &outbox_shared->relays[i];
	slot_generation = slot->slot_generation + 1;
	memset(slot, 0, offsetof(OutboxRelaySlot, counters));
	if (!former)
	{
		memset(&slot->counters, 0, sizeof(slot->counters));
		OutboxAckedForget(i);
	}
	slot->in_use = true;
	slot->wanted = true;
	slot->slot_generation = slot_generation;
	slot->dboid = dboid;
	slot->installation = installation;
	slot->sink_id = sink_id;
	slot->phase = OUTBOX_PHASE_IDLE;
	slot->phase_since = GetCurrentTimestamp();
	return i;
}

/* Lock held exclusively. */
static void
set_phase(OutboxRelaySlot *slot, OutboxRelayPhase phase)
{
	slot->phase = phase;
	slot->phase_since = GetCurrentTimestamp();
}

/* Lock held exclusively: a start that failed, or did not last, delays the next one. */
static void
throttle(OutboxRelaySlot *slot)
{
	int delay;

	slot->failures++;
	delay = THROTTLE_FIRST_MS << Min(slot->failures - 1, 6);
	slot->not_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												   Min(delay, THROTTLE_MAX_MS));
}

/* ---- the relay ------------------------------------------------------------ */

/* Claims the slot that the launcher reserved and registers MyLatch; false if it is gone. Detaches at exit. */
bool
OutboxRelayAttach(int slot_number, uint32 slot_generation)
{
	OutboxRelaySlot *slot;
	bool attached = false;

	if (outbox_shared == NULL || slot_number < 0 || slot_number >= OUTBOX_MAX_RELAYS)
		return false;
	slot = &outbox_shared->relays[slot_number];
	LWLockAcquire(outbox_shared->relays_lock, LW_EXCLUSIVE);
	if (slot->in_use && slot->slot_generation == slot_generation &&
		slot->phase == OUTBOX_PHASE_STARTING && slot->wanted)
	{
		memset(&slot->report, 0, sizeof(slot->report));
		slot->pid = MyProcPid;
		slot->latch = MyLatch;
		set_phase(slot, OUTBOX_PHASE_RUNNING);
		attached = true;
	}
	LWLockRelease(outbox_shared->relays_lock);
	if (attached)
	{
		my_slot = slot_number;
		my_slot_generation = slot_generation;
		before_shmem_exit(detach, 0);
	}
	return attached;
}

/*
 * The slot stays, with the last report: the launcher starts the relay again
 * if it is still wanted, and frees the slot otherwise.
 */
static void
detach(int code, Datum arg)
{
	OutboxRelaySlot *slot = &outbox_shared->relays[my_slot];
	OutboxDatabase *db = OutboxMyDatabaseCached();
	Oid dboid = slot->dboid;

	if (db != NULL)
		pg_atomic_fetch_and_u64(&db->relays, ~(UINT64CONST(1) << my_slot));
	LWLockAcquire(outbox_shared->relays_lock, LW_EXCLUSIVE);
	if (slot->in_use && slot->slot_generation == my_slot_generation)
	{
		if (TimestampDifferenceExceeds(slot->phase_since, GetCurrentTimestamp(), STEADY_MS))
			slot->failures = 0;
		throttle(slot);
		slot->pid = 0;
		slot->latch = NULL;
		set_phase(slot, OUTBOX_PHASE_IDLE);
	}
	LWLockRelease(outbox_shared->relays_lock);
	my_slot = -1;
	OutboxLauncherPoke(dboid);
}

/* Stores this relay's report and counters; no-op in other processes. Never raises. */
void
OutboxRelaySetReport(const OutboxRelayReport *report, const OutboxRelayCounters *counters)
{
	if (my_slot < 0)
		return;
	LWLockAcquire(outbox_shared->relays_lock, LW_EXCLUSIVE);
	outbox_shared->relays[my_slot].report = *report;
	outbox_shared->relays[my_slot].counters = *counters;
	LWLockRelease(outbox_shared->relays_lock);
}

/* What the processes before this one have counted. */
void
OutboxRelayGetCounters(OutboxRelayCounters *counters)
{
	if (my_slot < 0)
		return;
	LWLockAcquire(outbox_shared->relays_lock, LW_SHARED);
	*counters = outbox_shared->relays[my_slot].counters;
	LWLockRelease(outbox_shared->relays_lock);
}

/* ---- launcher, probe, status ---------------------------------------------- */

/* Frees the slot, unless its relay runs. */
void
OutboxRelayRelease(int slot_number, uint32 slot_generation)
{
	OutboxRelaySlot *slot = &outbox_shared->relays[slot_number];

	LWLockAcquire(outbox_shared->relays_lock, LW_EXCLUSIVE);
	if (slot->slot_generation == slot_generation && slot->phase != OUTBOX_PHASE_RUNNING)
		slot->in_use = false;
	LWLockRelease(outbox_shared->relays_lock);
}

/*
 * Wants exactly these sinks of the database, in its present installation of the extension; returns how many found no free slot.
 */
int
OutboxRelayWant(Oid dboid, Oid installation, const int32 *sink_ids, int n)
{
	int refused = 0;

	LWLockAcquire(outbox_shared->relays_lock, LW_EXCLUSIVE);
	for (int i = 0; i < OUTBOX_MAX_RELAYS; i++)
	{
		OutboxRelaySlot *slot = &outbox_shared->relays[i];

		if (slot->in_use && slot->dboid == dboid)
		{
			slot->wanted = false;
			for (int s = 0; s < n; s++)
				slot->wanted |= is_of(slot, dboid, installation, sink_ids[s]);
		}
	}
	for (int s = 0; s < n; s++)
	{
		if (find_slot(dboid, installation, sink_ids[s]) < 0 && take_slot(dboid, installation, sink_ids[s]) < 0)
			refused++;
	}
	LWLockRelease(outbox_shared->relays_lock);
	return refused;
}

/* Copies out what is known of the sink's relay, in this database; false: it has no slot. Needs a transaction. */
bool
OutboxRelayLookup(int32 sink_id, OutboxRelayInfo *info)
{
	Oid installation;
	int i;

	if (outbox_shared == NULL)
		return false;
	installation = OutboxInstallation();
	LWLockAcquire(outbox_shared->relays_lock, LW_SHARED);
	i = find_slot(MyDatabaseId, installation, sink_id);
	if (i >= 0)
	{
		const OutboxRelaySlot *slot = &outbox_shared->relays[i];

		info->dboid = slot->dboid;
		info->sink_id = slot->sink_id;
		info->slot_generation = slot->slot_generation;
		info->pid = slot->pid;
		info->report = slot->report;
	}
	LWLockRelease(outbox_shared->relays_lock);
	return i >= 0;
}

/* What the sink's relays have counted, also when none runs now. */
bool
OutboxRelayLookupCounters(int32 sink_id, OutboxRelayCounters *counters)
{
	Oid installation;
	int i;

	if (outbox_shared == NULL)
		return false;
	installation = OutboxInstallation();
	LWLockAcquire(outbox_shared->relays_lock, LW_SHARED);
	i = OutboxRelaySlotOf(MyDatabaseId, installation, sink_id);
	if (i >= 0)
		*counters = outbox_shared->relays[i].counters;
	LWLockRelease(outbox_shared->relays_lock);
	return i >= 0;
}

/* Copies out the slot without its report. */
void
OutboxRelayGet(int slot_number, OutboxRelayView *view)
{
	const OutboxRelaySlot *slot = &outbox_shared->relays[slot_number];

	LWLockAcquire(outbox_shared->relays_lock, LW_SHARED);
	view->in_use = slot->in_use;
	view->wanted = slot->wanted;
	view->slot_generation = slot->slot_generation;
	view->dboid = slot->dboid;
	view->sink_id = slot->sink_id;
	view->phase = slot->phase;
	view->phase_since = slot->phase_since;
	view->not_before = slot->not_before;
	LWLockRelease(outbox_shared->relays_lock);
}

/* Idle and wanted becomes starting, with a new slot_generation (0: it is not both). */
uint32
OutboxRelayBeginStart(int slot_number)
{
	OutboxRelaySlot *slot = &outbox_shared->relays[slot_number];
	uint32 slot_generation = 0;

	LWLockAcquire(outbox_shared->relays_lock, LW_EXCLUSIVE);
	if (slot->in_use && slot->wanted && slot->phase == OUTBOX_PHASE_IDLE)
	{
		slot_generation = ++slot->slot_generation;
		set_phase(slot, OUTBOX_PHASE_STARTING);
	}
	LWLockRelease(outbox_shared->relays_lock);
	return slot_generation;
}

/* The start came to nothing: idle again, throttled; counts says whether it was the relay's own failure. */
void
OutboxRelayAbandonStart(int slot_number, uint32 slot_generation, bool counts, TimestampTz not_before)
{
	OutboxRelaySlot *slot = &outbox_shared->relays[slot_number];

	LWLockAcquire(outbox_shared->relays_lock, LW_EXCLUSIVE);
	if (slot->in_use && slot->slot_generation == slot_generation && slot->phase == OUTBOX_PHASE_STARTING)
	{
		if (counts)
			throttle(slot);
		else
			slot->not_before = not_before;
		set_phase(slot, OUTBOX_PHASE_IDLE);
	}
	LWLockRelease(outbox_shared->relays_lock);
}

/* SIGTERM to the slot's relay. The pid is of a live process: a relay clears it before it exits. */
void
OutboxRelayTerminate(int slot_number, uint32 slot_generation)
{
	const OutboxRelaySlot *slot = &outbox_shared->relays[slot_number];

	LWLockAcquire(outbox_shared->relays_lock, LW_SHARED);
	if (slot->in_use && slot->slot_generation == slot_generation && slot->pid != 0)
		kill(slot->pid, SIGTERM);
	LWLockRelease(outbox_shared->relays_lock);
}
