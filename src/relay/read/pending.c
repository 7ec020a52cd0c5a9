/*-------------------------------------------------------------------------
 *
 * pending.c
 *	  Hints whose transactions have not ended yet.
 *
 * A hint is taken from the ring once, but is needed when its transaction has
 * ended, which may be much later: a prepared transaction, or one that was
 * between its pre-commit and its commit when the snapshot was taken.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/shmem.h"
#include "utils/memutils.h"

#include "relay/read/read_private.h"

/* How far back a new hint looks for one that it continues. */
#define LOOK_BACK 8

static int compare_hints(const void *a, const void *b);

/* Do two block ranges overlap or touch? Written so that nothing wraps around. */
static inline bool
joins(BlockNumber first, BlockNumber last, const OutboxHint *hint)
{
	return (first <= hint->last || first - hint->last == 1) &&
		(hint->first <= last || hint->first - last == 1);
}

void
OutboxPendingAdd(OutboxPending *pending, const OutboxHint *hint)
{
	for (int i = pending->n - 1; i >= 0 && i >= pending->n - LOOK_BACK; i--)
	{
		OutboxHint *known = &pending->hints[i];

		if (known->xid == hint->xid && known->relfilenumber == hint->relfilenumber &&
			joins(hint->first, hint->last, known))
		{
			known->first = Min(known->first, hint->first);
			known->last = Max(known->last, hint->last);
			return;
		}
	}

	if (pending->n == pending->capacity)
	{
		int capacity = pending->capacity == 0 ? 256 : pending->capacity * 2;
		Size size = mul_size(capacity, sizeof(OutboxHint));

		pending->hints = pending->hints == NULL ? MemoryContextAllocHuge(pending->context, size)
												: repalloc_huge(pending->hints, size);
		pending->capacity = capacity;
	}
	pending->hints[pending->n++] = *hint;
}

/*
 * Do all hints whose transactions the snapshot sees as ended lie in storage
 * that is listed? Otherwise hints do not tell where their rows are now.
 */
bool
OutboxPendingKnown(const OutboxPending *pending, const OutboxSnapshot *snapshot, const OutboxLeaves *leaves)
{
	for (int i = 0; i < pending->n; i++)
	{
		const OutboxHint *hint = &pending->hints[i];

		if (OutboxSnapshotSees(snapshot, hint->xid) && OutboxLeavesFind(leaves, hint->relfilenumber) < 0)
			return false;
	}
	return true;
}

/* Moves the hints whose transactions the snapshot sees as ended to ranges, in place of what these held. */
void
OutboxPendingTakeEnded(OutboxPending *pending, const OutboxSnapshot *snapshot, const OutboxLeaves *leaves,
					   OutboxRanges *ranges)
{
	int kept = 0;

	ranges->n = 0;
	for (int i = 0; i < pending->n; i++)
	{
		const OutboxHint *hint = &pending->hints[i];
		int leaf;

		if (!OutboxSnapshotSees(snapshot, hint->xid))
		{
			pending->hints[kept++] = *hint;
			continue;
		}
		leaf = OutboxLeavesFind(leaves, hint->relfilenumber);
		if (leaf >= 0)
			OutboxRangesAdd(ranges, leaf, hint->first, hint->last);
	}
	pending->n = kept;
	OutboxRangesArrange(ranges);
}

/* Merges hints of one transaction that overlap or touch: repeated scans find the same rows again. */
void
OutboxPendingCompact(OutboxPending *pending)
{
	int last = 0;

	if (pending->n == 0)
		return;
	qsort(pending->hints, pending->n, sizeof(OutboxHint), compare_hints);
	for (int i = 1; i < pending->n; i++)
	{
		OutboxHint *merged = &pending->hints[last];
		const OutboxHint *hint = &pending->hints[i];

		if (hint->xid == merged->xid && hint->relfilenumber == merged->relfilenumber &&
			joins(hint->first, hint->last, merged))
			merged->last = Max(merged->last, hint->last);
		else
			pending->hints[++last] = *hint;
	}
	pending->n = last + 1;
}

static int
compare_hints(const void *a, const void *b)
{
	const OutboxHint *x = a;
	const OutboxHint *y = b;

	if (x->xid != y->xid)
		return x->xid < y->xid ? -1 : 1;
	if (x->relfilenumber != y->relfilenumber)
		return x->relfilenumber < y->relfilenumber ? -1 : 1;
	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return 0;
}
