/*-------------------------------------------------------------------------
 *
 * relay_slots.h
 *	  Relay slots as the launcher and its probe handle them.
 *
 * A slot belongs to (database, installation, sink) for as long as the sink is wanted, over
 * any number of workers: it keeps the throttle and the last report between
 * them.  Each worker gets a new slot_generation, so that one that comes too late
 * cannot attach.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_RELAY_SLOTS_H
#define OUTBOX_RELAY_SLOTS_H

#include "shared/shared_state.h"

/* Wants exactly these sinks of the database, in its present installation of the extension; returns how many found no free slot. */
extern int OutboxRelayWant(Oid dboid, Oid installation, const int32 *sink_ids, int n);

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

extern void OutboxRelayGet(int slot, OutboxRelayView *view);

/* Idle and wanted becomes starting, with a new slot_generation (0: it is not both). */
extern uint32 OutboxRelayBeginStart(int slot);

/* The start came to nothing: idle again, throttled; counts says whether it was the relay's own failure. */
extern void OutboxRelayAbandonStart(int slot, uint32 slot_generation, bool counts, TimestampTz not_before);

/* SIGTERM to the slot's relay. The pid is of a live process: a relay clears it before it exits. */
extern void OutboxRelayTerminate(int slot, uint32 slot_generation);

/* The launcher remembers whether it found a free background worker the last time; returns what it remembered. */
extern bool OutboxLauncherSetNoWorker(bool no_worker);

/* ---- the launcher's probe ---- */
extern uint32 OutboxProbeBegin(void);
extern void OutboxProbeDone(uint32 token);
extern bool OutboxProbeSucceeded(uint32 token);

#endif /* OUTBOX_RELAY_SLOTS_H */
