/*-------------------------------------------------------------------------
 *
 * replay_pass.h
 *	  The events of a replay in order of seq, a bounded number at a time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_REPLAY_PASS_H
#define OUTBOX_REPLAY_PASS_H

#include "relay/read/collect.h"
#include "relay/read/message.h"
#include "relay/replay/replay_request.h"

/* A leaf, and what a pass learned of it: later passes leave out what cannot concern them. */
typedef struct OutboxReplayLeaf
{
	Oid relid;
	Oid storage; /* 0 = never opened */
	bool scanned;
	int64 lowest; /* seq of its events that belong to the replay, when scanned */
	int64 highest;
} OutboxReplayLeaf;

typedef struct OutboxReplayPass
{
	MemoryContext context; /* of the arrays; lives as long as the request */
	const OutboxReplayRequest *request;
	OutboxReplayLeaf *leaves;
	int nleaves;

	int64 after;          /* events above this seq */
	OutboxEntry *entries; /* sorted when complete */
	int n;
	int limit; /* entries that are kept; twice as many have room */
	int64 threshold;
	bool more;         /* there are events beyond the entries */
	int leaf;          /* that is being looked through */
	BlockNumber block; /* next one of it */
	bool complete;     /* all leaves were looked through */
	int next;          /* entry to read next */
} OutboxReplayPass;

extern void OutboxReplayPassInit(OutboxReplayPass *pass, MemoryContext context, const OutboxReplayRequest *request);

/* Begins to collect the events above this seq; runs a transaction. */
extern void OutboxReplayPassStart(OutboxReplayPass *pass, int64 after);

/* Looks through a small number of blocks, in a transaction of its own. */
extern void OutboxReplayPassStep(OutboxReplayPass *pass);

/* Continues above this seq, from what is collected already if that reaches back so far. */
extern void OutboxReplayPassSeek(OutboxReplayPass *pass, int64 after);

/*
 * Fills an empty chunk with up to max events of a complete pass, in a
 * transaction of its own. False: a leaf has changed its storage; start again
 * behind what the chunk has.
 */
extern bool OutboxReplayPassRead(OutboxReplayPass *pass, OutboxSchemaCache *schemas, OutboxChunk *chunk, int max);

#endif /* OUTBOX_REPLAY_PASS_H */
