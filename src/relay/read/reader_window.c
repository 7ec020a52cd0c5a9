/*-------------------------------------------------------------------------
 *
 * reader_window.c
 *	  Opens a window of new events and makes passes over it.
 *
 * A first pass looks at what the hints name, or at whole leaves when hints do
 * not tell all. A window with more events than a pass may keep needs further
 * passes, which read only the ranges that have something left for them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/bufmgr.h"

#include "guc.h"
#include "relay/read/read_private.h"

static void abandon_window(OutboxReader *reader);
static bool drain_hints(OutboxReader *reader);
static void collect(OutboxReader *reader, OutboxPending *pending);
static bool list_whole(OutboxReader *reader);
static void collect_ranges(OutboxReader *reader, OutboxPending *pending);

/* Events that this snapshot sees need not be looked at any more; NULL: all are to be looked at. */
const OutboxSnapshot *
OutboxReaderPassed(const OutboxReader *reader)
{
	return reader->position != NULL ? reader->position->last : NULL;
}

/*
 * Opens a window that ends with the active snapshot, or the one that a restart
 * interrupted, and makes the first pass over it. Within a transaction whose
 * locks and sequence value were taken in the order that OutboxReaderRead asks.
 *
 * A resumed window is read with the end that it had before the restart. The
 * ring is left alone then: the next window looks at everything anyway, and a
 * hint drained now would be judged by the wrong snapshot.  When the list of
 * leaves turns out to be stale no window is opened.
 */
void
OutboxReaderOpenWindow(OutboxReader *reader, int64 seq_seen)
{
	OutboxReadWindow *window = &reader->window;
	bool resumed = reader->resume_cur != NULL;

	if (resumed)
	{
		window->cur = reader->resume_cur;
		window->cursor = reader->resume_cursor;
		window->whole = true;
		reader->resume_cur = NULL;
	}
	else
	{
		MemoryContext old = MemoryContextSwitchTo(reader->context);

		window->cur = OutboxSnapshotActive();
		MemoryContextSwitchTo(old);
		window->seq_seen = seq_seen;
		window->cursor = 0;
		if (!drain_hints(reader))
		{
			abandon_window(reader);
			return;
		}
		window->whole = reader->scan_needed;
	}
	window->open = true;
	window->announced = false;
	reader->windows++;
	if (window->whole)
		reader->scans++;
	collect(reader, resumed ? NULL : &reader->pending);
	if (!resumed)
		reader->scan_needed = false;
}

/* The list of leaves turned out to be stale; hints that were drained are kept. */
static void
abandon_window(OutboxReader *reader)
{
	reader->leaves_stale = true;
	pfree(reader->window.cur);
	reader->window.cur = NULL;
}

/*
 * Turns the hints of ended transactions into ranges, or finds that hints do
 * not tell all and a scan is needed.  False: there are leaves that are not in
 * the list, and a hint is for one of them or may have been lost.
 */
static bool
drain_hints(OutboxReader *reader)
{
	OutboxReadWindow *window = &reader->window;
	MemoryContext old = MemoryContextSwitchTo(reader->context);
	int n = OutboxHintsDrain(&reader->ring, &reader->drained, &reader->ndrained_capacity);
	bool known;

	MemoryContextSwitchTo(old);
	if (n < 0)
		reader->scan_needed = true;
	for (int i = 0; i < n; i++)
		OutboxPendingAdd(&reader->pending, &reader->drained[i]);
	known = OutboxPendingKnown(&reader->pending, window->cur, &reader->leaves);
	if ((reader->scan_needed || !known) && !OutboxLeavesComplete(&reader->leaves, OutboxReaderPassed(reader)))
		return false;
	if (!known)
		reader->scan_needed = true;
	OutboxPendingTakeEnded(&reader->pending, window->cur, &reader->leaves, &window->ranges);
	return true;
}

/* A further pass over the open window, from its cursor on. Nothing is collected when the list of leaves is stale. */
void
OutboxReaderPass(OutboxReader *reader)
{
	collect(reader, NULL);
}

/*
 * A pass over the window, from its cursor on. With pending, a pass over whole
 * leaves makes hints of the rows of open transactions. Nothing is collected
 * when the list of leaves turns out to be stale.
 */
static void
collect(OutboxReader *reader, OutboxPending *pending)
{
	OutboxReadWindow *window = &reader->window;
	OutboxCollection *pass = &window->pass;

	pass->last = reader->base;
	pass->cur = window->cur;
	pass->cursor = window->cursor;
	pass->limit = outbox_max_sorted_events;
	OutboxCollectStart(pass);
	window->next = 0;
	if (!window->whole)
		collect_ranges(reader, NULL);
	else if (list_whole(reader))
	{
		collect_ranges(reader, pending);
		if (pending != NULL)
			OutboxPendingCompact(pending);
	}
	OutboxCollectFinish(pass);
	if (pass->beyond > 0)
		OutboxRangesSort(&window->ranges);
}

/* False: the list of leaves is stale. */
static bool
list_whole(OutboxReader *reader)
{
	OutboxReadWindow *window = &reader->window;

	window->ranges.n = 0;
	for (int i = 0; i < reader->leaves.n; i++)
	{
		Relation rel = OutboxLeavesOpenOne(&reader->leaves, i);
		BlockNumber nblocks;

		if (rel == NULL)
		{
			reader->leaves_stale = true;
			return false;
		}
		nblocks = RelationGetNumberOfBlocks(rel);
		if (nblocks > 0)
			OutboxRangesAdd(&window->ranges, i, 0, nblocks - 1);
	}
	OutboxRangesArrange(&window->ranges);
	window->whole = false;
	return true;
}

static void
collect_ranges(OutboxReader *reader, OutboxPending *pending)
{
	OutboxRanges *ranges = &reader->window.ranges;
	OutboxCollection *pass = &reader->window.pass;

	for (int i = 0; i < ranges->n; i++)
	{
		OutboxRange *range = &ranges->range[i];

		if (!OutboxCollectConcerns(pass, range))
			continue;
		if (OutboxLeavesOpenOne(&reader->leaves, range->leaf) == NULL)
		{
			reader->leaves_stale = true;
			pass->n = 0;
			return;
		}
		OutboxCollectRange(pass, &reader->leaves.leaf[range->leaf], range, pending);
	}
}
