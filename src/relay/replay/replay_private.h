/*-------------------------------------------------------------------------
 *
 * replay_private.h
 *	  Shared by the files of relay/replay/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_RELAY_REPLAY_REPLAY_PRIVATE_H
#define OUTBOX_RELAY_REPLAY_REPLAY_PRIVATE_H

#include "datatype/timestamp.h"

#include "relay/read/read.h"
#include "relay/replay/replay.h"
#include "relay/session/session.h"
#include "relay/worker/worker.h"

/* ---- replay_request.c: A row of outbox_internal.replay_request: what to publish again, and how far it got. ---- */

typedef struct OutboxReplayRequest
{
	int64 id;

	/* which events: what is not restricted has the widest value, or NULL */
	TimestampTz from_time;
	TimestampTz to_time; /* exclusive */
	int64 from_seq;
	int64 to_seq; /* inclusive */
	char *event_type;
	char *aggregate_type;
	char *message_key;

	/* what the sink had published when the replay was asked for: nothing else is replayed */
	OutboxSnapshot *last;
	OutboxSnapshot *cur;
	int64 cur_cursor;
	int64 *excluded; /* seq of what it had passed and not published, in order */
	int nexcluded;

	/* how */
	char *topic; /* in UTF-8; NULL: the event's own */
	int rate;    /* events per second, 0 = no limit */

	/* how far */
	int64 events; /* counted when it was asked for */
	int64 cursor; /* every event up to this seq is done */
	int64 published;
	int64 rejected;
} OutboxReplayRequest;

extern bool OutboxReplayExcludes(const OutboxReplayRequest *request, int64 seq);
extern bool OutboxReplayRequestLoad(OutboxReplayRequest *request, int64 id);
extern bool OutboxReplayRequestSave(const OutboxReplayRequest *request, bool finished, const char *error);

/* ---- replay_pass.c: The events of a replay in order of seq, a bounded number at a time. ---- */

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
extern void OutboxReplayPassStart(OutboxReplayPass *pass, int64 after);
extern void OutboxReplayPassStep(OutboxReplayPass *pass);
extern void OutboxReplayPassSeek(OutboxReplayPass *pass, int64 after);
extern bool OutboxReplayPassRead(OutboxReplayPass *pass, OutboxSchemaCache *schemas, OutboxChunk *chunk, int max);

/* ---- What the two halves of a replay share: its request, and its sink. ---- */

/* Messages under way: few, because what is new shares the way to the broker. A power of two. */
#define OUTBOX_REPLAY_IN_FLIGHT 1024

/* Events read in one transaction. */
#define OUTBOX_REPLAY_READ 256

typedef struct OutboxReplayPlace
{
	int64 seq;
	uint32 held;
	bool done;
	bool rejected;
	bool completes;
} OutboxReplayPlace;

typedef struct OutboxReplay
{
	MemoryContext context;         /* lives as long as the relay */
	MemoryContext request_context; /* as long as the request */
	MemoryContext attempt_context; /* as long as the sink is up */
	bool open;                     /* there is a request */
	OutboxReplayRequest request;
	OutboxReplayPass pass;
	bool exhausted; /* everything was read */
	OutboxChunk chunk;

	/* the sink */
	uint32 live_attempt; /* of the relay, when it was started */
	uint32 attempt;
	bool started;
	bool ready;
	const OutboxSinkCallbacks *callbacks;
	OutboxSinkState sink;
	OutboxSchemaCache schemas;
	bool failed; /* a message was given back */

	/* under way: positions head to tail of a ring */
	OutboxReplayPlace places[OUTBOX_REPLAY_IN_FLIGHT];
	uint64 head;
	uint64 tail;
	Size held;

	double tokens; /* events that the rate allows now */
	TimestampTz refilled_at;
	TimestampTz retry_at;
	int failures; /* in a row */
	TimestampTz saved_at;
	bool changed; /* since then */
	char error[OUTBOX_ERROR_LEN];
} OutboxReplay;

/* ---- replay_publish.c ---- */

extern void OutboxReplayStartSink(OutboxRelay *relay, OutboxReplay *replay);
extern void OutboxReplayStopSink(OutboxReplay *replay);
extern void OutboxReplayTakeAcks(OutboxReplay *replay);
extern void OutboxReplayRefill(OutboxRelay *relay, OutboxReplay *replay);
extern bool OutboxReplayRead(OutboxReplay *replay);
extern bool OutboxReplayHandOver(OutboxReplay *replay);
extern void OutboxReplayCheckTrouble(OutboxReplay *replay);
extern void OutboxReplaySetError(OutboxReplay *replay, const char *text);

#endif /* OUTBOX_RELAY_REPLAY_REPLAY_PRIVATE_H */
