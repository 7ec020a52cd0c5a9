/*-------------------------------------------------------------------------
 *
 * hint_runs.h
 *	  The blocks that this transaction wrote events into.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_HINT_RUNS_H
#define OUTBOX_HINT_RUNS_H

#include "shared/outbox_shared.h"

extern void OutboxHintRunAdd(Oid relfilenumber, BlockNumber block);

/* The runs so far, in static memory; the caller fills in xid. */
extern int OutboxHintRuns(OutboxHint **hints);
extern void OutboxHintRunsForget(void);

#endif /* OUTBOX_HINT_RUNS_H */
