/*-------------------------------------------------------------------------
 *
 * write.h
 *	  Events of this transaction: buffered, numbered, written to the leaf.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CAPTURE_WRITE_WRITE_H
#define OUTBOX_CAPTURE_WRITE_WRITE_H

#include "portability/instr_time.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "catalog/outbox_catalog.h"
#include "shared/outbox_shared.h"

/* ---- writer_counters.c: what capture did per contract, and the time that it took ---- */

/* A call of the trigger function that is being measured. */
typedef struct OutboxCallMark
{
	instr_time start;
	uint32 weight; /* calls that this one stands for; 0: it is not timed */
} OutboxCallMark;

/* In place of a number of transitions: a row whose contract is evaluated at commit. */
#define OUTBOX_CALL_QUEUED (-1)

extern void OutboxCountCallBegin(OutboxCallMark *mark);
extern void OutboxCountCallEnd(const OutboxCallMark *mark, int32 contract_id, int transitions);
extern void OutboxCountTransitions(int32 contract_id, uint64 transitions);
extern void OutboxCountFlush(int32 contract_id, uint64 keys, uint64 ns);
extern uint64 OutboxClockLap(instr_time *since);
extern void OutboxWriterCountersInit(void);

/* ---- event_writer.c: appends events to the current leaf of outbox.event ---- */

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
	Jsonb *headers;           /* additional attributes and headers, or NULL */
	int32 event_type_id;      /* with the next, what pairs events of several versions */
	int transition;           /* OutboxEmit: what happened to the row */
	pg_uuid_t *id;            /* where the writer puts the event's id; NULL: nobody asks */
} OutboxEvent;

extern void OutboxEventAppend(const OutboxEvent *event);
extern void OutboxEventWriteRows(void);
extern void OutboxEventCountDeadLetter(int32 contract_id);
extern void OutboxEventWriterInit(void);

/* ---- leaf_writer.c: where this transaction wrote events ---- */

extern int OutboxHintRuns(OutboxHint **hints);

/* ---- trace.c: the trace context and correlation ids of the running transaction ---- */

extern text *OutboxTraceContext(void);
extern void OutboxTraceKeep(void);
extern text *OutboxTraceContextAtCommit(void);
extern Jsonb *OutboxCorrelationHeaders(void);
extern const char *OutboxActor(void);
extern Jsonb *OutboxVersionHeaders(Jsonb *headers, const pg_uuid_t *changeid, const char *sunset);

/* ---- event_headers.c: what travels beside an event's payload, as one jsonb value ---- */

extern Jsonb *OutboxEventHeaders(Jsonb *attributes, const char *actor, const List *names, char *const *values);

#endif /* OUTBOX_CAPTURE_WRITE_WRITE_H */
