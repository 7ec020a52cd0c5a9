/*-------------------------------------------------------------------------
 *
 * ranges.c
 *	  The blocks in which the events of a window are, and what is known of
 *	  each of them.
 *
 * A window that is larger than a pass is collected in several. The first one
 * must read all blocks; it also counts the events of each range and remembers
 * their lowest and highest seq. The later ones read only the ranges that have
 * something between the cursor and what the pass can hold, so a backlog costs
 * two looks at each event, however large it is.
 *
 * That is sound because a window does not change: its events are those of
 * transactions that had ended when it was opened. An event that is committed
 * later belongs to a later window, which has ranges of its own. What is known
 * is forgotten with the window, and whenever the list of leaves is read again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/shmem.h"
#include "utils/memutils.h"

#include "relay/read/read_private.h"

/* A megabyte: some thousand events, and 40 bytes for what is known of it. */
#define RANGE_BLOCKS 128

static void reserve(OutboxRanges *ranges, int n);
static void join(OutboxRanges *ranges);
static void split(OutboxRanges *ranges);
static int pieces(const OutboxRange *range);
static int compare_places(const void *a, const void *b);
static int compare_lowest(const void *a, const void *b);

/* Adds blocks about which nothing is known yet. */
void
OutboxRangesAdd(OutboxRanges *ranges, int leaf, BlockNumber first, BlockNumber last)
{
	reserve(ranges, ranges->n + 1);
	ranges->range[ranges->n++] = (OutboxRange){.leaf = leaf, .first = first, .last = last, .lowest = PG_INT64_MAX};
}

static void
reserve(OutboxRanges *ranges, int n)
{
	int capacity = Max(ranges->capacity, 256);
	Size size;

	if (n <= ranges->capacity)
		return;
	while (capacity < n)
		capacity *= 2;
	size = mul_size(capacity, sizeof(OutboxRange));
	ranges->range = ranges->range == NULL ? MemoryContextAllocHuge(ranges->context, size)
										  : repalloc_huge(ranges->range, size);
	ranges->capacity = capacity;
}

/*
 * Makes them disjoint, because a row must be collected once, and none larger than a pass should have to read again.
 */
void
OutboxRangesArrange(OutboxRanges *ranges)
{
	join(ranges);
	split(ranges);
}

/* Sorts, and makes one of those that overlap or touch. */
static void
join(OutboxRanges *ranges)
{
	int last = 0;

	if (ranges->n <= 1)
		return;
	qsort(ranges->range, ranges->n, sizeof(OutboxRange), compare_places);
	for (int i = 1; i < ranges->n; i++)
	{
		const OutboxRange *range = &ranges->range[i];
		OutboxRange *joined = &ranges->range[last];

		if (range->leaf == joined->leaf && (range->first <= joined->last || range->first - joined->last == 1))
			joined->last = Max(joined->last, range->last);
		else
			ranges->range[++last] = *range;
	}
	ranges->n = last + 1;
}

/* From the end on, so that nothing is overwritten before it was split. */
static void
split(OutboxRanges *ranges)
{
	int before = ranges->n;
	int next = 0;

	for (int i = 0; i < before; i++)
		next += pieces(&ranges->range[i]);
	if (next == before)
		return;
	reserve(ranges, next);
	ranges->n = next;
	for (int i = before - 1; i >= 0; i--)
	{
		OutboxRange whole = ranges->range[i];

		for (int piece = pieces(&whole) - 1; piece >= 0; piece--)
		{
			OutboxRange *range = &ranges->range[--next];

			*range = whole;
			range->first = whole.first + (BlockNumber) piece * RANGE_BLOCKS;
			range->last = Min(whole.last, range->first + (RANGE_BLOCKS - 1));
		}
	}
}

static int
pieces(const OutboxRange *range)
{
	return (int) ((range->last - range->first) / RANGE_BLOCKS) + 1;
}

/* Once all are counted: in the order of their lowest seq, without those that have no event. */
void
OutboxRangesSort(OutboxRanges *ranges)
{
	int kept = 0;

	for (int i = 0; i < ranges->n; i++)
	{
		if (ranges->range[i].events > 0)
			ranges->range[kept++] = ranges->range[i];
	}
	ranges->n = kept;
	qsort(ranges->range, ranges->n, sizeof(OutboxRange), compare_lowest);
}

static int
compare_places(const void *a, const void *b)
{
	const OutboxRange *x = a;
	const OutboxRange *y = b;

	if (x->leaf != y->leaf)
		return x->leaf < y->leaf ? -1 : 1;
	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return 0;
}

static int
compare_lowest(const void *a, const void *b)
{
	const OutboxRange *x = a;
	const OutboxRange *y = b;

	return x->lowest < y->lowest ? -1 : x->lowest > y->lowest;
}
