/*-------------------------------------------------------------------------
 *
 * loop_private.h
 *	  Shared by the files of relay/loop/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_RELAY_LOOP_LOOP_PRIVATE_H
#define OUTBOX_RELAY_LOOP_LOOP_PRIVATE_H

/* ---- The worker that publishes one database's outbox to one sink. ---- */

/*
 * See README.md in this folder for its states, what a crash at each step
 * costs, and the order of its locks.
 */

extern PGDLLEXPORT void OutboxRelayMain(Datum main_arg);

#endif /* OUTBOX_RELAY_LOOP_LOOP_PRIVATE_H */
