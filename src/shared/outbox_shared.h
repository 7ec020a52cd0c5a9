/*-------------------------------------------------------------------------
 *
 * outbox_shared.h
 *	  Shared memory of all sessions and relays.
 *
 * Capture and the relay meet here. Everything is an accelerator or a display.
 * Nothing is lost when the shared memory is empty (after a start or a crash),
 * when a ring overflows, or when the library was not preloaded: the relay then
 * scans the leaves.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_SHARED_H
#define OUTBOX_SHARED_H

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/block.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/spin.h"

/* ---- bulk_filter.c: the keys of transactions with very many of them ---- */

extern int OutboxBulkFilterCreate(uint64 nkeys);
extern void OutboxBulkFilterAdd(int filter, uint64 key);
extern void OutboxBulkFiltersPromote(int nest_level);
extern void OutboxBulkFiltersDrop(int nest_level);
extern void OutboxBulkFiltersForget(void);

/* ---- key_ticket.c, ticket_queue.c, ticket_keys.c: who reads which keys at commit, and who is next ---- */

/* What a ticket has room for; keys beyond it stand for their whole classes, classes beyond it for everything. */
#define OUTBOX_TICKET_KEYS 512
#define OUTBOX_TICKET_PARTS 16

/* Keys of one lock class, or all of them. */
typedef struct OutboxTicketPart
{
	uint64 lock_class;
	bool whole; /* very many keys */
	int filter; /* which they are (bulk_filter.c), or -1: unknown */
	int nkeys;
	uint64 *keys; /* sorted, without duplicates */
} OutboxTicketPart;

extern int OutboxSortKeys(uint64 *keys, int nkeys);
extern bool OutboxTicketsAvailable(void);
extern bool OutboxTicketDraw(const OutboxTicketPart *parts, int nparts, bool ahead);
extern bool OutboxTicketTurn(void);
extern uint64 OutboxTicketReader(void);
extern void OutboxTicketReturn(void);
extern void OutboxTicketHasRead(void);
extern void OutboxTicketsPromote(int nest_level);
extern void OutboxTicketsDrop(int nest_level);
extern void OutboxTicketsForget(void);

/* ---- hint_ring.c: where writers wrote events, and whom they wake ---- */

/*
 * "Transaction xid wrote events into blocks first..last of this leaf's storage."
 * A hint only says where to look; the reader's snapshots decide what is new.
 */
typedef struct OutboxHint
{
	uint64 xid;        /* top-level, 64 bits */
	Oid relfilenumber; /* the leaf's storage when the rows were written */
	BlockNumber first;
	BlockNumber last;
} OutboxHint;

/* A relay's own place in the ring of its database. */
typedef struct OutboxRingCursor
{
	uint64 tail;
	bool attached;
} OutboxRingCursor;

extern void OutboxHintsPush(const OutboxHint *hints, int n);
extern void OutboxWakePrepare(void);
extern void OutboxWakeRelays(void);
extern int OutboxHintsDrain(OutboxRingCursor *cursor, OutboxHint **hints, int *capacity);
extern bool OutboxHintsWaiting(const OutboxRingCursor *cursor);

/* ---- current_leaf.c, leaf_lock.c: which leaf is written, which relation it is, and who writes to it ---- */

#define OUTBOX_MAX_LEAVES 1024

/* What outbox_internal.leaf says, for those who do not read it. */
typedef struct OutboxLeafSummary
{
	int current;
	uint64 freeze_xmax; /* largest xmax among the snapshots of frozen leaves; 0 = there is none */
	int64 closed_bytes;
	bool changed; /* since the keeper stored it last */
} OutboxLeafSummary;

extern int OutboxCurrentLeaf(void);
extern int64 OutboxClosedBytes(void);
extern Oid OutboxLeafRelation(int leaf);
extern bool OutboxLeafLockToWrite(Oid relid, bool wait);
extern bool OutboxLeafHasNoWriters(Oid relid);
extern void OutboxStoreLeaves(const OutboxLeafSummary *summary);
extern uint32 OutboxLeafChanges(void);
extern uint64 OutboxFreezeXmax(void);

