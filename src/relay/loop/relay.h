/*-------------------------------------------------------------------------
 *
 * relay.h
 *	  The worker that publishes one database's outbox to one sink.
 *
 * See README.md in this folder for its states, what a crash at each step
 * costs, and the order of its locks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_RELAY_H
#define OUTBOX_RELAY_H

/* Entry point of the worker; what it is started with: relay_args.h. */
extern PGDLLEXPORT void OutboxRelayMain(Datum main_arg);

#endif /* OUTBOX_RELAY_H */
