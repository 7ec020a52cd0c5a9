/*-------------------------------------------------------------------------
 *
 * probe.h
 *	  Short workers that tell the launcher what a database wants.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_PROBE_H
#define OUTBOX_PROBE_H

#include "datatype/timestamp.h"

/* ---- in the launcher ---- */
extern void OutboxProbeQueue(Oid dboid);
extern void OutboxProbeQueueAll(void);       /* reads pg_database in a transaction of its own */
extern bool OutboxProbeIsPending(Oid dboid); /* queued or running: what it wants is not known */
extern void OutboxProbeStep(TimestampTz *next);

#endif /* OUTBOX_PROBE_H */
