/*-------------------------------------------------------------------------
 *
 * acked.c
 *	  How far the relay of each sink is acknowledged, for those who wait for it.
 *
 * The position on disk moves when something happens, and seldom on an idle
 * database. Here a relay shows the snapshot up to which everything is
 * acknowledged whenever it moved: ten times a second at most, and each time while
 * somebody waits. Who waits says so by a moment up to which he does, which he
 * moves on; nothing has to be taken back when he ends.
 *
 * A snapshot with more running transactions than there is room for is shown as an
 * older one, which sees less: nothing is called acknowledged that is not.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "shared/shared_private.h"

/* How long a relay goes on to show each move after the last call of OutboxAckedWait(). */
#define AWAITED_US 3000000

/* Once, in new shared memory. */
void
OutboxAckedStartup(OutboxAckedSlot *slots)
{
	for (int i = 0; i < OUTBOX_MAX_RELAYS; i++)
	{
		ConditionVariableInit(&slots[i].moved);
		pg_atomic_init_u64(&slots[i].awaited_until, 0);
	}
}

/* relays_lock held exclusively: the slot is another sink's now. */
void
OutboxAckedForget(int slot)
{
	outbox_shared->acked[slot].known = false;
}

/* Does somebody wait for this process, a relay, to be acknowledged further? False in other processes. */
bool
OutboxAckedAwaited(TimestampTz now)
{
	int slot = OutboxMyRelaySlot();

	return slot >= 0 && pg_atomic_read_u64(&outbox_shared->acked[slot].awaited_until) > (uint64) now;
}

/*
 * The relay that this process is has acknowledged everything that the snapshot
 * sees; xip is sorted. No-op in other processes. Never raises.
 */
void
OutboxAckedShow(uint64 xmin, uint64 xmax, const uint64 *xip, uint32 nxip)
{
	int number = OutboxMyRelaySlot();
	OutboxAckedSlot *slot;

	if (number < 0)
		return;
	slot = &outbox_shared->acked[number];
	LWLockAcquire(outbox_shared->relays_lock, LW_EXCLUSIVE);
	slot->acked.xmin = xmin;
	slot->acked.xmax = nxip > OUTBOX_ACKED_XIDS ? xip[OUTBOX_ACKED_XIDS] : xmax;
	slot->acked.nxip = Min(nxip, OUTBOX_ACKED_XIDS);
	memcpy(slot->acked.xip, xip, sizeof(uint64) * slot->acked.nxip);
	slot->acked.shown_at = GetCurrentTimestamp();
	slot->known = true;
	LWLockRelease(outbox_shared->relays_lock);
	ConditionVariableBroadcast(&slot->moved);
}

/* What the sink's relay, or the one before it, has shown since the server started. False: nothing. Needs a transaction. */
bool
OutboxAckedLoad(int32 sink_id, OutboxAcked *acked)
{
	Oid installation;
	int i;
	bool known;

	if (outbox_shared == NULL)
		return false;
	installation = OutboxInstallation();
	LWLockAcquire(outbox_shared->relays_lock, LW_SHARED);
	i = OutboxRelaySlotOf(MyDatabaseId, installation, sink_id);
	known = i >= 0 && outbox_shared->acked[i].known;
	if (known)
		memcpy(acked, &outbox_shared->acked[i].acked, offsetof(OutboxAcked, xip) + sizeof(uint64) * outbox_shared->acked[i].acked.nxip);
	LWLockRelease(outbox_shared->relays_lock);
	return known;
}

/*
 * Waits until the sink's relay has shown something new, or that many milliseconds.
 * The caller looks after OutboxAckedPrepare(), and before this, so that no news is
 * missed; OutboxAckedWaited() ends it. The relay is woken, because on an idle
 * database it has no other reason to look. Handles interrupts.
 */
void
OutboxAckedWait(int slot, long timeout_ms)
{
	static uint32 wait_event = 0;

	if (wait_event == 0)
		wait_event = OutboxWaitEvent("OutboxWaitAcked");
	pg_atomic_write_u64(&outbox_shared->acked[slot].awaited_until, (uint64) GetCurrentTimestamp() + AWAITED_US);
	OutboxWakeRelays();
	(void) ConditionVariableTimedSleep(&outbox_shared->acked[slot].moved, timeout_ms, wait_event);
}

/* Number for OutboxAckedWait(); -1: the sink has no relay slot, nobody would wake us. Needs a transaction. */
int
OutboxAckedPrepare(int32 sink_id)
{
	Oid installation;
	int i;

	if (outbox_shared == NULL)
		return -1;
	OutboxWakePrepare();
	installation = OutboxInstallation();
	LWLockAcquire(outbox_shared->relays_lock, LW_SHARED);
	i = OutboxRelaySlotOf(MyDatabaseId, installation, sink_id);
	LWLockRelease(outbox_shared->relays_lock);
	if (i >= 0)
		ConditionVariablePrepareToSleep(&outbox_shared->acked[i].moved);
	return i;
}

/* Ends what OutboxAckedPrepare() began. After an error the server does it. */
void
OutboxAckedWaited(void)
{
	ConditionVariableCancelSleep();
}
