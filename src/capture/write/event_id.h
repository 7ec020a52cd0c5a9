/*-------------------------------------------------------------------------
 *
 * event_id.h
 *	  The identity of an event: a UUID version 7.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_EVENT_ID_H
#define OUTBOX_EVENT_ID_H

#include "datatype/timestamp.h"
#include "utils/uuid.h"

/* Fills a new UUID version 7 (RFC 9562, section 5.7) for this moment. Never raises. */
extern void OutboxEventId(pg_uuid_t *id, TimestampTz now);

#endif /* OUTBOX_EVENT_ID_H */
