/*-------------------------------------------------------------------------
 *
 * overtaken.h
 *	  Changes that are captured after a later change of the same key.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_OVERTAKEN_H
#define OUTBOX_OVERTAKEN_H

#include "capture/transition/row_change.h"

/* A contract's key in a hash of all contracts. */
typedef uint64 OutboxKeyMark;

extern void OutboxOvertakenInit(void); /* from _PG_init */

/* A row change is about to be captured: must its keys be noted? */
extern bool OutboxMayOvertake(const OutboxRowChange *change);

/* A key was changed by that command, in the present subtransaction. */
extern void OutboxNoteOvertaking(OutboxKeyMark key, CommandId command);

/* Is there anything noted? If not, nothing was overtaken. */
extern bool OutboxAnyOvertaking(void);

/*
 * Was a change of the key by a later command than the change's captured already? changed_again: change->superseded_by
 * is the row's own.
 */
extern bool OutboxOvertaken(const OutboxRowChange *change, OutboxKeyMark key, bool changed_again);

#endif /* OUTBOX_OVERTAKEN_H */
