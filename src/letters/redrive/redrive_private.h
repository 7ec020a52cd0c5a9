/*-------------------------------------------------------------------------
 *
 * redrive_private.h
 *	  Shared by the files of letters/redrive/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_LETTERS_REDRIVE_REDRIVE_PRIVATE_H
#define OUTBOX_LETTERS_REDRIVE_REDRIVE_PRIVATE_H

#include "access/htup.h"
#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"

#include "capture/transition/transition.h"
#include "catalog/outbox_catalog.h"
#include "contract/compile/compile.h"
#include "contract/reach/reach.h"
#include "letters/letters.h"
#include "letters/redrive/redrive.h"

/* ---- redrive_letter.c: open dead letters: which of them are worked on, and what becomes of them ---- */

typedef struct OutboxLetter
{
	int64 id;
	char *contract;
	int32 version; /* of the contract; 0: not known */
	char *event_type;
	char *emit;
	int attempts;  /* so far */
	bool publish;  /* an event that the broker rejected */
	bool late;     /* of stage flush */
	bool by_relay; /* tried by a relay, not by a person */
	Jsonb *key;
	Jsonb *before;
	char *snapshot; /* a pg_snapshot: who had committed when `before` was read; NULL: not known */
	Jsonb *source_columns;
} OutboxLetter;

/* Which open letters a person asks for. */
typedef struct OutboxLetterChoice
{
	const int64 *id; /* NULL: any, as the next */
	const char *contract;
	int max_rows;
} OutboxLetterChoice;

extern List *OutboxTakeLetters(const OutboxLetterChoice *choice);
extern List *OutboxTakeLateLetters(int max_rows);
extern List *OutboxSeeLateLetters(int max_rows);
extern OutboxEmit OutboxLetterEmit(const char *emit);
extern OutboxContractConfig *OutboxLetterContract(const OutboxLetter *letter);
extern int32 OutboxVersionLine(const OutboxContractConfig *config);
extern void OutboxLetterResolved(const OutboxLetter *letter, const char *reason);
extern void OutboxLetterFailed(const OutboxLetter *letter, const OutboxDeadLetter *failure);

/* ---- redrive.c: an open dead letter, tried again ---- */

typedef enum OutboxRedriveResult
{
	OUTBOX_REDRIVE_RESOLVED, /* by events in the present transaction or because none is wanted any more */
	OUTBOX_REDRIVE_FAILED,
	OUTBOX_REDRIVE_LOOK_FIRST, /* nothing was done: its key is to be looked for (redrive_look.h), */
	OUTBOX_REDRIVE_NO_ROOM     /* or the transaction holds OutboxRedriveRoom() keys */
} OutboxRedriveResult;

extern OutboxRedriveResult OutboxRedriveLetter(OutboxLetter *letter, bool again);
extern int OutboxRedriveRoom(void);

/* ---- redrive_end.c: The end of a transaction in which letters became events. ---- */

extern void OutboxRedriveNoteEnd(const OutboxLetter *letter);

/* ---- redrive_events.c: where the newest events of many keys are, found in one reading ---- */

extern void OutboxKeyEventsStart(const List *wanted);
extern bool OutboxKeyEventsRead(int ms);
extern bool OutboxKeyEventsKnown(uint64 key);
extern bool OutboxKeyEventsBusy(void);
extern const OutboxKeyEvents *OutboxKeyEventsNow(uint64 key);
extern HeapTuple OutboxKeyEventFetch(const OutboxEventPlace *place, TupleDesc *desc);
extern void OutboxKeyEventsForget(void);
extern OutboxWantedKey *OutboxTakeMissedKey(void);
extern bool OutboxAnyMissedKey(void);
extern bool OutboxMessageKeyIsKey(const OutboxCompiledContract *contract);
extern uint64 OutboxEventKey(OutboxCompiledContract *contract, HeapTuple row);
extern uint64 OutboxEventKeyOfMessage(const char *contract, int32 line, const char *message_key, int len);
extern bool OutboxEventKeyOfPayload(OutboxCompiledContract *contract, int32 schema_id, bytea *payload, uint64 *key);

