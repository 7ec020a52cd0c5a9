/*-------------------------------------------------------------------------
 *
 * table_lock.c
 *	  Keys locked in the server's lock table, where there is no shared memory
 *	  of ours.
 *
 * A lock is on the database, a class or a key, with a tag that nothing else uses.
 * A transaction that locks a key also locks its class and the database in a mode
 * of intention. Very many keys become their whole class, and very many classes the
 * whole database, so that a transaction keeps few locks whatever it changes.
 *
 * Requests never wait in the server's queue, where they would make an innocent
 * ALTER TABLE die of a deadlock. All sessions take the locks in the same order.
 * Each class has a door, a lock that everybody takes for a moment on the way to the
 * class. A transaction that wants the whole class keeps the door: so it gets the
 * class although others come and go.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lock.h"

#include "capture/commit/commit_private.h"
#include "compat.h"

/* Locks of one transaction, besides a door that it has for a moment. */
#define MAX_ENTRIES 31

/* The last field of our lock tags; contrib/userlock, which had this kind of tag before, is long gone. */
#define TAG_CLASS 1
#define TAG_KEY 2
#define TAG_DOOR 3

/* The class of all classes. */
#define EVERYTHING UINT64CONST(0)

typedef struct TableLock
{
	uint16 kind;
	uint64 number;
	LOCKMODE mode;
} TableLock;

struct OutboxTableLocks
{
	bool has_door; /* of the next one */
	int nheld;     /* the first ones are ours */
	int nlocks;
	TableLock locks[FLEXIBLE_ARRAY_MEMBER];
};

/* Locks that this transaction has taken, or more than that. */
static int kept = 0;
static LocalTransactionId kept_by = InvalidLocalTransactionId;

static int room_left(void);
static bool take(OutboxTableLocks *locks, const TableLock *lock);
static void leave_door(OutboxTableLocks *locks, const TableLock *lock);
static bool acquire(uint16 kind, uint64 number, LOCKMODE mode);
static LOCKTAG tag_of(uint16 kind, uint64 number);

static int
room_left(void)
{
	if (kept_by != OutboxLocalTransactionId())
		kept = 0;
	kept_by = OutboxLocalTransactionId();
	return Max(MAX_ENTRIES - kept, 0);
}

/* How many keys this transaction may still lock, in these classes. */
int
OutboxTableRoom(OutboxLockSet **sets, int nsets)
{
	int room = room_left() - 1;

	for (int i = 0; i < nsets; i++)
		room--;
	return Max(room, 0);
}

/* Locks for these parts, which are in the order of their classes; in CurrentMemoryContext. */
OutboxTableLocks *
OutboxTableLocksMake(const OutboxTicketPart *parts, int nparts)
{
	OutboxTableLocks *locks;
	int nlocks = 1 + nparts;
	bool everything = nlocks > room_left() && nlocks > 2;

	for (int i = 0; i < nparts; i++)
		nlocks += parts[i].nkeys;
	locks = palloc0(offsetof(OutboxTableLocks, locks) + sizeof(TableLock) * nlocks);
	locks->locks[locks->nlocks++] = (TableLock){TAG_CLASS, EVERYTHING, everything ? ExclusiveLock : RowExclusiveLock};
	for (int i = 0; i < nparts && !everything; i++)
		locks->locks[locks->nlocks++] = (TableLock){TAG_CLASS, parts[i].lock_class, parts[i].whole ? ExclusiveLock : RowExclusiveLock};
	for (int i = 0; i < nparts && !everything; i++)
	{
		for (int j = 0; j < parts[i].nkeys; j++)
			locks->locks[locks->nlocks++] = (TableLock){TAG_KEY, parts[i].keys[j], ExclusiveLock};
	}
	return locks;
}

/*
 * Takes the locks that are left without ever waiting; true when all are held.
 * They end with the transaction. May raise when the lock table is full.
 */
bool
OutboxTableTake(OutboxTableLocks *locks)
{
	for (; locks->nheld < locks->nlocks; locks->nheld++)
	{
		if (!take(locks, &locks->locks[locks->nheld]))
			return false;
	}
	return true;
}

static bool
take(OutboxTableLocks *locks, const TableLock *lock)
{
	bool taken;

	if (lock->kind == TAG_KEY)
		return acquire(lock->kind, lock->number, lock->mode);
	if (!locks->has_door && !acquire(TAG_DOOR, lock->number, lock->mode))
		return false;
	locks->has_door = true;
	taken = acquire(lock->kind, lock->number, lock->mode);
	if (taken || lock->mode == RowExclusiveLock)
		leave_door(locks, lock);
	return taken;
}

static void
leave_door(OutboxTableLocks *locks, const TableLock *lock)
{
	LOCKTAG tag = tag_of(TAG_DOOR, lock->number);

	(void) LockRelease(&tag, lock->mode, false);
	locks->has_door = false;
	kept--;
}

static bool
acquire(uint16 kind, uint64 number, LOCKMODE mode)
{
	LOCKTAG tag = tag_of(kind, number);
	LockAcquireResult result = LockAcquire(&tag, mode, false, true);

	if (result == LOCKACQUIRE_OK)
		kept++;
	return result != LOCKACQUIRE_NOT_AVAIL;
}

static LOCKTAG
tag_of(uint16 kind, uint64 number)
{
	LOCKTAG tag = {
		.locktag_field1 = MyDatabaseId,
		.locktag_field2 = (uint32) (number >> 32),
		.locktag_field3 = (uint32) number,
		.locktag_field4 = kind,
		.locktag_type = LOCKTAG_USERLOCK,
		.locktag_lockmethodid = USER_LOCKMETHOD,
	};

	return tag;
}

/* Gives back what was taken. */
void
OutboxTableRelease(OutboxTableLocks *locks)
{
	if (locks->has_door)
		leave_door(locks, &locks->locks[locks->nheld]);
	while (locks->nheld > 0)
	{
		const TableLock *lock = &locks->locks[--locks->nheld];
		LOCKTAG tag = tag_of(lock->kind, lock->number);

		(void) LockRelease(&tag, lock->mode, false);
	}
}
