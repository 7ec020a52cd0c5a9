/*-------------------------------------------------------------------------
 *
 * hint_ring.c
 *	  The ring of hints of a database, and the wake-up of its relays.
 *
 * Writers overwrite the oldest entries and never wait for a reader.  Every
 * relay keeps its own tail; one that is more than a ring behind lost hints
 * and scans the leaves.  A push happens before the commit, the wake-up after
 * it, so a woken relay finds both the hint and the rows.
 *
 * There is no flag that suppresses wake-ups on top of the latch: SetLatch
 * does nothing but a barrier when the latch is already set, and no system
 * call while the relay is busy.  A flag of our own would have to be cleared
 * before the relay takes its snapshot, else a commit between the two would
 * wake nobody.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "storage/shmem.h"

#include "guc.h"
#include "shared/shared_private.h"

/* Hints copied per lock hold, so that a drain never delays writers for long. */
#define DRAIN_CHUNK 4096

/* Pushes hints of MyDatabaseId's transaction; callable at PRE_COMMIT and PRE_PREPARE. Never raises. */
void
OutboxHintsPush(const OutboxHint *hints, int n)
{
	OutboxDatabase *db;
	uint64 head;

	if (outbox_shared == NULL || n <= 0)
		return;
	db = OutboxMyDatabaseCached();
	if (db == NULL)
		db = OutboxMyDatabase();
	if (db == NULL)
		return;

	LWLockAcquire(db->ring_lock, LW_EXCLUSIVE);
	/* when the entry has changed hands, every cursor of ours scans anyway */
	if (OutboxMyDatabaseCached() == db)
	{
		head = pg_atomic_read_u64(&db->head);
		for (int i = 0; i < n; i++)
			db->ring[head++ % outbox_ring_size] = hints[i];
		pg_atomic_write_u64(&db->head, head);
	}
	LWLockRelease(db->ring_lock);
}

/* Finds out whom OutboxWakeRelays wakes, for a transaction that captures nothing. Reads the catalog. */
void
OutboxWakePrepare(void)
{
	(void) OutboxMyDatabase();
}

/* Sets the latches of this database's relays. Safe in a commit callback: no lock that can wait long, no error. */
void
OutboxWakeRelays(void)
{
	OutboxDatabase *db = OutboxMyDatabaseCached();
	uint64 mask;

	if (db == NULL)
		return;
	mask = pg_atomic_read_u64(&db->relays);
	while (mask != 0)
	{
		int slot = pg_rightmost_one_pos64(mask);
		Latch *latch = outbox_shared->relays[slot].latch;

		/* PGPROCs never move: at worst this wakes a relay of somebody else */
		if (latch != NULL)
			SetLatch(latch);
		mask &= mask - 1;
	}
}

/* Grows the caller's array to hold the hints between tail and head. */
static void
reserve_hints(OutboxHint **hints, int *capacity, int needed)
{
	int size = *capacity;

	if (needed <= size && *hints != NULL)
		return;
	size = Min(Max(needed, Max(size * 2, 256)), outbox_ring_size);
	if (*hints == NULL)
		*hints = palloc(mul_size(sizeof(OutboxHint), size));
	else
		*hints = repalloc(*hints, mul_size(sizeof(OutboxHint), size));
	*capacity = size;
}

/* Copies tail..end; false when writers overwrote some of it meanwhile. */
static bool
copy_hints(OutboxDatabase *db, uint64 tail, uint64 end, OutboxHint *out)
{
	while (tail < end)
	{
		uint64 stop = Min(end, tail + DRAIN_CHUNK);

		LWLockAcquire(db->ring_lock, LW_SHARED);
		if (OutboxMyDatabaseCached() != db ||
			pg_atomic_read_u64(&db->head) - tail > outbox_ring_size)
		{
			LWLockRelease(db->ring_lock);
			return false;
		}
		while (tail < stop)
			*out++ = db->ring[tail++ % outbox_ring_size];
		LWLockRelease(db->ring_lock);
	}
	return true;
}

/*
 * Copies the new hints since the cursor into *hints (palloc'd array, reused
 * and grown by the function, in cursor's memory context) and returns how many;
 * -1: hints were lost (first call, overflow, no shared memory), scan the leaves.
 * Must be called AFTER the snapshot it serves was taken.
 */
int
OutboxHintsDrain(OutboxRingCursor *cursor, OutboxHint **hints, int *capacity)
{
	OutboxDatabase *db = OutboxMyDatabase();
	uint64 head;
	uint64 tail = cursor->tail;
	bool attached = cursor->attached;

	if (db == NULL)
	{
		cursor->attached = false;
		return -1;
	}

	/*
	 * From the first drain on writers wake us; what committed before is
	 * covered by the scan that the first drain asks for.
	 */
	if (OutboxMyRelaySlot() >= 0)
	{
		uint64 bit = UINT64CONST(1) << OutboxMyRelaySlot();

		if ((pg_atomic_read_u64(&db->relays) & bit) == 0)
			pg_atomic_fetch_or_u64(&db->relays, bit);
	}

	/*
	 * The lock makes sure that a push which is under way is complete: its
	 * transaction may be in the caller's snapshot, or about to commit.
	 */
	LWLockAcquire(db->ring_lock, LW_SHARED);
	head = pg_atomic_read_u64(&db->head);
	LWLockRelease(db->ring_lock);

	cursor->tail = head;
	cursor->attached = true;
	if (!attached || head - tail > outbox_ring_size)
		return -1;
	reserve_hints(hints, capacity, (int) (head - tail));
	if (!copy_hints(db, tail, head, *hints))
		return -1;
	return (int) (head - tail);
}

/* Is there something in the ring beyond the cursor? Unlocked, cheap. */
bool
OutboxHintsWaiting(const OutboxRingCursor *cursor)
{
	OutboxDatabase *db = OutboxMyDatabaseCached();

	if (db == NULL)
		return false;
	return !cursor->attached || pg_atomic_read_u64(&db->head) != cursor->tail;
}
