/*-------------------------------------------------------------------------
 *
 * progress.h
 *	  The position of a relay, as it is kept in outbox_internal.relay_progress.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_PROGRESS_H
#define OUTBOX_PROGRESS_H

#include "storage/itemptr.h"

#include "relay/read/tally.h"
#include "relay/session/window.h"

/* Everything that last sees is acknowledged, and of the window up to cur every seq up to cursor. */
typedef struct OutboxProgress
{
	OutboxSnapshot *last; /* NULL: the beginning */
	OutboxSnapshot *cur;  /* NULL: no window was begun */
	int64 cursor;         /* 0: nothing of that window */
	uint64 acked;         /* events since the sink was created */
	int64 seq_seen;
	OutboxTally tally; /* how many of acked lie in which leaf */
} OutboxProgress;

/* Where the row is, so that a write needs no index that old row versions have filled. */
typedef struct OutboxProgressRow
{
	int32 sink_id;
	bool known;
	ItemPointerData tid;
} OutboxProgressRow;

/*
 * Loads the position into *progress, snapshots in the current memory context.
 * When the keeper has asked to go back, it goes back first.
 * A position that belongs to another copy of the data, or to a future that was
 * lost, is void: the relay starts from the beginning, and the log says so.
 * One that pg_upgrade has brought goes on, and becomes this system's own.
 */
extern void OutboxProgressLoad(OutboxProgressRow *row, OutboxProgress *progress);

/* Writes the position; within OutboxSessionBeginQuery. */
extern void OutboxProgressSave(OutboxProgressRow *row, const OutboxProgress *progress);

/* The timeline that messages carry: grows with every promotion, and with pg_upgrade. Loaded with the position. */
extern uint32 OutboxProgressTimeline(void);

#endif /* OUTBOX_PROGRESS_H */
