/*-------------------------------------------------------------------------
 *
 * launch.h
 *	  Who starts relays, and where.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_RELAY_LAUNCH_LAUNCH_H
#define OUTBOX_RELAY_LAUNCH_LAUNCH_H

#include "datatype/timestamp.h"
#include "postmaster/bgworker.h"

/* ---- launcher.c: The static worker that keeps every wanted relay running. ---- */

extern void OutboxLauncherRegister(void);

/* ---- probe_queue.c: The probes, one after another; which databases they are for. ---- */

extern bool OutboxDatabaseListed(const char *name);

/* ---- without_preload.c: Relays on a server that does not preload the library. ---- */

/* The slot number of a relay that has no shared memory. */
#define OUTBOX_TRIAL_SLOT (-1)

extern void OutboxTrialStart(int32 sink_id, const char *sink_name);
extern int OutboxTrialRelay(int32 sink_id);
extern bool OutboxTrialAwait(TransactionId starter);

#endif /* OUTBOX_RELAY_LAUNCH_LAUNCH_H */
