/*-------------------------------------------------------------------------
 *
 * transition.h
 *	  What a changed row or key means: which events.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CAPTURE_TRANSITION_TRANSITION_H
#define OUTBOX_CAPTURE_TRANSITION_TRANSITION_H

#include "access/htup.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "nodes/bitmapset.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"
#include "utils/uuid.h"

#include "contract/compile/compile.h"
#include "contract/environment/environment.h"
#include "letters/letters.h"

/* An event of the first version of a contract, while the later ones look at the same change. */
typedef struct OutboxPair
{
	int32 event_type_id;
	int transition;
	pg_uuid_t id;
} OutboxPair;

typedef struct OutboxPairs
{
	MemoryContext context;
	bool first; /* the first version is captured: its events are noted */
	OutboxPair *pair;
	int n;
	int capacity;
} OutboxPairs;

/* A changed row of a source, as a trigger saw it. */
typedef struct OutboxRowChange
{
	const Trigger *trigger; /* what finds the contract: oid and name */
	Relation rel;           /* the source, or a partition of it */
	TupleTableSlot *before; /* NULL: none, as the next */
	TupleTableSlot *after;
	bool departs;       /* to another partition: kept until it arrives there */
	OutboxPairs *pairs; /* NULL: the contract has one version */

	/* For a contract that is evaluated per row, the next three are read from it later; NULL: they are filled in. */
	const TriggerData *unread;
	CommandId command;       /* that made the change; InvalidCommandId: not known */
	CommandId superseded_by; /* that changed the row after again, of this transaction; InvalidCommandId: none */
	int trigger_depth;       /* 1: fired by a statement that no trigger runs; 0: captured later than its triggers */
} OutboxRowChange;

/* ---- transition.c, change_steps.c, change_events.c, change_results.c: a change on its way to events ---- */

typedef enum Step
{
	STEP_BEFORE,
	STEP_AFTER,
	STEP_COMPARE,
	STEP_EVENTS,
	STEP_DONE
} Step;

typedef enum RowState
{
	ROW_ABSENT, /* no source row, or not in the view */
	ROW_PRESENT,
	ROW_UNKNOWN /* there, but could not be evaluated */
} RowState;

/* A pair of contract rows that event types decide on; a changed key makes two of them. */
typedef struct OutboxTransition
{
	OutboxEmit emit;
	bool equal;  /* both rows, and nothing published differs */
	bool before; /* is there a row? the slots themselves change with the executor state */
	bool after;
} OutboxTransition;

typedef struct OutboxChange
{
	OutboxCompiledContract *contract;
	const OutboxRowChange *row; /* as a trigger saw it; NULL: at commit, or tried again */
	TupleTableSlot *source_before;
	TupleTableSlot *source_after;
	int16 flags;           /* OUTBOX_EVENT_* of all its events */
	const char *only_type; /* NULL: all event types */
	bool is_state;         /* told although nothing may differ from the row before */
	const Bitmapset *told; /* numbers of event types that have told of the row already */
	TupleDesc lookup_desc; /* evaluated at commit: the lookup key, in place of source rows */
	const Datum *lookup;
	bool interrupted; /* our own timer ran out */

	Step step;
	RowState before;
	RowState after;
	bool former_key_known;         /* of an unknown row before, */
	const ErrorData *former_error; /* and why it is unknown */
	OutboxTransition transitions[2];
	int ntransitions;
	int transition; /* position of STEP_EVENTS */
	int type;
	const char *stage;          /* of an error raised now */
	bool *unfit;                /* which previous values of the event type have no Avro form; NULL: not looked at */
	text *former_message_key;   /* of an unknown row before; NULL: not known, or nobody asks */
	TupleTableSlot *key_source; /* argument of evaluate_key_step */
	bool key_only;              /* describe dead letters by their key alone */
	OutboxPairs *pairs;         /* NULL: the contract has one version, or the change is late */

	List *events;  /* of OutboxEvent * */
	List *letters; /* of OutboxDeadLetter * */
} OutboxChange;

extern bool OutboxEmitIsWanted(const OutboxCompiledContract *contract, OutboxEmit emit);
extern text *OutboxMessageKey(OutboxCompiledContract *contract, TupleTableSlot *row);

/* ---- commit_guard.c: what keeps user-defined code in bounds while a transaction commits ---- */

/* Milliseconds that a commit may wait for a lock: hardly enough for anybody's deadlock check to see it. */
#define OUTBOX_SHORT_LOCK_TIMEOUT 1

extern void OutboxCommitGuardInit(void);
extern void OutboxCommitGuardBegin(int timeout_ms, int lock_timeout_ms);
extern void OutboxCommitGuardEnd(void);
extern void OutboxCommitGuardForget(void);
extern void OutboxCommitGuardRestart(int timeout_ms);
extern bool OutboxCommitGuardExpired(void);
extern void OutboxCommitGuardArm(void);
extern void OutboxCommitGuardDisarm(void);
extern ErrorData *OutboxCommitGuardRun(OutboxGuardedStep step, void *arg, MemoryContext context);

/* ---- overtaken.c: changes that are captured after a later change of the same key ---- */

/* A contract's key in a hash of all contracts. */
typedef uint64 OutboxKeyMark;

extern void OutboxOvertakenInit(void);

/* ---- transition.c: one changed source row -> events and dead letters ---- */

/* What a contract evaluated at commit shows for one lookup key. */
typedef struct OutboxKeyRows
{
	TupleDesc lookup_desc;
	const Datum *lookup;
	HeapTuple before; /* rows of the contract's view; NULL: none */
	HeapTuple after;
	const ErrorData *before_error; /* the row is not known, and why; */
	HeapTuple before_key;          /* then, unless NULL: a row that has key and aggregate_id alone */
	const ErrorData *after_error;
	const Bitmapset *told; /* of a whole way: numbers of event types that have told already that the row is gone */
	OutboxPairs *pairs;    /* NULL: the contract has one version */
} OutboxKeyRows;

/* A dead letter that is tried again, with the contract rows as they are known now. */
typedef struct OutboxRedrive
{
	OutboxEmit emit;
	const char *event_type; /* NULL: all that the emit concerns */
	HeapTuple before;       /* rows of the contract's view; NULL: none */
	HeapTuple after;
	bool before_unknown; /* there was a row before, but its values are not known */
	int16 flags;         /* OUTBOX_EVENT_*: further marks */
} OutboxRedrive;

extern int OutboxCaptureChange(OutboxCompiledContract *contract, const OutboxRowChange *row);
extern bool OutboxCaptureKey(OutboxCompiledContract *contract, const OutboxKeyRows *rows);
extern bool OutboxTellsOfDeleted(const OutboxCompiledContract *contract);
extern int OutboxCaptureLate(OutboxCompiledContract *contract, const OutboxKeyRows *rows, const OutboxKeyRows *whole, int16 flags,
							 OutboxDeadLetter *failure);
extern int OutboxCaptureAnew(OutboxCompiledContract *contract, const OutboxKeyRows *rows, int16 flags,
							 OutboxDeadLetter *failure);
extern int OutboxCaptureTombstones(OutboxCompiledContract *contract, HeapTuple key_row, int16 flags);
extern int OutboxCaptureRedrive(OutboxCompiledContract *contract, const OutboxRedrive *redrive,
								OutboxDeadLetter *failure);

#endif /* OUTBOX_CAPTURE_TRANSITION_TRANSITION_H */
