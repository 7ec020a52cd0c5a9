/*-------------------------------------------------------------------------
 *
 * aggregate_lock.c
 *	  One transaction at a time reads an aggregate at commit.
 *
 * Two transactions that change different lines of one order would each miss
 * the other's line. So the one that commits second reads when the first has ended.
 *
 * A transaction asks for all its keys at once, and waits with a ticket of the
 * shared memory (shared/key_ticket.c), in the order of coming. Without
 * preloading there is no shared memory of ours: then locks of the server do
 * (table_lock.c), which are tried again and again, in no order. Very many keys
 * stand for their whole class, and a filter (shared/bulk_filter.c) tells others
 * whether they need to wait. README.md says why no two transactions read one
 * key at the same time.
 *
 * How long it waits: only the time in which another transaction reads counts. A
 * transaction that has read and commits is waited for, however long that takes:
 * its rows cannot be seen before, so being late would not help.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "portability/instr_time.h"

#include "capture/commit/commit_private.h"
#include "compat.h"
#include "shared/outbox_shared.h"
#include "util/util.h"

/* Keys of one class; with more, the class is locked as a whole. */
#define MAX_KEYS 256

/* Hashes collected before duplicates are looked for. */
#define MAX_HASHES (4 * MAX_KEYS)

/* So often during its time a waiting session looks at what the other one does. */
#define LOOKS 10
#define MAX_LOOK_MS 100

/* Between two attempts to get a lock of the server. */
#define MAX_PAUSE_MS 10

typedef struct LockWait
{
	const OutboxLockPatience *patience;
	instr_time last; /* look */
	uint64 reader;   /* who kept us waiting then */
	double spent_ms;
} LockWait;

static void make_coarse(OutboxLockSet **sets, int nsets, int room);
static void add_part(OutboxLockRequest *request, uint64 lock_class, bool whole);
static int compare_parts(const void *a, const void *b);
static void make_filters(OutboxLockRequest *request);
static bool wait_for_turn(LockWait *wait);
static bool try_again(OutboxLockRequest *request, LockWait *wait);
static void look(LockWait *wait, bool counts);
static void rest(int ms);

/* What an aggregate type's locks have in common. */
uint64
OutboxLockClass(const char *aggregate_type)
{
	return hash_bytes_extended((const unsigned char *) aggregate_type, strlen(aggregate_type), 0);
}

/* A key among those of all classes, from its hash. */
uint64
OutboxLockKey(uint64 lock_class, uint64 hash)
{
	return hash_combine64(lock_class, hash);
}

/* ---- which keys ---------------------------------------------------------------- */

/* An empty set for keys of this class, in CurrentMemoryContext. */
OutboxLockSet *
OutboxLockSetCreate(uint64 lock_class)
{
	OutboxLockSet *set = palloc0(sizeof(OutboxLockSet));

	set->lock_class = lock_class;
	set->capacity = 16;
	set->hashes = palloc(sizeof(uint64) * set->capacity);
	return set;
}

