/*-------------------------------------------------------------------------
 *
 * aggregate_lock.c
 *	  One transaction at a time reads an aggregate at commit.
 *
 * Two transactions that change different lines of one order would each miss
 * the other's line; so whoever commits second reads when the first has ended.
 *
 * A lock is an entry of the server's lock table of a kind that nothing else
 * uses. Every key has its own, plus the intention to use it on one of a few
 * coarse slots of its class; a transaction with many keys takes the slots
 * themselves, which the intentions of all others conflict with. One entry per
 * key would exhaust the lock table, slots alone would collide all the time.
 *
 * Requests never wait in the server's queue, where they would make an innocent
 * ALTER TABLE die of a deadlock. All sessions take them in the same order.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lock.h"

#include "capture/aggregate_lock.h"

#define SLOTS 64
#define MAX_KEYS 256

/* Hashes collected before duplicates are looked for. */
#define MAX_HASHES (4 * MAX_KEYS)

/* The last field of our lock tags; contrib/userlock, which had this kind of tag before, is long gone. */
#define TAG_SLOT 1
#define TAG_KEY 2

typedef struct OutboxLock
{
	LOCKTAG tag;
	LOCKMODE mode;
} OutboxLock;

static void remove_duplicates(OutboxLockSet *set);
static int compare_hashes(const void *a, const void *b);
static void add_lock(OutboxLockList *list, uint16 kind, uint64 number, LOCKMODE mode);
static uint64 slot_of(uint64 lock_class, int slot);
static int compare_locks(const void *a, const void *b);

uint64
OutboxLockClass(const char *aggregate_type)
{
	return hash_bytes_extended((const unsigned char *) aggregate_type, strlen(aggregate_type), 0);
}

OutboxLockSet *
OutboxLockSetCreate(uint64 lock_class)
{
	OutboxLockSet *set = palloc0(sizeof(OutboxLockSet));

	set->lock_class = lock_class;
	set->capacity = 16;
	set->hashes = palloc(sizeof(uint64) * set->capacity);
	return set;
}

void
OutboxLockSetAdd(OutboxLockSet *set, uint64 hash)
{
	if (set->coarse)
		return;
	if (set->nhashes == MAX_HASHES)
	{
		remove_duplicates(set);
		if (set->coarse)
			return;
	}
	if (set->nhashes == set->capacity)
	{
		set->capacity *= 2;
		set->hashes = repalloc(set->hashes, sizeof(uint64) * set->capacity);
	}
	set->hashes[set->nhashes++] = hash;
}

static void
remove_duplicates(OutboxLockSet *set)
{
	int kept = 0;

	qsort(set->hashes, set->nhashes, sizeof(uint64), compare_hashes);
	for (int i = 0; i < set->nhashes; i++)
	{
		if (kept == 0 || set->hashes[kept - 1] != set->hashes[i])
			set->hashes[kept++] = set->hashes[i];
	}
	set->nhashes = kept;
	set->coarse = kept > MAX_KEYS;
}

static int
compare_hashes(const void *a, const void *b)
{
	uint64 left = *(const uint64 *) a;
	uint64 right = *(const uint64 *) b;

	return left < right ? -1 : left > right;
}

void
OutboxLockListMake(OutboxLockList *list, OutboxLockSet **sets, int nsets)
{
	int nlocks = 0;

	for (int i = 0; i < nsets; i++)
	{
		remove_duplicates(sets[i]);
		nlocks += SLOTS + (sets[i]->coarse ? 0 : sets[i]->nhashes);
	}
	memset(list, 0, sizeof(*list));
	list->locks = palloc(sizeof(OutboxLock) * Max(nlocks, 1));
	for (int i = 0; i < nsets; i++)
	{
		OutboxLockSet *set = sets[i];
		uint64 slots = 0; /* bits */

		for (int j = 0; j < set->nhashes && !set->coarse; j++)
		{
			slots |= UINT64CONST(1) << (set->hashes[j] % SLOTS);
			add_lock(list, TAG_KEY, hash_combine64(set->lock_class, set->hashes[j]), ExclusiveLock);
		}
		for (int j = 0; j < SLOTS; j++)
		{
			if (set->coarse || (slots & (UINT64CONST(1) << j)))
				add_lock(list, TAG_SLOT, slot_of(set->lock_class, j), set->coarse ? ExclusiveLock : RowExclusiveLock);
		}
	}
	qsort(list->locks, list->nlocks, sizeof(OutboxLock), compare_locks);
}

static void
add_lock(OutboxLockList *list, uint16 kind, uint64 number, LOCKMODE mode)
{
	OutboxLock *lock = &list->locks[list->nlocks++];

	memset(lock, 0, sizeof(*lock));
	lock->tag.locktag_field1 = MyDatabaseId;
	lock->tag.locktag_field2 = (uint32) (number >> 32);
	lock->tag.locktag_field3 = (uint32) number;
	lock->tag.locktag_field4 = kind;
	lock->tag.locktag_type = LOCKTAG_USERLOCK;
	lock->tag.locktag_lockmethodid = USER_LOCKMETHOD;
	lock->mode = mode;
}

static uint64
slot_of(uint64 lock_class, int slot)
{
	return (lock_class & ~(uint64) (SLOTS - 1)) | slot;
}

/* Slots before keys; the stronger mode of the same slot first. */
static int
compare_locks(const void *a, const void *b)
{
	const OutboxLock *left = a;
	const OutboxLock *right = b;

	if (left->tag.locktag_field4 != right->tag.locktag_field4)
		return left->tag.locktag_field4 < right->tag.locktag_field4 ? -1 : 1;
	if (left->tag.locktag_field2 != right->tag.locktag_field2)
		return left->tag.locktag_field2 < right->tag.locktag_field2 ? -1 : 1;
	if (left->tag.locktag_field3 != right->tag.locktag_field3)
		return left->tag.locktag_field3 < right->tag.locktag_field3 ? -1 : 1;
	return right->mode - left->mode;
}

bool
OutboxLockListTake(OutboxLockList *list)
{
	for (; list->nheld < list->nlocks; list->nheld++)
	{
		OutboxLock *lock = &list->locks[list->nheld];

		if (LockAcquire(&lock->tag, lock->mode, false, true) == LOCKACQUIRE_NOT_AVAIL)
			return false;
	}
	return true;
}

void
OutboxLockListRelease(OutboxLockList *list)
{
	while (list->nheld > 0)
	{
		OutboxLock *lock = &list->locks[--list->nheld];

		(void) LockRelease(&lock->tag, lock->mode, false);
	}
}
