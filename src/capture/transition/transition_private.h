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

/* ----
 * A change of a source row on its way through capture: what transition.c and change_steps.c, _events.c and
 * _results.c work on.
 * ---- */

extern void OutboxChangeRun(OutboxChange *change);
extern void OutboxChangeAddTransition(OutboxChange *change, OutboxEmit emit, bool equal, bool before, bool after);
extern void OutboxChangeMakeEvents(OutboxChange *change);
extern void OutboxChangeAddLetter(OutboxChange *change, const OutboxCompiledEventType *type, OutboxEmit emit,
								  const char *stage, const ErrorData *error);
extern void OutboxChangeEventFailed(OutboxChange *change, const char *stage, const ErrorData *error);
extern bool OutboxChangeAddTombstone(OutboxChange *change, OutboxCompiledEventType *type, text *key);
extern void OutboxChangeAppendEvents(OutboxChange *change);
extern void OutboxChangeInsertResults(OutboxChange *change);

/* ---- overtaken.c: Changes that are captured after a later change of the same key. ---- */

extern bool OutboxMayOvertake(const OutboxRowChange *change);
extern void OutboxNoteOvertaking(OutboxKeyMark key, CommandId command);
extern bool OutboxAnyOvertaking(void);
extern bool OutboxOvertaken(const OutboxRowChange *change, OutboxKeyMark key, bool changed_again);

#endif /* OUTBOX_CAPTURE_TRANSITION_TRANSITION_PRIVATE_H */
