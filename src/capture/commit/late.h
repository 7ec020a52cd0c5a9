/*-------------------------------------------------------------------------
 *
 * late.h
 *	  Keys that could not be evaluated at commit.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_LATE_H
#define OUTBOX_LATE_H

#include "access/htup.h"

#include "capture/commit/key_queue.h"

typedef struct OutboxLateKey
{
	const OutboxQueuedContract *contract;
	const Datum *lookup;
	bool before_known;
	Datum snapshot;   /* a pg_snapshot: which transactions it has seen */
	HeapTuple before; /* a row of row_desc; NULL: none */
	TupleDesc row_desc;
	const ErrorData *reason;
} OutboxLateKey;

/* A dead letter of stage flush in the present transaction; raises instead with on_invalid = abort. */
extern void OutboxLateLetter(const OutboxLateKey *key);

#endif /* OUTBOX_LATE_H */
