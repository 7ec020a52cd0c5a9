/*-------------------------------------------------------------------------
 *
 * bulk_filter.c
 *	  Which keys a transaction with very many of them has locked.
 *
 * Such a transaction has a ticket (key_ticket.c) for a whole aggregate type. A
 * filter says which keys it means, so that others need not wait for it. A filter
 * never denies a key that is in it. It may wrongly claim a key that is not; then
 * somebody waits in vain.
 *
 * A filter is a Bloom filter whose bits for one key lie in one block, half a
 * cache line, one bit in each of its words. All filters of the server share
 * one area (outbox.bulk_filter_memory), and each takes a contiguous part of it:
 * 16 bits per key where there is room, 8 where there is less. Exact hashes
 * would take 64, and a segment of their own, whose creation can fail.
 *
 * A filter belongs to a transaction of this backend. When a backend dies
 * without an abort the server throws all shared memory away.
 *
 * That a commit of very many keys keeps nobody waiting who has none of them rests on
 * this: test/t/055_commit_bulk.pl, test/isolation/specs/commit_bulk_pass.spec.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "guc.h"
#include "shared/shared_private.h"

#define TRANCHE "outbox_bulk_filters"

/* Bulk transactions and aggregate types at a time; bits of `mine`. */
#define FILTERS 64

#define BLOCK_WORDS 8
/* Room is given out in pieces of so many blocks. */
#define CHUNK_BLOCKS 256
#define CHUNK_BYTES ((Size) CHUNK_BLOCKS * sizeof(Block))

/* A key's share of a filter, in bytes: how much is asked for, and how much will do. */
#define GENEROUS 2
#define SCARCE 1

typedef struct Block
{
	uint32 words[BLOCK_WORDS];
} Block;

/* Under the lock; it does not change while it is owned. */
typedef struct Filter
{
	bool owned;
	int first; /* chunk */
	int nchunks;
} Filter;

typedef struct Filters
{
	LWLock *lock;
	int nchunks; /* of the area */
	Filter filters[FILTERS];
} Filters;

static Filters *shared = NULL; /* NULL without preloading */
static Block *area;

/* What this transaction owns, and from which nest level on. */
static uint64 mine = 0;
static int levels[FILTERS];

static int claim(const Filter *wanted);
static int find_room(int nchunks);
static bool is_taken(int first, int nchunks, int *end);
static Block *blocks_of(const Filter *filter);
static uint64 mix(uint64 hash);
static Block *block_of(const Filter *filter, uint64 mixed);
static uint32 bit_of(uint64 mixed, int word);
static bool may_have(const Filter *filter, uint64 key);
static void withdraw(uint64 which);

static int
area_chunks(void)
{
	return (int) ((int64) outbox_bulk_filter_memory * 1024 / (int64) CHUNK_BYTES);
}

/* Called by shared_state.c, while it requests and initialises the shared memory. */
void
OutboxBulkFiltersRequest(void)
{
	RequestAddinShmemSpace(MAXALIGN(sizeof(Filters)));
	RequestAddinShmemSpace(add_size(mul_size(CHUNK_BYTES, area_chunks()), PG_CACHE_LINE_SIZE));
	RequestNamedLWLockTranche(TRANCHE, 1);
}

void
OutboxBulkFiltersStartup(void)
{
	bool found;

	shared = ShmemInitStruct("outbox_ext bulk filters", sizeof(Filters), &found);
	if (!found)
	{
		memset(shared, 0, sizeof(Filters));
		shared->lock = &GetNamedLWLockTranche(TRANCHE)[0].lock;
		shared->nchunks = area_chunks();
	}
	/* a structure of size 0 is none */
	area = ShmemInitStruct("outbox_ext bulk filter area", Max(mul_size(CHUNK_BYTES, shared->nchunks), 1), &found);
}

/* ---- the transaction with very many keys -------------------------------------- */

/*
 * Claims an empty filter at the present nest level; -1 when none is free, there
 * is no room, or no shared memory. Its owner fills it before anybody else asks
 * it, and it does not change any more then. Never raises.
 */
int
OutboxBulkFilterCreate(uint64 nkeys)
{
	Filter wanted = {.owned = true};
	int found = -1;

	if (shared == NULL || nkeys > (uint64) shared->nchunks * CHUNK_BYTES)
		return -1;
	for (int share = GENEROUS; found < 0 && share >= SCARCE; share /= 2)
	{
		wanted.nchunks = (int) ((nkeys * share + CHUNK_BYTES - 1) / CHUNK_BYTES);
		found = claim(&wanted);
	}
	if (found < 0)
		return -1;
	mine |= UINT64CONST(1) << found;
	levels[found] = GetCurrentTransactionNestLevel();
	memset(blocks_of(&shared->filters[found]), 0, CHUNK_BYTES * wanted.nchunks);
	return found;
}

