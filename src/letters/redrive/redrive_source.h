/*-------------------------------------------------------------------------
 *
 * redrive_source.h
 *	  A dead letter that has the source's key alone, tried again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_REDRIVE_SOURCE_H
#define OUTBOX_REDRIVE_SOURCE_H

#include "contract/compile/compile.h"
#include "letters/redrive/redrive_letter.h"

/*
 * Of a contract that is evaluated per row. Finds the row as it is now and adds
 * the events to the present transaction, as OutboxRedriveKey does: the same
 * result, and the same callers' duties.
 */
extern const char *OutboxRedriveSource(OutboxCompiledContract *contract, const OutboxLetter *letter,
									   OutboxDeadLetter *failure);

/*
 * The contract's key, in a row of its view that is otherwise NULL, of the columns
 * of the source that a letter has; NULL: it does not follow from them. May raise.
 */
extern HeapTuple OutboxRedriveSourceKey(OutboxCompiledContract *contract, Jsonb *columns);

#endif /* OUTBOX_REDRIVE_SOURCE_H */
