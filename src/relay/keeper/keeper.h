/*-------------------------------------------------------------------------
 *
 * keeper.h
 *	  The keeper of the leaves: switch, freeze, count, empty.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_RELAY_KEEPER_KEEPER_H
#define OUTBOX_RELAY_KEEPER_KEEPER_H

#include "datatype/timestamp.h"

#include "catalog/outbox_catalog.h"
#include "relay/read/read.h"
#include "relay/worker/worker.h"

/* ---- keeper.c: The keeper of the leaves: its parts and what they share. ---- */

typedef enum OutboxLeafState
{
	OUTBOX_LEAF_EMPTY,
	OUTBOX_LEAF_CURRENT,
	OUTBOX_LEAF_CLOSING,
	OUTBOX_LEAF_FROZEN,
	OUTBOX_LEAF_ACKED,
	OUTBOX_LEAF_RETAINED
} OutboxLeafState;

/* A row of outbox_internal.leaf as the keeper sees it. */
typedef struct OutboxKeptLeaf
{
	int16 number;
	Oid relid;
	OutboxLeafState state;
	int64 leaf_generation;
	int64 bytes;
	bool counted;   /* its events are */
	bool old;       /* current: has rows, and is older than outbox.leaf_age */
	bool passed;    /* frozen: by every sink, and there is one */
	bool due;       /* retained: the retention is over and every sink is past it */
	bool suspected; /* published again before, because the counts did not agree */
} OutboxKeptLeaf;

/* The count of a frozen leaf, a slice at a time. */
typedef struct OutboxLeafCensus
{
	int16 number; /* 0 = none is under way */
	int64 leaf_generation;
	Oid relfilenumber;
	BlockNumber next;
	int64 events;
	uint64 min_xid;
	uint64 max_xid;
	TimestampTz first_at;
	TimestampTz last_at;
} OutboxLeafCensus;

/* How much of a leaf that is still written to every sink has passed. */
typedef struct OutboxLeafMark
{
	int64 leaf_generation;
	int64 bytes;  /* when the mark was made */
	int64 passed; /* of an earlier mark */
} OutboxLeafMark;

/* Why a leaf cannot be had at present, and when to try again. */
typedef struct OutboxLeafRetry
{
	TimestampTz not_before;
	int delay_ms;
} OutboxLeafRetry;

typedef struct OutboxKeeper
{
	MemoryContext context; /* of a turn */
	Oid claimed;           /* oid of the outbox_internal.leaf that this process is keeper of */
	TimestampTz due;       /* the next turn */
	bool changed;          /* since the last one was stored for others */
	OutboxKeptLeaf *leaves;
	int n;
	int64 backlog; /* bytes that are not acknowledged */
	OutboxLeafMark marks[OUTBOX_MAX_LEAVES + 1];
	OutboxSnapshot *marked; /* who is past it is past all marks; NULL: there is none */
	OutboxLeafCensus census;
	bool sliced; /* in this turn: publishing comes next */
	int at;      /* leaf of the step that is being taken, else 0 */
	OutboxLeafRetry retry[OUTBOX_MAX_LEAVES + 1];

	/* streaks: only the first of each is logged */
	int failures;
	bool said_full;
	bool said_backlog;
	bool said_counts;
} OutboxKeeper;

/* ---- leaf_storage.c ---- */

extern void OutboxLeavesKeep(void);
extern void OutboxKeeperTurn(OutboxRelay *relay);
extern void OutboxKeeperResign(OutboxRelay *relay);
extern long OutboxKeeperDue(const OutboxRelay *relay, long limit);

#endif /* OUTBOX_RELAY_KEEPER_KEEPER_H */
