/*-------------------------------------------------------------------------
 *
 * write_private.h
 *	  Shared by the files of capture/write/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CAPTURE_WRITE_WRITE_PRIVATE_H
#define OUTBOX_CAPTURE_WRITE_WRITE_PRIVATE_H

#include "access/htup.h"
#include "datatype/timestamp.h"
#include "utils/relcache.h"
#include "utils/uuid.h"

#include "capture/write/write.h"
#include "compat.h"

/* ---- event_buffer.c: events that were appended but are not in the leaf yet ---- */

extern void OutboxEventBufferBind(Oid installation);
extern bool OutboxEventBufferAdd(int nest_level, Datum *values, bool *isnull);
extern bool OutboxEventBufferCrowded(void);
extern void OutboxEventBufferFlush(int nest_level);
extern void OutboxEventBufferPromote(int nest_level);
extern void OutboxEventBufferDrop(int nest_level);
extern void OutboxEventBufferReset(void);

/* ---- event_headers.c: what travels beside an event's payload, as one jsonb value ---- */

extern void OutboxPushJsonbString(OutboxJsonbState *state, JsonbIteratorToken token, const char *s);

/* ---- trace_comment.c: the trace context in a comment of a statement ---- */

extern bool OutboxTraceInComment(const char *statement, char *out, Size size);

/* ---- event_id.c: the identity of an event: a UUID version 7 ---- */

extern void OutboxEventId(pg_uuid_t *id, TimestampTz now);

/* ---- leaf_writer.c: writes rows into the current leaf, and remembers where they went ---- */

#define OUTBOX_LEAF_BATCH 512

typedef struct OutboxLeafRow
{
	HeapTupleHeader header;
	uint32 len;
} OutboxLeafRow;

extern Relation OutboxLeafOpen(int16 *leaf);
extern void OutboxLeafWrite(Relation rel, const OutboxLeafRow *rows, int n);
extern void OutboxLeafForget(void);
extern void OutboxHintRunsForget(void);

#endif /* OUTBOX_CAPTURE_WRITE_WRITE_PRIVATE_H */
