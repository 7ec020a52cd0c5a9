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
 * So that others need not wait for a transaction with many keys, it publishes
 * a filter of them (shared/bulk_filter.c), and each class has a gate: whoever
 * finds the slots taken and none of its keys in the filter holds the gate
 * instead, to the end of its transaction, and the locks of its keys.
 * README.md says why no two transactions read one key at the same time then.
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
#include "compat.h"
#include "shared/bulk_filter.h"

#define SLOTS 64
#define MAX_KEYS 256

/* Hashes collected before duplicates are looked for. */
#define MAX_HASHES (4 * MAX_KEYS)

/* The last field of our lock tags; contrib/userlock, which had this kind of tag before, is long gone. */
#define TAG_SLOT 1
#define TAG_KEY 2
#define TAG_GATE 3

typedef struct OutboxLock
{
	LOCKTAG tag;
	LOCKMODE mode; /* NoLock: not needed any more */
	uint16 kind;
	uint64 number; /* of a slot, a key, or a gate */
} OutboxLock;

static void remove_duplicates(OutboxLockSet *set);
static int compare_hashes(const void *a, const void *b);
static void add_lock(OutboxLockList *list, uint16 kind, uint64 number, LOCKMODE mode);
static LOCKTAG tag_of(uint16 kind, uint64 number);
static uint64 class_of(uint64 slot);
static int compare_locks(const void *a, const void *b);
static bool take(OutboxLockList *list, OutboxLock *lock);
static bool open_gate(OutboxLockList *list, OutboxLock *gate);
static bool pass_gate(OutboxLockList *list, OutboxLock *slot);
static OutboxBulkAnswer ask_filter(OutboxLockList *list, uint64 lock_class);

uint64
OutboxLockClass(const char *aggregate_type)
{
	return class_of(hash_bytes_extended((const unsigned char *) aggregate_type, strlen(aggregate_type), 0));
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
	set->nkeys++;
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
		nlocks += SLOTS + (sets[i]->coarse ? 1 : sets[i]->nhashes);
	}
	memset(list, 0, sizeof(*list));
	list->sets = sets;
	list->nsets = nsets;
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
				add_lock(list, TAG_SLOT, set->lock_class | j, set->coarse ? ExclusiveLock : RowExclusiveLock);
		}
		if (set->coarse)
			add_lock(list, TAG_GATE, set->lock_class, ExclusiveLock);
	}
	qsort(list->locks, list->nlocks, sizeof(OutboxLock), compare_locks);
}

