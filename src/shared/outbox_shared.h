/*-------------------------------------------------------------------------
 *
 * outbox_shared.h
 *	  Where capture and the relay meet in shared memory: hints, wake-up,
 *	  the current leaf, relay slots, counters.
 *
 * Everything here is an accelerator or a display.  Nothing is lost when the
 * shared memory is empty (after a start or a crash), when a ring overflows,
 * or when the library was not preloaded: the relay then scans the leaves.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_SHARED_H
#define OUTBOX_SHARED_H

#include "datatype/timestamp.h"
#include "storage/block.h"

#include "shared/meter.h"

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

/* Called from _PG_init while shared_preload_libraries are loaded. */
extern void OutboxSharedInit(void);

/* True when the library was preloaded: ring, relay slots and counters exist. */
extern bool OutboxSharedAvailable(void);

/* ---- the writer's side ---- */

/* Pushes hints of MyDatabaseId's transaction; callable at PRE_COMMIT and PRE_PREPARE. Never raises. */
extern void OutboxHintsPush(const OutboxHint *hints, int n);

/* Finds out whom OutboxWakeRelays wakes, for a transaction that captures nothing. Reads the catalog. */
extern void OutboxWakePrepare(void);

/* Sets the latches of this database's relays. Safe in a commit callback: no lock that can wait long, no error. */
extern void OutboxWakeRelays(void);

/*
 * The leaf that writers use now, from shared memory; the first caller after a
 * start loads it from outbox_internal.leaf with a fresh snapshot.  Without preloading
 * it is read from the catalog.
 */
extern int OutboxCurrentLeaf(void);

/*
 * What the current leaf's size is to be added to for the bytes that are not
 * acknowledged, as the keeper said last: those of full leaves, less what is
 * acknowledged of the current one. The first caller after a start loads them
 * with the current leaf.
 */
extern int64 OutboxClosedBytes(void);

/* ---- leaf_lock.c: which relation a leaf is, and who writes to it ---- */

#define OUTBOX_MAX_LEAVES 1024

/* By its number. Remembered by the backend; raises when outbox_internal.leaf has no such row. */
extern Oid OutboxLeafRelation(int leaf);

/* The writer's lock on a leaf, for CurrentResourceOwner; false: not to be had without waiting. Comes before that on the relation. */
extern bool OutboxLeafLockToWrite(Oid relid, bool wait);

/* No open or prepared transaction has the writer's lock. Never waits. */
extern bool OutboxLeafHasNoWriters(Oid relid);

/* ---- the keeper's side: which leaf is written ---- */

/* What outbox_internal.leaf says, for those who do not read it. */
typedef struct OutboxLeafSummary
{
	int current;
	uint64 freeze_xmax; /* largest xmax among the snapshots of frozen leaves; 0 = there is none */
	int64 closed_bytes;
	bool changed; /* since the keeper stored it last */
} OutboxLeafSummary;

/*
 * Stores what the table says, unconditionally. In a transaction that has read
 * outbox_internal.leaf, by the keeper alone: nobody else changes it.
 */
extern void OutboxStoreLeaves(const OutboxLeafSummary *summary);

/* Counts the changes of outbox_internal.leaf. Never raises; 0 without shared memory. */
extern uint32 OutboxLeafChanges(void);

/* A recorded position is asked for that is newer than this. Never raises. */
extern uint64 OutboxFreezeXmax(void);

/* Adds to a contract's counters (since server start). Never raises; no-op without shared memory. */
extern void OutboxCountCaptured(int32 contract_id, uint64 events, uint64 dead_letters);

/* What capture did for a contract, and the time that writers spent on it. */
typedef struct OutboxCost
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
} OutboxCost;

typedef struct OutboxContractCounters
{
	uint64 events;
	uint64 dead_letters;
	OutboxCost cost;
} OutboxContractCounters;

/* Adds to a contract's cost. The same terms; OutboxCountersFind in the same transaction makes sure that it is heard. */
extern void OutboxCountCost(int32 contract_id, const OutboxCost *cost);
extern void OutboxCountersFind(void);
extern bool OutboxGetCounters(int32 contract_id, OutboxContractCounters *counters);

/* The same for events by pinned schema, which tells the event type. */
extern void OutboxCountSchema(int32 schema_id, uint64 events);
extern bool OutboxGetSchemaCounter(int32 schema_id, uint64 *events);

/* ---- the relay's side ---- */

/* Claims the slot that the launcher reserved and registers MyLatch; false if it is gone. Detaches at exit. */
extern bool OutboxRelayAttach(int slot, uint32 slot_generation);
extern void OutboxRelaySetReport(const OutboxRelayReport *report, const OutboxMeter *meter);

/* What the processes before this one have counted. */
extern void OutboxRelayGetMeter(OutboxMeter *meter);

/*
 * Copies the new hints since the cursor into *hints (palloc'd array, reused
 * and grown by the function, in cursor's memory context) and returns how many;
 * -1: hints were lost (first call, overflow, no shared memory), scan the leaves.
 * Must be called AFTER the snapshot it serves was taken.
 */
extern int OutboxHintsDrain(OutboxRingCursor *cursor, OutboxHint **hints, int *capacity);

/* Is there something in the ring beyond the cursor? Unlocked, cheap. */
extern bool OutboxHintsWaiting(const OutboxRingCursor *cursor);

/* ---- the launcher's side, and status ---- */
extern void OutboxRelayRelease(int slot, uint32 slot_generation);
extern bool OutboxRelayLookup(int32 sink_id, OutboxRelayInfo *info);

/* What the sink's relays have counted, also when none runs now. */
extern bool OutboxRelayLookupMeter(int32 sink_id, OutboxMeter *meter);
extern void OutboxLauncherAttach(void);    /* the launcher registers its latch */
extern void OutboxLauncherPoke(Oid dboid); /* "look at this database again", InvalidOid: at all; safe in a commit callback */
extern bool OutboxLauncherNextPoked(Oid *dboid);
extern bool OutboxLauncherLacksWorkers(void); /* no background worker was free the last time it asked for one */

#endif /* OUTBOX_SHARED_H */
