/*-------------------------------------------------------------------------
 *
 * trace.h
 *	  The trace context and correlation ids of the running transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_TRACE_H
#define OUTBOX_TRACE_H

#include "utils/jsonb.h"

/*
 * These return memory that is valid until the next call in this backend, so
 * the result goes straight into an OutboxEvent; neither is ever an error.
 */

/*
 * "traceparent=<value>" (java.util.Properties text) from outbox.traceparent, else
 * from a comment of the running statement; NULL when none or malformed.
 */
extern text *OutboxTraceContext(void);

/*
 * For events that are made at commit: Keep remembers the comment's context of a
 * statement that touched a key, the last one with any counts.
 */
extern void OutboxTraceKeep(void);
extern text *OutboxTraceContextAtCommit(void);

/* {"correlationid": ..., "causationid": ...}, NULL when neither is set. */
extern Jsonb *OutboxCorrelationHeaders(void);

#endif /* OUTBOX_TRACE_H */
