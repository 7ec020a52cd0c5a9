/*-------------------------------------------------------------------------
 *
 * without_preload.h
 *	  Relays on a server that does not preload the library.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_TRIAL_H
#define OUTBOX_TRIAL_H

#include "relay/session/sink_row.h"

/* The slot number of a relay that has no shared memory. */
#define OUTBOX_TRIAL_SLOT (-1)

/*
 * Starts a relay for this sink as a background worker of its own, which waits
 * for the present transaction to commit. Raises when no worker is free.
 */
extern void OutboxTrialStart(int32 sink_id, const char *sink_name);

/* The process of a sink's relay, 0 = none. Within SPI. */
extern int OutboxTrialRelay(int32 sink_id);

/* In the worker: waits until the sink is wanted; false when that does not happen. */
extern bool OutboxTrialAwait(OutboxSinkRow *row);

#endif /* OUTBOX_TRIAL_H */