/* ---- counters.c: what was captured since the server started ---- */

/* What capture did for a contract, and the time that writers spent on it. */
typedef struct OutboxWriterCounters
{
	uint64 calls; /* of the trigger function */
	uint64 skips; /* calls that found nothing published to differ */
	uint64 transitions;
	uint64 call_ns; /* extrapolated from the calls that were timed */
	uint64 max_call_ns;
	uint64 flushes; /* readings at commit */
	uint64 flush_keys;
	uint64 flush_ns;
	uint64 max_flush_ns;
} OutboxWriterCounters;

typedef struct OutboxContractCounters
{
	uint64 events;
	uint64 dead_letters;
	OutboxWriterCounters writers;
} OutboxContractCounters;

extern void OutboxCountCaptured(int32 contract_id, uint64 events, uint64 dead_letters);
extern void OutboxCountWriters(int32 contract_id, const OutboxWriterCounters *cost);
extern void OutboxCountersFind(void);
extern bool OutboxGetCounters(int32 contract_id, OutboxContractCounters *counters);
extern void OutboxCountSchema(int32 schema_id, uint64 events);
extern bool OutboxGetSchemaCounter(int32 schema_id, uint64 *events);

/* ---- relay_slots.c: who relays which sink, and what it says about itself ---- */

/*
 * The counters of a sink stay in its relay slot over any number of processes, so
 * that a monitoring system sees counters that only grow. The relay counts in a
 * copy of its own and stores it with its report.
 */

/* Pinned schemas that are counted apart; a power of two. */
#define OUTBOX_COUNTED_TYPES 256
#define OUTBOX_TYPE_UNCOUNTED 0xFFFF

/* Upper bounds in microseconds, as Prometheus has them; the last bucket has none. */
#define OUTBOX_LATENCY_BOUNDS                                                                               \
	{                                                                                                       \
		250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, \
			10000000, 30000000, 60000000, 300000000, INT64CONST(3600000000)                                 \
	}
#define OUTBOX_LATENCY_BUCKETS 20

typedef struct OutboxTypeCounter
{
	int32 schema_id; /* 0 = unused */
	uint64 events;
} OutboxTypeCounter;

typedef struct OutboxRelayCounters
{
	uint64 events;                          /* acknowledged */
	uint64 bytes;                           /* key and payload of their messages */
	uint64 retries;                         /* lives of the sink that ended early */
	uint64 latency_sum;                     /* microseconds from occurred_at to the acknowledgement */
	uint64 latency[OUTBOX_LATENCY_BUCKETS]; /* events per bucket, not cumulated */
	OutboxTypeCounter types[OUTBOX_COUNTED_TYPES];
} OutboxRelayCounters;

/* Index of a schema in types, added if need be; OUTBOX_TYPE_UNCOUNTED when they are full. */
static inline uint16
OutboxCountedType(OutboxRelayCounters *counters, int32 schema_id)
{
	for (uint32 probe = 0; probe < OUTBOX_COUNTED_TYPES; probe++)
	{
		uint32 i = ((uint32) schema_id + probe) & (OUTBOX_COUNTED_TYPES - 1);

		if (counters->types[i].schema_id == schema_id)
			return (uint16) i;
		if (counters->types[i].schema_id == 0)
		{
			counters->types[i].schema_id = schema_id;
			return (uint16) i;
		}
	}
	return OUTBOX_TYPE_UNCOUNTED;
}

/* An event was acknowledged. */
static inline void
OutboxCountPublished(OutboxRelayCounters *counters, uint16 type, TimestampTz occurred_at, TimestampTz now)
{
	static const int64 bounds[OUTBOX_LATENCY_BUCKETS - 1] = OUTBOX_LATENCY_BOUNDS;
	int64 latency = now > occurred_at ? now - occurred_at : 0;
	int bucket = 0;

	while (bucket < OUTBOX_LATENCY_BUCKETS - 1 && latency > bounds[bucket])
		bucket++;
	counters->events++;
	counters->latency_sum += (uint64) latency;
	counters->latency[bucket]++;
	if (type != OUTBOX_TYPE_UNCOUNTED)
		counters->types[type].events++;
}

