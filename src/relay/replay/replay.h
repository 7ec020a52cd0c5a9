/*-------------------------------------------------------------------------
 *
 * replay.h
 *	  Publishes history again, beside what is new.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_REPLAY_H
#define OUTBOX_REPLAY_H

#include "relay/worker/worker.h"

/*
 * One step of the sink's open replay, if there is one; to be called when there
 * is nothing new to publish. True: there is more to do without waiting. Raises
 * nothing: what goes wrong is shown with the request, and tried again.
 */
extern bool OutboxReplayTurn(OutboxRelay *relay);

/* Is there a replay that the relay works at? */
extern bool OutboxReplayIsOpen(const OutboxRelay *relay);

/* Milliseconds until OutboxReplayTurn has something to do, at most `limit`. */
extern long OutboxReplayDue(const OutboxRelay *relay, long limit);

/* The relay stops: records how far the replay got, and shuts its sink down. */
extern void OutboxReplayEnd(OutboxRelay *relay);

#endif /* OUTBOX_REPLAY_H */
