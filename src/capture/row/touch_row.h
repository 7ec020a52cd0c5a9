/*-------------------------------------------------------------------------
 *
 * touch_row.h
 *	  A changed row of a source of a contract evaluated at commit.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_TOUCH_ROW_H
#define OUTBOX_TOUCH_ROW_H

#include "capture/transition/row_change.h"
#include "contract/compile/cache.h"

/*
 * Queues the lookup keys of the row, as it was and as it is. A row whose keys
 * cannot be computed becomes a dead letter; raises as OutboxCaptureChange does.
 * False: nothing that the contract reads differs.
 */
extern bool OutboxTouchRow(OutboxCachedContract *contract, const OutboxRowChange *change);

#endif /* OUTBOX_TOUCH_ROW_H */
