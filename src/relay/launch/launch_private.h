/*-------------------------------------------------------------------------
 *
 * launch_private.h
 *	  Shared by the files of relay/launch/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_RELAY_LAUNCH_LAUNCH_PRIVATE_H
#define OUTBOX_RELAY_LAUNCH_LAUNCH_PRIVATE_H

#include "datatype/timestamp.h"

#include "relay/launch/launch.h"

/* ---- launcher.c: The static worker that keeps every wanted relay running. ---- */

extern void OutboxLauncherWakeAt(TimestampTz *next, TimestampTz when);
extern bool OutboxLauncherStartWorker(BackgroundWorker *worker, BackgroundWorkerHandle **handle);

/* ---- probe.c: Short workers that tell the launcher what a database wants. ---- */

extern void OutboxProbeQueue(Oid dboid);
extern void OutboxProbeQueueAll(void);
extern bool OutboxProbeIsPending(Oid dboid);
extern void OutboxProbeStep(TimestampTz *next);

/* ---- What the launcher tells a probe worker (in bgw_extra). ---- */

#define OUTBOX_PROBE_FUNCTION "OutboxProbeMain"

typedef struct OutboxProbeArgs
{
	Oid dboid;
	uint32 token; /* tells the launcher that this probe came to its end */
} OutboxProbeArgs;

#endif /* OUTBOX_RELAY_LAUNCH_LAUNCH_PRIVATE_H */
