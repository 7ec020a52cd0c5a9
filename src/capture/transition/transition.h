/*-------------------------------------------------------------------------
 *
 * transition.h
 *	  One changed source row -> events and dead letters.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_TRANSITION_H
#define OUTBOX_TRANSITION_H

#include "access/htup.h"
#include "nodes/bitmapset.h"

#include "capture/transition/row_change.h"
#include "contract/compile/compile.h"
#include "letters/dead_letter.h"

/*
 * Evaluates the contract on the source row before and after (either may be
 * NULL), and adds the events and dead letters that follow from the pair of
 * contract rows to the present transaction. Events of a key that a later
 * command has changed already are marked as superseded.
 * Returns how many pairs of contract rows differ in something published; one that
 * cannot be mapped does.
 * Raises only for what is not ours to swallow, or with on_invalid = abort.
 */
extern int OutboxCaptureChange(OutboxCompiledContract *contract, const OutboxRowChange *row);

/* What a contract evaluated at commit shows for one lookup key. */
typedef struct OutboxKeyRows
{
	TupleDesc lookup_desc;
	const Datum *lookup;
	HeapTuple before; /* rows of the contract's view; NULL: none */
	HeapTuple after;
	const ErrorData *before_error; /* the row is not known, and why; */
	HeapTuple before_key;          /* then, if it is not NULL: a row of which key and aggregate_id are known */
	const ErrorData *after_error;
	const Bitmapset *told; /* of a whole way: numbers of event types that have told already that the row is gone */
} OutboxKeyRows;

/*
 * The same as OutboxCaptureChange for one key. False: the commit's timer ran
 * out, and nothing was added.
 */
extern bool OutboxCaptureKey(OutboxCompiledContract *contract, const OutboxKeyRows *rows);

/* Has the contract an event type of a row that is gone? */
extern bool OutboxTellsOfDeleted(const OutboxCompiledContract *contract);

/* A dead letter that is tried again, with the contract rows as they are known now. */
typedef struct OutboxRedrive
{
	OutboxEmit emit;
	const char *event_type; /* NULL: all that the emit concerns */
	HeapTuple before;       /* rows of the contract's view; NULL: none */
	HeapTuple after;
	bool before_unknown; /* there was a row before, but not what it was */
	int16 flags;         /* OUTBOX_EVENT_*: further marks */
} OutboxRedrive;

/*
 * A key whose evaluation was late: decides anew on the rows. The row after is
 * told even if it equals the one before: consumers may have got another state
 * in between. whole (NULL: the same) has the row before of the late transaction
 * where others told of the key since: event types that this whole way makes tell
 * of it, too, if they have not done so by then. Otherwise as OutboxCaptureRedrive.
 */
extern int OutboxCaptureLate(OutboxCompiledContract *contract, const OutboxKeyRows *rows, const OutboxKeyRows *whole, int16 flags,
							 OutboxDeadLetter *failure);

/* Any other key that is tried again with both rows known: decides anew. Otherwise as OutboxCaptureRedrive. */
extern int OutboxCaptureAnew(OutboxCompiledContract *contract, const OutboxKeyRows *rows, int16 flags,
							 OutboxDeadLetter *failure);

/*
 * Of a row that is gone and of which the key alone is known (a row of the view that is otherwise NULL): adds the null values
 * that event types of deleted rows ask for, and returns how many. A condition on the row cannot be decided: then there is none.
 */
extern int OutboxCaptureTombstones(OutboxCompiledContract *contract, HeapTuple key_row, int16 flags);

/*
 * Adds the events, marked as redriven, to the present transaction. When one of
 * them fails nothing is added and *failure says why. Returns how many were added.
 */
extern int OutboxCaptureRedrive(OutboxCompiledContract *contract, const OutboxRedrive *redrive,
								OutboxDeadLetter *failure);

#endif /* OUTBOX_TRANSITION_H */
