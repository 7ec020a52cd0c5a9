/*-------------------------------------------------------------------------
 *
 * redrive_row.h
 *	  The contract rows of a dead letter that is tried again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_REDRIVE_ROW_H
#define OUTBOX_REDRIVE_ROW_H

#include "access/htup.h"

#include "contract/compile/compile.h"
#include "contract/reach/trust.h"
#include "letters/redrive/redrive_letter.h"

/* All read as the contract's owner, into the current memory context, and may raise; NULL: there is none. */

/*
 * Reads a letter's JSON back as the contract's owner (letter_json.h). Raises
 * for a type whose input functions may not run with this role's rights.
 */
extern void OutboxReadLetterRow(OutboxCompiledContract *contract, TupleDesc desc, Jsonb *object, Datum *values, bool *isnull);

/* That check alone, for the columns that the object has. */
extern void OutboxCheckReadBackTrust(const OutboxCompiledContract *contract, TupleDesc desc, Jsonb *object);

/* Whose rights whatever runs for a redrive must be fit for. */
extern void OutboxRedriveRunner(const OutboxCompiledContract *contract, OutboxRunner *runner);

/* The row before that the letter keeps. */
extern HeapTuple OutboxLetterRowBefore(OutboxCompiledContract *contract, const OutboxLetter *letter);

/*
 * The row with the letter's key as it is now, of a contract evaluated per row.
 * It stays locked against changes until the transaction ends: an event of what
 * it was must not come behind one of what it became. Does not wait for who
 * changes it at present, but raises lock_not_available.
 */
extern HeapTuple OutboxLetterRowNow(OutboxCompiledContract *contract, const OutboxLetter *letter);

#endif /* OUTBOX_REDRIVE_ROW_H */
