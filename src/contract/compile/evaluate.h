/*-------------------------------------------------------------------------
 *
 * evaluate.h
 *	  A compiled contract applied to rows of its source.
 *
 * These run between OutboxEvaluationStart and OutboxEvaluationStop, in the
 * contract's row_context; they may raise only if OUTBOX_RAISES is among
 * contract->traits, and the start itself if contract->stale: then the caller
 * guards them. So it does where a value is stored out of line or compressed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_EVALUATE_H
#define OUTBOX_EVALUATE_H

#include "contract/compile/compile.h"
#include "contract/environment/evaluation.h"
#include "contract/environment/guard.h"

/* With the rights and settings of the contract; an error in between leaves it stale. */
extern void OutboxEvaluationStart(OutboxCompiledContract *contract, OutboxEvaluation *evaluation);
extern void OutboxEvaluationStop(OutboxCompiledContract *contract, const OutboxEvaluation *evaluation);

/* After a caught error: keeps the rows computed so far for the evaluations that follow. */
extern void OutboxEvaluationFailed(OutboxCompiledContract *contract);

/* Forgets the previous row's values. */
extern void OutboxEvaluateReset(OutboxCompiledContract *contract);

/* Fills contract->before or contract->after; false: the row is not in the view. */
extern bool OutboxEvaluateBefore(OutboxCompiledContract *contract, TupleTableSlot *source);
extern bool OutboxEvaluateAfter(OutboxCompiledContract *contract, TupleTableSlot *source);

/* Fills contract->key_row: the key columns, everything else NULL. */
extern void OutboxEvaluateKey(OutboxCompiledContract *contract, TupleTableSlot *source);

/* The same with the columns of aggregate_id. Needs contract->makes_tombstones. */
extern void OutboxEvaluateMessageKey(OutboxCompiledContract *contract, TupleTableSlot *source);

/* The same for the unknown row before: its key columns from key_row, everything else NULL. */
extern void OutboxBeforeFromKey(OutboxCompiledContract *contract);

/* True when the source columns that the contract reads are the same bytes. Never raises. */
extern bool OutboxSourceReadsEqual(const OutboxCompiledContract *contract,
								   TupleTableSlot *before, TupleTableSlot *after);

/* The same of columns of two rows of one table, by ascending numbers. */
extern bool OutboxColumnsEqual(TupleTableSlot *before, TupleTableSlot *after, const AttrNumber *columns, int ncolumns);

/*
 * Do before and after have the same key? the same published columns, of one
 * event type (it has an encoder) or of all (NULL)? May detoast.
 */
extern bool OutboxKeysEqual(OutboxCompiledContract *contract);
extern bool OutboxRowsEqual(OutboxCompiledContract *contract, const OutboxCompiledEventType *type);

/* Is this column the same value, to the byte, in two rows of the contract? May detoast. */
extern bool OutboxSameValue(const OutboxCompiledContract *contract, int column,
							TupleTableSlot *left, TupleTableSlot *right);

/* A hash of the contract and its key in a row; by images, as OutboxSameValue. May detoast. */
extern uint64 OutboxRowKeyHash(const OutboxCompiledContract *contract, TupleTableSlot *row);

/* Is the event type's condition true of these rows (NULL slots: all columns NULL)? */
extern bool OutboxConditionHolds(OutboxCompiledContract *contract, OutboxCompiledEventType *type,
								 TupleTableSlot *before, TupleTableSlot *after);

/*
 * The first check of the event type that is false of the published row; NULL
 * when all hold. before/after as above.
 */
extern const char *OutboxFailedCheck(OutboxCompiledContract *contract, OutboxCompiledEventType *type,
									 TupleTableSlot *row, TupleTableSlot *before, TupleTableSlot *after);

/* The message key of a contract row; NULL when one of its columns is NULL. */
extern bool OutboxIsPlainKeyType(Oid base_type); /* no function turns it into the text of a key */
extern text *OutboxAggregateId(OutboxCompiledContract *contract, TupleTableSlot *row);

/*
 * The payload of an event type: the published row, then previous_* from
 * `before` (NULL: all null), null where `unfit` (NULL: nowhere) says so. A
 * palloc'd bytea, or NULL with *error.
 */
extern bytea *OutboxEncodeEvent(OutboxCompiledContract *contract, OutboxCompiledEventType *type, TupleTableSlot *row,
								TupleTableSlot *before, const bool *unfit, OutboxAvroError *error);

/* Has the value that previous_* number `previous` of the event type would show an Avro form? */
extern bool OutboxPreviousFits(const OutboxCompiledContract *contract, const OutboxCompiledEventType *type,
							   int previous, TupleTableSlot *before);

/* How large the message will be, with its framing and headers. attributes are those of the event, NULL: none. */
extern Size OutboxMessageSize(const OutboxCompiledEventType *type, const bytea *payload, const text *key,
							  const Jsonb *attributes);

#endif /* OUTBOX_EVALUATE_H */
