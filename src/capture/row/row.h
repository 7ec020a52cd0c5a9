/*-------------------------------------------------------------------------
 *
 * row.h
 *	  The trigger: a row has changed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CAPTURE_ROW_ROW_H
#define OUTBOX_CAPTURE_ROW_ROW_H

#include "commands/trigger.h"

/* ---- moved_row.c: rows that an UPDATE moves to another partition ---- */

extern void OutboxMovedRowInit(void);

#endif /* OUTBOX_CAPTURE_ROW_ROW_H */
