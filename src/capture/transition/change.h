/*-------------------------------------------------------------------------
 *
 * change.h
 *	  A change of a source row on its way through capture: what transition.c and
 *	  change_steps.c, _events.c and _results.c work on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CHANGE_H
#define OUTBOX_CHANGE_H

#include "nodes/bitmapset.h"

#include "capture/transition/row_change.h"
#include "contract/compile/compile.h"
#include "letters/dead_letter.h"

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
	bool *unfit;                /* of the event type's previous values: has no Avro form; NULL: not looked at */
	text *former_message_key;   /* of an unknown row before; NULL: not known, or nobody asks */
	TupleTableSlot *key_source; /* argument of evaluate_key_step */
	bool key_only;              /* describe dead letters by their key alone */

	List *events;  /* of OutboxEvent * */
	List *letters; /* of OutboxDeadLetter * */
} OutboxChange;

/* ---- change_steps.c ---- */

/* Runs the steps that are left. Raises only for what is not ours to swallow. */
extern void OutboxChangeRun(OutboxChange *change);

/* Adds a pair of rows for STEP_EVENTS. */
extern void OutboxChangeAddTransition(OutboxChange *change, OutboxEmit emit, bool equal, bool before, bool after);

/* Is there an event type of that emit? */
extern bool OutboxEmitIsWanted(const OutboxCompiledContract *contract, OutboxEmit emit);

/* ---- change_events.c and change_results.c ---- */

/*
 * Applies the event types to the change's transitions, from where the last
 * call stopped; adds to events and letters. May raise as evaluation may; stage
 * and type then say what was being done.
 */
extern void OutboxChangeMakeEvents(OutboxChange *change);

/* Adds a dead letter; type NULL: the contract's row itself could not be mapped. */
extern void OutboxChangeAddLetter(OutboxChange *change, const OutboxCompiledEventType *type, OutboxEmit emit,
								  const char *stage, const ErrorData *error);

/*
 * The event type being applied fails at the stage: a dead letter. Of a deleted row the null value that the event type
 * asks for is published all the same, and where it asks for nothing else, that is all.
 */
extern void OutboxChangeEventFailed(OutboxChange *change, const char *stage, const ErrorData *error);

/* The message key of a row of the contract outside of an evaluation; NULL where it is NULL or an output function raises. */
extern text *OutboxMessageKey(OutboxCompiledContract *contract, TupleTableSlot *row);

/* A null value for the key. False: the event type asks for none, or the key does not allow it. */
extern bool OutboxChangeAddTombstone(OutboxChange *change, OutboxCompiledEventType *type, text *key);

/* Adds the events to the present transaction. */
extern void OutboxChangeAppendEvents(OutboxChange *change);

/* The same, and the dead letters; or refuses the write when the contract says so. */
extern void OutboxChangeInsertResults(OutboxChange *change);

#endif /* OUTBOX_CHANGE_H */
