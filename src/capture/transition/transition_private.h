/*-------------------------------------------------------------------------
 *
 * transition_private.h
 *	  Shared by the files of capture/transition/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CAPTURE_TRANSITION_TRANSITION_PRIVATE_H
#define OUTBOX_CAPTURE_TRANSITION_TRANSITION_PRIVATE_H

#include "capture/transition/transition.h"

/* ---- change_steps.c, change_events.c, change_results.c: a change on its way to events ---- */

extern void OutboxChangeRun(OutboxChange *change);
extern void OutboxChangeAddTransition(OutboxChange *change, OutboxEmit emit, bool equal, bool before, bool after);
extern void OutboxChangeMakeEvents(OutboxChange *change);
extern void OutboxChangeAddLetter(OutboxChange *change, const OutboxCompiledEventType *type, OutboxEmit emit,
								  const char *stage, const ErrorData *error);
extern void OutboxChangeEventFailed(OutboxChange *change, const char *stage, const ErrorData *error);
extern bool OutboxChangePreviousToBlame(OutboxChange *change);
extern bool OutboxChangeAddTombstone(OutboxChange *change, OutboxCompiledEventType *type, text *key, TupleTableSlot *row);
extern void OutboxChangeAppendEvents(OutboxChange *change);
extern void OutboxChangeInsertResults(OutboxChange *change);

/* ---- overtaken.c: changes that are captured after a later change of the same key ---- */

extern bool OutboxMayOvertake(const OutboxRowChange *change);
extern void OutboxNoteOvertaking(OutboxKeyMark key, CommandId command);
extern bool OutboxAnyOvertaking(void);
extern bool OutboxOvertaken(const OutboxRowChange *change, OutboxKeyMark key, bool changed_again);

#endif /* OUTBOX_CAPTURE_TRANSITION_TRANSITION_PRIVATE_H */
