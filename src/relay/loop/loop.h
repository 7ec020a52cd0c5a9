/*-------------------------------------------------------------------------
 *
 * loop.h
 *	  The life of a relay: attempts, turns.
 *
 * See README.md in relay/ for its states, what a crash at each step costs, and
 * the order of its locks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_RELAY_LOOP_LOOP_H
#define OUTBOX_RELAY_LOOP_LOOP_H

#include "relay/worker/worker.h"

extern PGDLLEXPORT void OutboxRelayMain(Datum main_arg);
extern OutboxAttemptEnd OutboxRelayLoop(OutboxRelay *relay);
extern void OutboxRelayTakeAcks(OutboxRelay *relay);
extern void OutboxRelayStoreHeld(OutboxRelay *relay);
extern void OutboxRelayDrain(OutboxRelay *relay);
extern bool OutboxRelayPause(OutboxRelay *relay, OutboxAttemptEnd end, int failures);
extern void OutboxRelayPauseStart(OutboxRelay *relay, int failures);

#endif /* OUTBOX_RELAY_LOOP_LOOP_H */