#define OUTBOX_ERROR_LEN 512

typedef enum OutboxRelayState
{
	OUTBOX_RELAY_STARTING,
	OUTBOX_RELAY_RUNNING, /* publishing or idle */
	OUTBOX_RELAY_BACKOFF, /* transport trouble, trying again */
	OUTBOX_RELAY_BLOCKED, /* a rejected event: a person must act */
	OUTBOX_RELAY_STOPPING
} OutboxRelayState;

/* What a relay says about itself; written by the relay only, copied out under the slot's lock. */
typedef struct OutboxRelayReport
{
	OutboxRelayState state;
	uint64 published;           /* messages handed to the sink since this relay started */
	uint64 acked;               /* messages acknowledged since this relay started */
	uint64 queued;              /* events read or known that are not acked yet */
	int64 seq_seen;             /* event_seq's last value before the newest window was opened */
	TimestampTz oldest_unacked; /* occurred_at of the oldest such event; 0 = none */
	uint64 retries;             /* lives of the sink that ended early, also those of former processes */
	uint64 scans;               /* fallback scans of whole leaves */
	uint64 cycles;
	TimestampTz since;    /* in this state */
	TimestampTz retry_at; /* end of a pause after an attempt that failed; 0 = none */
	uint64 in_flight;     /* messages handed over and not acknowledged */
	uint64 in_flight_bytes;
	uint64 window_left;        /* events of the window that are known and not read yet */
	TimestampTz last_error_at; /* 0 = none since start */
	char last_error[OUTBOX_ERROR_LEN];
} OutboxRelayReport;

/* A relay as the launcher, status and stop_relay see it. */
typedef struct OutboxRelayInfo
{
	Oid dboid;
	int32 sink_id;
	uint32 slot_generation; /* counts the uses of the slot */
	int pid;                /* 0 = being started */
	OutboxRelayReport report;
} OutboxRelayInfo;

extern bool OutboxRelayAttach(int slot, uint32 slot_generation);
extern void OutboxRelaySetReport(const OutboxRelayReport *report, const OutboxRelayCounters *counters);
extern void OutboxRelayGetCounters(OutboxRelayCounters *counters);
extern void OutboxRelayRelease(int slot, uint32 slot_generation);
extern bool OutboxRelayLookup(int32 sink_id, OutboxRelayInfo *info);
extern bool OutboxRelayLookupCounters(int32 sink_id, OutboxRelayCounters *counters);

/* ---- acked.c: how far the relay of each sink is acknowledged ---- */

#define OUTBOX_ACKED_XIDS 512

/* A snapshot: the transactions that it sees as ended are acknowledged. */
typedef struct OutboxAcked
{
	TimestampTz shown_at;
	uint64 xmin;
	uint64 xmax;
	uint32 nxip;
	uint64 xip[OUTBOX_ACKED_XIDS]; /* sorted */
} OutboxAcked;

extern bool OutboxAckedAwaited(TimestampTz now);
extern void OutboxAckedShow(uint64 xmin, uint64 xmax, const uint64 *xip, uint32 nxip);
extern bool OutboxAckedLoad(int32 sink_id, OutboxAcked *acked);
extern int OutboxAckedPrepare(int32 sink_id);
extern void OutboxAckedWait(int slot, long timeout_ms);
extern void OutboxAckedWaited(void);

/* ---- shared_state.c, database_entry.c: whether there is any ---- */

extern void OutboxSharedInit(void);
extern bool OutboxSharedAvailable(void);
extern void OutboxDatabaseSweep(void);

/* ---- launcher_queue.c: which databases the launcher looks at, and how its probe ended ---- */

extern void OutboxLauncherAttach(void);
extern void OutboxLauncherPoke(Oid dboid);
extern bool OutboxLauncherNextPoked(Oid *dboid);
extern bool OutboxLauncherLacksWorkers(void);
extern bool OutboxLauncherSetNoWorker(bool no_worker);
extern uint32 OutboxProbeBegin(void);
extern void OutboxProbeDone(uint32 token);
extern bool OutboxProbeSucceeded(uint32 token);

#endif /* OUTBOX_SHARED_H */
