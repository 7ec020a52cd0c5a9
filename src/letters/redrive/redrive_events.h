/*-------------------------------------------------------------------------
 *
 * redrive_events.h
 *	  Where the newest events of many keys are, found in one reading.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_REDRIVE_EVENTS_H
#define OUTBOX_REDRIVE_EVENTS_H

#include "storage/itemptr.h"

#include "contract/compile/compile.h"

/* A key of which events are looked for. */
typedef struct OutboxWantedKey
{
	const char *contract;
	bool decode;          /* the message key does not tell the key: payloads are decoded */
	uint64 key;           /* OutboxEventKey() */
	const char *snapshot; /* a pg_snapshot: only events that it does not see are asked for; NULL: all */
} OutboxWantedKey;

/* Of one key, so many are remembered: those with the highest numbers. */
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

extern void OutboxKeyEventsInit(void); /* from _PG_init */

/* Forgets what was found; begins to look for these keys, of OutboxWantedKey. The list is copied. */
extern void OutboxKeyEventsStart(const List *wanted);

/*
 * Goes on with it. False: the time is over before all leaves were read; call it
 * again, also in another transaction. ms = 0: no limit. No lock of a key is needed,
 * and none should be held. May raise, and goes on from there when it is called again.
 */
extern bool OutboxKeyEventsRead(int ms);

/* Was the key looked for, and is what was found worth something? */
extern bool OutboxKeyEventsKnown(uint64 key);

/* Is a reading on its way that has not come to its end? */
extern bool OutboxKeyEventsBusy(void);

/*
 * The events of the key that are committed now, with those of this transaction
 * that are in a leaf. Reads what was written since the last time. Whoever holds
 * the lock of the key knows that there are no others. NULL: it is not known.
 */
extern const OutboxKeyEvents *OutboxKeyEventsNow(uint64 key);

/* The row of outbox.event as heap tuple, in CurrentMemoryContext; NULL: it is not visible. */
extern HeapTuple OutboxKeyEventFetch(const OutboxEventPlace *place, TupleDesc *desc);

extern void OutboxKeyEventsForget(void);

/* ---- redrive_history.c: what tells keys apart ---- */

/* The last key that was not known when it was asked for, once, in CurrentMemoryContext; NULL: there is none. */
extern OutboxWantedKey *OutboxTakeMissedKey(void);
extern bool OutboxAnyMissedKey(void);

/* Do all events of one key of the contract have one message key, and no other key has it? */
extern bool OutboxMessageKeyIsKey(const OutboxCompiledContract *contract);

/* Of a row of the contract's view that has the key; or of a message key of such a contract. */
extern uint64 OutboxEventKey(OutboxCompiledContract *contract, HeapTuple row);
extern uint64 OutboxEventKeyOfMessage(const char *contract, const char *message_key, int len);

/* Of a payload; false: it does not fit the view any more. */
extern bool OutboxEventKeyOfPayload(OutboxCompiledContract *contract, int32 schema_id, bytea *payload, uint64 *key);

#endif /* OUTBOX_REDRIVE_EVENTS_H */