/* A free filter and room for it, or -1. */
static int
claim(const Filter *wanted)
{
	int found = -1;
	int first;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	first = find_room(wanted->nchunks);
	for (int i = 0; i < FILTERS && first >= 0 && found < 0; i++)
	{
		if (!shared->filters[i].owned)
			found = i;
	}
	if (found >= 0)
	{
		shared->filters[found] = *wanted;
		shared->filters[found].first = first;
	}
	LWLockRelease(shared->lock);
	return found;
}

/* The first gap that is large enough begins at 0 or behind a filter. */
static int
find_room(int nchunks)
{
	int first = 0;

	while (first + nchunks <= shared->nchunks)
	{
		if (!is_taken(first, nchunks, &first))
			return first;
	}
	return -1;
}

/* Is some of these chunks in use? Then *end is where that filter ends. */
static bool
is_taken(int first, int nchunks, int *end)
{
	for (int i = 0; i < FILTERS; i++)
	{
		const Filter *filter = &shared->filters[i];

		if (filter->owned && filter->first < first + nchunks && first < filter->first + filter->nchunks)
		{
			*end = filter->first + filter->nchunks;
			return true;
		}
	}
	return false;
}

void
OutboxBulkFilterAdd(int filter, uint64 key)
{
	uint64 mixed = mix(key);
	Block *block = block_of(&shared->filters[filter], mixed);

	for (int i = 0; i < BLOCK_WORDS; i++)
		block->words[i] |= bit_of(mixed, i);
}

/* Mixes the hash: a type's own hash function may be a poor one. */
static uint64
mix(uint64 hash)
{
	return hash_bytes_extended((const unsigned char *) &hash, sizeof(hash), 0);
}

/* The upper half of the hash chooses the block, the lower half the bits. */
static Block *
block_of(const Filter *filter, uint64 mixed)
{
	uint64 nblocks = (uint64) filter->nchunks * CHUNK_BLOCKS;

	return blocks_of(filter) + (((mixed >> 32) * nblocks) >> 32);
}

static Block *
blocks_of(const Filter *filter)
{
	return area + (Size) filter->first * CHUNK_BLOCKS;
}

static uint32
bit_of(uint64 mixed, int word)
{
	/* odd, and otherwise random */
	static const uint32 factors[BLOCK_WORDS] = {
		0xf366684b, 0x4bee4483, 0xf7d46437, 0x321abf83, 0x7a1dfb45, 0x62631a4f, 0x10fad17d, 0x17e990b3};

	return (uint32) 1 << (((uint32) mixed * factors[word]) >> 27);
}

/* ---- the end ------------------------------------------------------------------- */

/*
 * The end of a subtransaction at this nest level, and of the transaction: when
 * nobody asks the filters any more. Never raise.
 */
void
OutboxBulkFiltersPromote(int nest_level)
{
	for (int i = 0; i < FILTERS && mine != 0; i++)
	{
		if ((mine & (UINT64CONST(1) << i)) && levels[i] >= nest_level)
			levels[i] = nest_level - 1;
	}
}

void
OutboxBulkFiltersDrop(int nest_level)
{
	uint64 which = 0;

	for (int i = 0; i < FILTERS && mine != 0; i++)
	{
		if ((mine & (UINT64CONST(1) << i)) && levels[i] >= nest_level)
			which |= UINT64CONST(1) << i;
	}
	withdraw(which);
}

void
OutboxBulkFiltersForget(void)
{
	withdraw(mine);
}

static void
withdraw(uint64 which)
{
	if (which == 0)
		return;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (uint64 rest = which; rest != 0; rest &= rest - 1)
		shared->filters[pg_rightmost_one_pos64(rest)].owned = false;
	LWLockRelease(shared->lock);
	mine &= ~which;
}

/* ---- the others ---------------------------------------------------------------- */

/* One of the keys, rarely by mistake; false: none of them, certainly. */
bool
OutboxBulkFilterMayHave(int filter, const uint64 *keys, int nkeys)
{
	for (int i = 0; i < nkeys; i++)
	{
		if (may_have(&shared->filters[filter], keys[i]))
			return true;
	}
	return false;
}

static bool
may_have(const Filter *filter, uint64 key)
{
	uint64 mixed = mix(key);
	const Block *block = block_of(filter, mixed);

	for (int i = 0; i < BLOCK_WORDS; i++)
	{
		if ((block->words[i] & bit_of(mixed, i)) == 0)
			return false;
	}
	return true;
}
