/*-------------------------------------------------------------------------
 *
 * launcher.h
 *	  The static worker that keeps every wanted relay running.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_LAUNCHER_H
#define OUTBOX_LAUNCHER_H

#include "datatype/timestamp.h"
#include "postmaster/bgworker.h"

extern void OutboxLauncherRegister(void); /* from _PG_init, while preloading */

/* ---- within the launcher process ---- */
extern void OutboxLauncherWakeAt(TimestampTz *next, TimestampTz when);

/* Fills in what all workers have in common; *handle is in TopMemoryContext. */
extern bool OutboxLauncherStartWorker(BackgroundWorker *worker, BackgroundWorkerHandle **handle);

#endif /* OUTBOX_LAUNCHER_H */
