/*-------------------------------------------------------------------------
 *
 * examine.h
 *	  What capture would make of a row, without making it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_EXAMINE_H
#define OUTBOX_EXAMINE_H

#include "contract/compile/compile.h"

/* What came out of a row, for the contract (mapping) or for one event type. */
typedef struct OutboxFinding
{
	/* trouble; stage NULL: none */
	const char *stage; /* map, condition, check, encode, size */
	int sqlerrcode;
	const char *message;
	const char *class; /* the message without its values: what makes two troubles the same */

	Jsonb *source_key; /* of a row without a contract row: its lookup columns; NULL: see contract->key_row */

	/* the result */
	bool concerned; /* false: the condition keeps the event type out */
	text *key;
	Jsonb *payload;
} OutboxFinding;

/*
 * Maps a source row into contract->after. True when it is in the view; false
 * with finding->stage set when it cannot be mapped (then contract->key_row holds
 * the key if that can be computed). Never raises for the row's
 * faults; everything is allocated in contract->row_context.
 */
extern bool OutboxExamineRow(OutboxCompiledContract *contract, TupleTableSlot *source, OutboxFinding *finding);

/*
 * What an event type would publish of the row that OutboxExamineRow mapped: as
 * a created row, or for emit = deleted as the row before. Of emit = changed
 * the row before is not known, so its condition and checks are left out, as
 * all conditions are unless `conditions`. libavro reads what was encoded.
 */
extern void OutboxExamineEvent(OutboxCompiledContract *contract, OutboxCompiledEventType *type,
							   bool conditions, OutboxFinding *finding);

#endif /* OUTBOX_EXAMINE_H */
