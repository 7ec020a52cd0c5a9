/*-------------------------------------------------------------------------
 *
 * worker_private.h
 *	  Shared by the files of relay/worker/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_RELAY_WORKER_WORKER_PRIVATE_H
#define OUTBOX_RELAY_WORKER_WORKER_PRIVATE_H

#include "relay/worker/worker.h"

/* ---- The parts of a relay, and how its attempts end. ---- */

extern void OutboxChoreBegin(OutboxOwnerScope *scope);
extern void OutboxRelayPurge(OutboxRelay *relay);
extern void OutboxRelayRedriveLate(OutboxRelay *relay);

#endif /* OUTBOX_RELAY_WORKER_WORKER_PRIVATE_H */
