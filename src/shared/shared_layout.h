/*-------------------------------------------------------------------------
 *
 * shared_layout.h
 *	  How the shared memory is laid out; for shared/ and the launcher alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_SHARED_SHARED_LAYOUT_H
#define OUTBOX_SHARED_SHARED_LAYOUT_H

#include "shared/outbox_shared.h"

/* ---- shared_state.c ---- */

/* Relays of one server; a database entry refers to them by a 64-bit mask. */
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
 * head counts the hints ever pushed; each claim of the entry starts it 2^40
 * further, so that a cursor of a former owner is always "too far behind".
 */
typedef struct OutboxDatabase
{
	pg_atomic_uint64 owner; /* 0 = free */
	pg_atomic_uint64 head;
	pg_atomic_uint64 relays;       /* mask of the relay slots to wake */
	pg_atomic_uint32 current_leaf; /* 0 = not loaded since the entry was claimed */
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
	OutboxRelayCounters counters; /* last: it outlives the use of the slot */
} OutboxRelaySlot;

/* Of the relay slot with the same number. Under relays_lock, but for what waits need. */
typedef struct OutboxAckedSlot
{
	ConditionVariable moved;
	pg_atomic_uint64 awaited_until; /* a TimestampTz */
	bool known;
	OutboxAcked acked;
} OutboxAckedSlot;

typedef struct OutboxShared
{
	LWLock *registry_lock;
	LWLock *relays_lock;
	uint64 claims; /* database entries claimed so far */
	OutboxRelaySlot relays[OUTBOX_MAX_RELAYS];
	OutboxAckedSlot acked[OUTBOX_MAX_RELAYS];

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

/* ---- relay_slots.c: for the launcher and its probe ---- */

/* A relay slot without its report. */
typedef struct OutboxRelayView
{
	bool in_use;
	bool wanted;
	uint32 slot_generation;
	Oid dboid;
	int32 sink_id;
	OutboxRelayPhase phase;
	TimestampTz phase_since;
	TimestampTz not_before;
} OutboxRelayView;

extern int OutboxRelayWant(Oid dboid, Oid installation, const int32 *sink_ids, int n);
extern void OutboxRelayGet(int slot, OutboxRelayView *view);
extern uint32 OutboxRelayBeginStart(int slot);
extern void OutboxRelayAbandonStart(int slot, uint32 slot_generation, bool counts, TimestampTz not_before);
extern void OutboxRelayTerminate(int slot, uint32 slot_generation);

#endif /* OUTBOX_SHARED_SHARED_LAYOUT_H */
