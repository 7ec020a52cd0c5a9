/*-------------------------------------------------------------------------
 *
 * without_preload.h
 *	  Relays on a server that does not preload the library.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_TRIAL_H
#define OUTBOX_TRIAL_H

/* The slot number of a relay that has no shared memory. */
#define OUTBOX_TRIAL_SLOT (-1)

/*
 * Starts a relay for this sink as a background worker of its own, which waits
 * for the present transaction to commit. Raises when no worker is free.
 */
extern void OutboxTrialStart(int32 sink_id, const char *sink_name);

/* The process of a sink's relay, 0 = none. Within SPI. */
extern int OutboxTrialRelay(int32 sink_id);

/* In the worker: waits for the end of that transaction; false when the server wants to stop. */
extern bool OutboxTrialAwait(TransactionId starter);

#endif /* OUTBOX_TRIAL_H */