/* ---- redrive_history.c: what consumers know of a key: the newest event that is in the outbox ---- */

typedef struct OutboxKeyHistory
{
	OutboxCompiledContract *contract;
	HeapTuple row;        /* a row of the contract's view that has the key; NULL: the key is not known */
	const char *snapshot; /* a pg_snapshot: only events that it does not see; NULL: all */
	HeapTuple before;     /* the result: the row that the event tells of; NULL: that it is gone */
	Bitmapset *told;      /* then, numbers of event types that told so, its own at least: no further events are read for that */
	bool was_there;       /* of events before these, one tells of a row */
} OutboxKeyHistory;

extern bool OutboxFindNewestEvent(OutboxKeyHistory *history);

/* ---- redrive_key.c: a dead letter of a contract evaluated at commit, tried again ---- */

/* Why a letter is resolved without an event, */
#define OUTBOX_REDRIVE_NOTHING "No event type wants the row as it is now."
#define OUTBOX_REDRIVE_UNTOLD "The row is not in the view any more, and no event type tells of deleted rows."

/* and why one of a deleted row is not. */
#define OUTBOX_REDRIVE_THERE_AGAIN "the row is in the view again"

typedef struct OutboxKeyLetter
{
	const char *event_type; /* NULL: the contract's row itself */
	const char *emit;       /* NULL: not known */
	bool late;              /* of stage flush */
	bool by_relay;          /* not by a person */
	int attempts;           /* so far */
	Jsonb *key;             /* as the letter has it */
	Jsonb *lookup;
	HeapTuple before;     /* a row of the contract's view; NULL: not kept */
	const char *snapshot; /* a pg_snapshot: who had committed when it was read; NULL: not known */
} OutboxKeyLetter;

/* What a letter's key is locked by. */
typedef struct OutboxKeyLock
{
	uint64 lock_class;
	uint64 hash;
} OutboxKeyLock;

extern bool OutboxRedriveLockOf(OutboxCompiledContract *contract, const OutboxKeyLetter *letter, OutboxKeyLock *lock,
								OutboxDeadLetter *failure);
extern bool OutboxRedriveTakeLock(const OutboxKeyLock *lock, const OutboxKeyLetter *letter, OutboxDeadLetter *failure);
extern const char *OutboxRedriveKey(OutboxCompiledContract *contract, const OutboxKeyLetter *letter, const OutboxKeyLock *lock,
									OutboxDeadLetter *failure);

/* ---- redrive_look.c: the newest events of letters' keys are looked for together ---- */

/* Letters whose keys are looked for in one reading, by memory. */
#define OUTBOX_LOOK_LETTERS 1000

extern void OutboxLookForLetters(List *letters, int first);
extern bool OutboxLookForLate(List *letters, int first, int ms);

/* ---- redrive_row.c: the contract rows of a dead letter that is tried again ---- */

/* All read as the contract's owner, into the current memory context, and may raise; NULL: there is none. */

extern void OutboxReadLetterRow(OutboxCompiledContract *contract, TupleDesc desc, Jsonb *object, Datum *values, bool *isnull);
extern void OutboxCheckReadBackTrust(const OutboxCompiledContract *contract, TupleDesc desc, Jsonb *object);
extern HeapTuple OutboxLetterRowBefore(OutboxCompiledContract *contract, const OutboxLetter *letter);
extern HeapTuple OutboxRedriveKeyRow(OutboxCompiledContract *contract, const Datum *lookup);
extern HeapTuple OutboxLetterRowNow(OutboxCompiledContract *contract, const OutboxLetter *letter);

/* ---- redrive_source.c: a dead letter that has the source's key alone, tried again ---- */

extern const char *OutboxRedriveSource(OutboxCompiledContract *contract, const OutboxLetter *letter,
									   OutboxDeadLetter *failure);
extern HeapTuple OutboxRedriveSourceKey(OutboxCompiledContract *contract, Jsonb *columns);

#endif /* OUTBOX_LETTERS_REDRIVE_REDRIVE_PRIVATE_H */
