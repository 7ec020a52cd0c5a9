/*-------------------------------------------------------------------------
 *
 * sink_row.h
 *	  The relay's own row of outbox_internal.sink: what to publish to, whether to run,
 *	  and whether this copy of the data may publish at all.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_SINK_ROW_H
#define OUTBOX_SINK_ROW_H

#include "utils/jsonb.h"

typedef enum OutboxSinkWish
{
	OUTBOX_SINK_RUN,
	OUTBOX_SINK_CHANGED, /* library, options or policy differ: connect anew */
	OUTBOX_SINK_STOP     /* stopped, paused, dropped, or the extension is gone */
} OutboxSinkWish;

/* What follows an event that the broker rejects. */
typedef enum OutboxOnReject
{
	OUTBOX_ON_REJECT_BLOCK_KEY, /* later events of its aggregate wait */
	OUTBOX_ON_REJECT_SKIP,      /* everything else goes on */
	OUTBOX_ON_REJECT_STOP       /* nothing behind it is published */
} OutboxOnReject;

typedef struct OutboxSinkRow
{
	int32 id;
	Oid extension;         /* outbox_ext as of the relay's start */
	MemoryContext context; /* of the strings below, reset at each load */
	bool loaded;
	char *name;
	char *library;
	Jsonb *options;
	int64 replay_id; /* the replay to work at, 0 = none */
	OutboxOnReject on_reject;
	int64 resolved;   /* changes when a dead letter of this sink was redriven or discarded */
	int64 forgotten;  /* changes when the ids of registries were forgotten */
	char *copy_error; /* this copy of the data must not publish: why; else NULL */
	char *copy_hint;
} OutboxSinkRow;

extern void OutboxSinkRowInit(OutboxSinkRow *row, int32 id, MemoryContext context);

/* Reads the row, in a transaction of its own, and says what it wants of the relay. */
extern OutboxSinkWish OutboxSinkRowLoad(OutboxSinkRow *row);

/* Was the extension dropped since the relay started? Also when it was created again. Outside of transactions. */
extern bool OutboxSinkRowGone(const OutboxSinkRow *row);

/*
 * A lock that only relays know and that ends with the process: two relays of
 * one sink never run. False: there is one.
 */
extern bool OutboxSinkRowLock(const OutboxSinkRow *row);

#endif /* OUTBOX_SINK_ROW_H */
