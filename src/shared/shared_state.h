/*-------------------------------------------------------------------------
 *
 * shared_state.h
 *	  Layout of the shared memory; private to src/shared/ and the launcher.
 *
 * Locks, never nested in another order than this one:
 *	 registry   which database owns which slot
 *	 ring       one per database slot: its hints, and changes of its owner
 *	 relays     all relay slots
 * and one spinlock for the launcher's queue.  No catalog access, palloc or
 * ereport happens under any of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_SHARED_STATE_H
#define OUTBOX_SHARED_STATE_H

#include "port/atomics.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/spin.h"

#include "shared/outbox_shared.h"

/* Relays of one server; a database slot refers to them by a 64-bit mask. */
#define OUTBOX_MAX_RELAYS 64
#define OUTBOX_COUNTERS 512 /* contracts, and schemas, per database that are counted; a power of two */
#define OUTBOX_POKES 64

/* What is counted per contract. */
enum
{
	COUNTER_EVENTS,
	COUNTER_DEAD_LETTERS,
	COUNTER_CALLS,
	COUNTER_SKIPS,
	COUNTER_TRANSITIONS,
	COUNTER_CALL_NS,
	COUNTER_MAX_CALL_NS,
	COUNTER_FLUSHES,
	COUNTER_FLUSH_KEYS,
	COUNTER_FLUSH_NS,
	COUNTER_MAX_FLUSH_NS,
	OUTBOX_COUNTER_VALUES
};

typedef struct OutboxCounter
{
	pg_atomic_uint32 contract_id; /* 0 = unused */
	pg_atomic_uint64 values[OUTBOX_COUNTER_VALUES];
} OutboxCounter;

typedef struct OutboxSchemaCounter
{
	pg_atomic_uint32 schema_id; /* 0 = unused */
	pg_atomic_uint64 events;
} OutboxSchemaCounter;

/*
 * What the writers and relays of one database share.
 *
 * The owner is (database oid, oid of its outbox_internal.event_seq): the second half
 * changes when the extension is dropped and created again.  It is written
 * under registry and ring lock and read without.
 *
 * head counts the hints ever pushed; each claim of the slot starts it 2^40
 * further, so that a cursor of a former owner is always "too far behind".
 */
typedef struct OutboxDatabase
{
	pg_atomic_uint64 owner; /* 0 = free */
	pg_atomic_uint64 head;
	pg_atomic_uint64 relays;       /* mask of the relay slots to wake */
	pg_atomic_uint32 current_leaf; /* 0 = not loaded since the slot was claimed */
	pg_atomic_uint32 leaf_changes; /* counts the keeper's changes of outbox_internal.leaf */
	pg_atomic_uint64 freeze_xmax;  /* a position beyond it lets every frozen leaf pass */
	pg_atomic_uint64 closed_bytes; /* an int64: see OutboxClosedBytes */
	LWLock *ring_lock;
	OutboxCounter counters[OUTBOX_COUNTERS];
	OutboxSchemaCounter schema_counters[OUTBOX_COUNTERS];
	OutboxHint ring[FLEXIBLE_ARRAY_MEMBER]; /* outbox.ring_size entries */
} OutboxDatabase;

typedef enum OutboxRelayPhase
{
	OUTBOX_PHASE_IDLE,     /* wanted, no worker */
	OUTBOX_PHASE_STARTING, /* a worker was asked for and has not attached yet */
	OUTBOX_PHASE_RUNNING
} OutboxRelayPhase;

typedef struct OutboxRelaySlot
{
	bool in_use;
	bool wanted; /* false: stop it, then free the slot */
	uint32 slot_generation;
	Oid dboid;
	Oid installation; /* OutboxInstallation() */
	int32 sink_id;
	OutboxRelayPhase phase;
	int pid;               /* of a running relay, else 0 */
	Latch *volatile latch; /* read without lock by committing writers */
	TimestampTz phase_since;
	TimestampTz not_before; /* throttle: no start before */
	int failures;           /* starts in a row that did not last */
	OutboxRelayReport report;
	OutboxMeter meter; /* last: it outlives the use of the slot */
} OutboxRelaySlot;

typedef struct OutboxShared
{
	LWLock *registry_lock;
	LWLock *relays_lock;
	uint64 claims; /* database slots claimed so far */
	OutboxRelaySlot relays[OUTBOX_MAX_RELAYS];

	slock_t launcher_lock; /* the rest of the struct */
	Latch *launcher_latch;
	bool poke_all;
	int npokes;
	Oid pokes[OUTBOX_POKES];
	uint32 probe_token; /* the probe that runs now */
	bool probe_done;    /* it reached its end */
	bool no_worker;     /* the server had no free background worker for us the last time */
} OutboxShared;

extern OutboxShared *outbox_shared; /* NULL without preloading */

/* Address of a database slot. */
extern OutboxDatabase *OutboxDatabaseSlot(int i);

/*
 * The slot of this database's installation, claimed when there is none yet.
 * NULL: no shared memory, no extension, all slots taken, or the extension was
 * created by this very transaction.  Needs a transaction; may read catalogs.
 */
extern OutboxDatabase *OutboxMyDatabase(void);

/* The slot that OutboxMyDatabase found last if it is still ours, else NULL. Never raises. */
extern OutboxDatabase *OutboxMyDatabaseCached(void);

/* Frees this database's slot when its installation is gone; for the probe. */
extern void OutboxDatabaseSweep(void);

/* Slot number of the relay that this process is, -1 = none. */
extern int OutboxMyRelaySlot(void);

#endif /* OUTBOX_SHARED_STATE_H */
