/*-------------------------------------------------------------------------
 *
 * hold_private.h
 *	  Shared by the files of relay/hold/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_RELAY_HOLD_HOLD_PRIVATE_H
#define OUTBOX_RELAY_HOLD_HOLD_PRIVATE_H

#include "relay/hold/hold.h"

/* ---- hold.c: Events that wait while others go on: which ones, and why. ---- */

extern void OutboxHoldCount(OutboxHold *hold, int64 seq, uint64 lane);
extern OutboxRoute *OutboxRouteAdd(OutboxHold *hold, const char *topic, int32 schema_id);

#endif /* OUTBOX_RELAY_HOLD_HOLD_PRIVATE_H */