/* Adds a key; a set that has become coarse only counts them. */
void
OutboxLockSetAdd(OutboxLockSet *set, uint64 hash)
{
	set->nkeys++;
	if (set->coarse)
		return;
	if (set->nhashes == MAX_HASHES)
	{
		set->nhashes = OutboxSortKeys(set->hashes, set->nhashes);
		set->coarse = set->nhashes > MAX_KEYS;
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

/* Makes the request for these sets, in CurrentMemoryContext. Several sets may be of one class; the sets live as long as the request. */
void
OutboxLockRequestMake(OutboxLockRequest *request, OutboxLockSet **sets, int nsets)
{
	memset(request, 0, sizeof(*request));
	request->sets = sets;
	request->nsets = nsets;
	make_coarse(sets, nsets, OutboxTicketsAvailable() ? OUTBOX_TICKET_KEYS : OutboxTableRoom(sets, nsets));
	request->parts = palloc(sizeof(OutboxTicketPart) * 2 * Max(nsets, 1));
	for (int i = 0; i < nsets; i++)
	{
		bool met = false;

		for (int j = 0; j < i && !met; j++)
			met = sets[j]->lock_class == sets[i]->lock_class && sets[j]->coarse == sets[i]->coarse;
		if (!met)
			add_part(request, sets[i]->lock_class, sets[i]->coarse);
	}
	qsort(request->parts, request->nparts, sizeof(OutboxTicketPart), compare_parts);
}

/* Makes the largest sets coarse, until the other keys have room. */
static void
make_coarse(OutboxLockSet **sets, int nsets, int room)
{
	OutboxLockSet *largest;
	int64 left;

	for (int i = 0; i < nsets; i++)
	{
		sets[i]->nhashes = OutboxSortKeys(sets[i]->hashes, sets[i]->nhashes);
		sets[i]->coarse |= sets[i]->nhashes > MAX_KEYS;
	}
	do
	{
		largest = NULL;
		left = 0;
		for (int i = 0; i < nsets; i++)
		{
			if (sets[i]->coarse)
				continue;
			left += sets[i]->nhashes;
			if (largest == NULL || sets[i]->nhashes > largest->nhashes)
				largest = sets[i];
		}
		if (left > room)
			largest->coarse = true;
	} while (left > room);
}

/* Adds one part for all coarse sets of the class, or for all others. */
static void
add_part(OutboxLockRequest *request, uint64 lock_class, bool whole)
{
	OutboxTicketPart *part = &request->parts[request->nparts++];
	int nkeys = 0;

	for (int i = 0; i < request->nsets && !whole; i++)
		nkeys += request->sets[i]->nhashes;
	*part = (OutboxTicketPart){.lock_class = lock_class, .whole = whole, .filter = -1};
	part->keys = palloc(sizeof(uint64) * Max(nkeys, 1));
	for (int i = 0; i < request->nsets && !whole; i++)
	{
		const OutboxLockSet *set = request->sets[i];

		for (int j = 0; j < set->nhashes && set->lock_class == lock_class && !set->coarse; j++)
			part->keys[part->nkeys++] = OutboxLockKey(lock_class, set->hashes[j]);
	}
	part->nkeys = OutboxSortKeys(part->keys, part->nkeys);
}

static int
compare_parts(const void *a, const void *b)
{
	const OutboxTicketPart *left = a;
	const OutboxTicketPart *right = b;

	if (left->lock_class != right->lock_class)
		return left->lock_class < right->lock_class ? -1 : 1;
	return right->whole - left->whole;
}

/* ---- until they are ours --------------------------------------------------------- */

/*
 * Waits until the keys are ours, to the end of the transaction or the present
 * subtransaction. False: our patience ended, and nothing of it is ours. Never
 * waits in the server's lock queue. May raise: a cancel, or no memory.
 */
bool
OutboxLockTake(OutboxLockRequest *request, const OutboxLockPatience *patience)
{
	LockWait wait = {.patience = patience};

	if (request->nparts == 0)
		return true;
	INSTR_TIME_SET_CURRENT(wait.last);
	if (!OutboxTicketsAvailable())
		return try_again(request, &wait);
	make_filters(request);
	if (OutboxTicketDraw(request->parts, request->nparts, patience->in_a_hurry))
		return true;
	request->waited = true;
	return wait_for_turn(&wait);
}

/* Fills filters for coarse parts. Nobody else sees them before the ticket is drawn. */
static void
make_filters(OutboxLockRequest *request)
{
	for (int i = 0; i < request->nparts && request->fill; i++)
	{
		OutboxTicketPart *part = &request->parts[i];
		uint64 nkeys = 0;

		if (!part->whole)
			continue;
		for (int j = 0; j < request->nsets; j++)
		{
			if (request->sets[j]->coarse && request->sets[j]->lock_class == part->lock_class)
				nkeys += request->sets[j]->nkeys;
		}
		part->filter = OutboxBulkFilterCreate(nkeys);
		if (part->filter >= 0)
			request->fill(request->fill_arg, part->lock_class, part->filter);
	}
}

static bool
wait_for_turn(LockWait *wait)
{
	uint64 reader;

	while (!OutboxTicketTurn())
	{
		reader = OutboxTicketReader();
		look(wait, reader != 0 && reader == wait->reader);
		wait->reader = reader;
		if (wait->spent_ms >= wait->patience->ms)
		{
			OutboxTicketReturn();
			return false;
		}
		rest(Min(Max(wait->patience->ms / LOOKS, 1), MAX_LOOK_MS));
	}
	return true;
}

static bool
try_again(OutboxLockRequest *request, LockWait *wait)
{
	int pause_ms = 1;

	request->table = OutboxTableLocksMake(request->parts, request->nparts);
	while (!OutboxTableTake(request->table))
	{
		request->waited = true;
		look(wait, true);
		if (wait->spent_ms >= wait->patience->ms)
		{
			OutboxTableRelease(request->table);
			return false;
		}
		OutboxLockPause(&pause_ms);
	}
	return true;
}

static void
look(LockWait *wait, bool counts)
{
	instr_time now;
	instr_time passed;

	INSTR_TIME_SET_CURRENT(now);
	passed = now;
	INSTR_TIME_SUBTRACT(passed, wait->last);
	wait->last = now;
	if (counts || wait->patience->in_a_hurry)
		wait->spent_ms += INSTR_TIME_GET_MILLISEC(passed);
}

static void
rest(int ms)
{
	static uint32 wait_event = 0;

	if (wait_event == 0)
		wait_event = OutboxWaitEvent("OutboxAggregateLock");
	OutboxPause(ms, wait_event);
}

/* Pauses before a lock of a flush is tried again; the next pause is longer, up to 10 ms. May raise. */
void
OutboxLockPause(int *ms)
{
	rest(*ms);
	*ms = Min(*ms * 2, MAX_PAUSE_MS);
}

/*
 * Forgets a request after an error rolled back the subtransaction in which it was granted. Nothing is left to be given
 * back: tickets and filters see the end of a subtransaction themselves. Never raises.
 */
void
OutboxLockForget(OutboxLockRequest *request)
{
	request->table = NULL;
}

/* Gives the keys back: a prepared transaction must not keep them. */
void
OutboxLockRelease(OutboxLockRequest *request)
{
	OutboxTicketsForget();
	OutboxBulkFiltersForget();
	if (request->table)
		OutboxTableRelease(request->table);
}
