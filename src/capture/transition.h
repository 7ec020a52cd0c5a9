/*-------------------------------------------------------------------------
 *
 * transition.h
 *	  One changed source row -> events and dead letters.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_TRANSITION_H
#define OUTBOX_TRANSITION_H

#include "contract/compile.h"
#include "executor/tuptable.h"

/*
 * Evaluates the contract on the source row before and after (either may be
 * NULL), and adds the events and dead letters that follow from the pair of
 * contract rows to the present transaction. `superseded`: the row after was
 * already updated again by this transaction.
 * Raises only for what is not ours to swallow, or with on_invalid = abort.
 */
extern void OutboxCaptureChange(OutboxCompiledContract *contract, TupleTableSlot *before,
								TupleTableSlot *after, bool superseded);

#endif							/* OUTBOX_TRANSITION_H */
