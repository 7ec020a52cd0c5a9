/*-------------------------------------------------------------------------
 *
 * event_writer.h
 *	  Appends events to the current leaf of outbox.event.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_EVENT_WRITER_H
#define OUTBOX_EVENT_WRITER_H

#include "utils/jsonb.h"

#include "catalog/outbox_catalog.h"

/* What capture knows of an event; identity, order and place are the writer's. */
typedef struct OutboxEvent
{
	int32 contract_id;
	int32 schema_id;
	int16 flags;
	text *aggregatetype;
	text *aggregateid;
	text *type;
	bytea *payload;
	text *tracingspancontext; /* or NULL */
	Jsonb *headers;           /* additional attributes, or NULL */
} OutboxEvent;

/*
 * Adds an event to the current (sub)transaction. It is buffered: the rows
 * reach the leaf in batches, at the latest before commit or prepare, and
 * disappear with the subtransaction that added them. Assigns id, seq, xid and
 * occurred_at now, so that the order is that of the calls.
 */
extern void OutboxEventAppend(const OutboxEvent *event);

/* Writes the buffered rows of this (sub)transaction now: the next command sees them. */
extern void OutboxEventWriteRows(void);

/* Counts a dead letter of this contract for this transaction. */
extern void OutboxEventCountDeadLetter(int32 contract_id);

extern void OutboxEventWriterInit(void); /* from _PG_init */

#endif /* OUTBOX_EVENT_WRITER_H */
