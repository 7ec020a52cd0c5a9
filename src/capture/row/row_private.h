/*-------------------------------------------------------------------------
 *
 * row_private.h
 *	  Shared by the files of capture/row/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CAPTURE_ROW_ROW_PRIVATE_H
#define OUTBOX_CAPTURE_ROW_ROW_PRIVATE_H

#include "capture/row/row.h"
#include "capture/transition/transition.h"
#include "contract/compile/compile.h"

/* ---- broken_contract.c: a changed row of a source whose contract does not work at present ---- */

extern void OutboxBrokenContract(OutboxCachedContract *contract, const OutboxRowChange *change);

/* ---- moved_row.c: rows that an UPDATE moves to another partition ---- */

extern bool OutboxRowDeparts(const TriggerData *trigger);
extern void OutboxMovedRowKeep(const TriggerData *trigger);
extern TupleTableSlot *OutboxMovedRowArrives(const TriggerData *trigger);

/* ---- touch_row.c: a changed row of a source of a contract evaluated at commit ---- */

extern bool OutboxTouchRow(OutboxCachedContract *contract, const OutboxRowChange *change);

/* ---- trigger.c: the trigger functions ---- */

extern int OutboxTriggerDepth(void);
extern bool OutboxCaptureRowChange(OutboxRowChange *change);

#endif /* OUTBOX_CAPTURE_ROW_ROW_PRIVATE_H */