static void
add_lock(OutboxLockList *list, uint16 kind, uint64 number, LOCKMODE mode)
{
	OutboxLock *lock = &list->locks[list->nlocks++];

	memset(lock, 0, sizeof(*lock));
	lock->tag = tag_of(kind, number);
	lock->mode = mode;
	lock->kind = kind;
	lock->number = number;
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

/* The lowest bits are the slot's. */
static uint64
class_of(uint64 slot)
{
	return slot & ~(uint64) (SLOTS - 1);
}

/* Class by class the slots and then the gate, keys at the end; the stronger mode of the same slot first. */
static int
compare_locks(const void *a, const void *b)
{
	const OutboxLock *left = a;
	const OutboxLock *right = b;
	uint64 left_class = class_of(left->number);
	uint64 right_class = class_of(right->number);

	if ((left->kind == TAG_KEY) != (right->kind == TAG_KEY))
		return left->kind == TAG_KEY ? 1 : -1;
	if (left_class != right_class)
		return left_class < right_class ? -1 : 1;
	if (left->kind != right->kind)
		return left->kind == TAG_GATE ? 1 : -1;
	if (left->number != right->number)
		return left->number < right->number ? -1 : 1;
	return right->mode - left->mode;
}

bool
OutboxLockListTake(OutboxLockList *list)
{
	for (; list->nheld < list->nlocks; list->nheld++)
	{
		if (!take(list, &list->locks[list->nheld]))
			return false;
	}
	return true;
}

static bool
take(OutboxLockList *list, OutboxLock *lock)
{
	if (lock->mode == NoLock)
		return true;
	if (lock->kind == TAG_GATE)
		return open_gate(list, lock);
	if (LockAcquire(&lock->tag, lock->mode, false, true) != LOCKACQUIRE_NOT_AVAIL)
		return true;
	return lock->kind == TAG_SLOT && lock->mode == RowExclusiveLock && pass_gate(list, lock);
}

/*
 * All slots of the class are ours. Whoever passed by an earlier owner of them
 * must have ended; then our filter takes the place of the lock. Without a
 * filter the gate stays closed, and so it does for a second flush, whose keys
 * the filter of the first does not know.
 */
static bool
open_gate(OutboxLockList *list, OutboxLock *gate)
{
	bool again = OutboxBulkFilterCoverAll(gate->number);
	LockAcquireResult result = LockAcquire(&gate->tag, gate->mode, false, true);
	uint64 nkeys = 0;
	int filter;

	if (result != LOCKACQUIRE_OK || again || list->fill == NULL)
		return result != LOCKACQUIRE_NOT_AVAIL;
	for (int i = 0; i < list->nsets; i++)
	{
		if (list->sets[i]->coarse && list->sets[i]->lock_class == gate->number)
			nkeys += list->sets[i]->nkeys;
	}
	filter = OutboxBulkFilterCreate(gate->number, nkeys);
	if (filter < 0)
		return true;
	list->fill(list->fill_arg, gate->number, filter);
	OutboxBulkFilterPublish(filter);
	(void) LockRelease(&gate->tag, gate->mode, false);
	gate->mode = NoLock;
	return true;
}

/*
 * A slot is taken. While the gate is held nobody flushes in this class but by
 * a filter that can be asked. Without a filter the slots' owner waits for the
 * gate: only who holds it anyway may go on, others would make it wait forever.
 */
static bool
pass_gate(OutboxLockList *list, OutboxLock *slot)
{
	uint64 lock_class = class_of(slot->number);
	LOCKTAG tag = tag_of(TAG_GATE, lock_class);
	OutboxBulkAnswer answer = ask_filter(list, lock_class);

	if (answer == OUTBOX_BULK_MAY_HAVE || (answer == OUTBOX_BULK_NO_FILTER && !OutboxHoldsLock(&tag, RowExclusiveLock)))
		return false;
	if (LockAcquire(&tag, RowExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	/* another one's filter may be there by now */
	if (ask_filter(list, lock_class) == OUTBOX_BULK_MAY_HAVE)
	{
		(void) LockRelease(&tag, RowExclusiveLock, false);
		return false;
	}
	slot->tag = tag;
	for (OutboxLock *other = slot + 1; other < list->locks + list->nlocks; other++)
	{
		if (other->kind == TAG_SLOT && class_of(other->number) == lock_class)
			other->mode = NoLock;
	}
	return true;
}

static OutboxBulkAnswer
ask_filter(OutboxLockList *list, uint64 lock_class)
{
	OutboxBulkAnswer answer = OUTBOX_BULK_NO_FILTER;

	for (int i = 0; i < list->nsets; i++)
	{
		const OutboxLockSet *set = list->sets[i];

		if (set->lock_class == lock_class)
			answer = OutboxBulkFilterAsk(lock_class, set->hashes, set->nhashes);
		if (answer == OUTBOX_BULK_MAY_HAVE)
			break;
	}
	return answer;
}

void
OutboxLockListRelease(OutboxLockList *list)
{
	OutboxBulkFiltersForget();
	while (list->nheld > 0)
	{
		OutboxLock *lock = &list->locks[--list->nheld];

		if (lock->mode != NoLock)
			(void) LockRelease(&lock->tag, lock->mode, false);
	}
}
