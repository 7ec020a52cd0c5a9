/*-------------------------------------------------------------------------
 *
 * replay.h
 *	  History published again, beside what is new.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_RELAY_REPLAY_REPLAY_H
#define OUTBOX_RELAY_REPLAY_REPLAY_H

#include "relay/worker/worker.h"

/* ---- replay.c: Publishes history again, beside what is new. ---- */

extern bool OutboxReplayTurn(OutboxRelay *relay);
extern bool OutboxReplayIsOpen(const OutboxRelay *relay);
extern long OutboxReplayDue(const OutboxRelay *relay, long limit);
extern void OutboxReplayEnd(OutboxRelay *relay);

#endif /* OUTBOX_RELAY_REPLAY_REPLAY_H */
