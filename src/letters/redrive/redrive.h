/*-------------------------------------------------------------------------
 *
 * redrive.h
 *	  Dead letters tried again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_LETTERS_REDRIVE_REDRIVE_H
#define OUTBOX_LETTERS_REDRIVE_REDRIVE_H

#include "storage/itemptr.h"

#include "contract/compile/compile.h"

/* ---- redrive_events.c: where the newest events of many keys are, found in one reading ---- */

/* A key whose events are looked for. */
typedef struct OutboxWantedKey
{
	const char *contract;
	int32 line;           /* of the version: topics of another one tell of the same keys */
	bool decode;          /* the message key does not tell the key: payloads are decoded */
	uint64 key;           /* OutboxEventKey() */
	const char *snapshot; /* a pg_snapshot: only events that it does not see are asked for; NULL: all */
} OutboxWantedKey;

/* So many events of one key are remembered, those with the highest numbers. */
#define OUTBOX_KEY_EVENTS 16

typedef struct OutboxEventPlace
{
	int64 seq;
	uint64 xid;
	ItemPointerData tid;
	int16 leaf; /* for OutboxKeyEventFetch() */
} OutboxEventPlace;

/* The events of one key as they were found. */
typedef struct OutboxKeyEvents
{
	uint64 key;
	int n;
	OutboxEventPlace event[OUTBOX_KEY_EVENTS]; /* the newest first */
	char status;
} OutboxKeyEvents;

extern void OutboxKeyEventsInit(void);

#endif /* OUTBOX_LETTERS_REDRIVE_REDRIVE_H */
