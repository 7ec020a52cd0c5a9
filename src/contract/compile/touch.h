/*-------------------------------------------------------------------------
 *
 * touch.h
 *	  Which rows of a contract that is evaluated at commit a changed row of
 *	  one of its sources touches.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_TOUCH_H
#define OUTBOX_TOUCH_H

#include "executor/tuptable.h"

#include "catalog/contract_config.h"

typedef struct OutboxTouch OutboxTouch;

/* One lookup key; a key with a NULL in it is not reported. */
typedef void (*OutboxTouchCallback)(void *arg, const Datum *values);

/*
 * Compiles what maps rows of `relation` (the root, a child, or a partition of
 * one) to lookup keys, in a child of CurrentMemoryContext. Terms as of
 * OutboxCompileContract.
 */
extern OutboxTouch *OutboxCompileTouch(const OutboxContractConfig *config, Oid relation);

/*
 * For whoever keeps it: the context that owns it, the relations and the types
 * (of PlanInvalItem *) whose invalidation outdates it, and whether functions and
 * domains behind it changed.
 */
extern MemoryContext OutboxTouchContext(const OutboxTouch *touch);
extern const List *OutboxTouchRelations(const OutboxTouch *touch);
extern const List *OutboxTouchTypes(const OutboxTouch *touch);
extern bool OutboxTouchIsValid(const OutboxTouch *touch);

/*
 * Is a row that is inserted into the relation, the contract's root, the first
 * of its key? Not when a partial index proves the key: an inactive row may have
 * the key of an active one; nor when each partition has an index of its own.
 */
extern bool OutboxTouchInsertIsNew(const OutboxTouch *touch);

/* May computing keys raise, so that the caller guards it? */
extern bool OutboxTouchMayRaise(const OutboxTouch *touch);

/* The lookup key's columns: types, lengths, collations. */
extern TupleDesc OutboxTouchLookupDesc(const OutboxTouch *touch);

/* True when no column that the contract or the key query reads differs between the rows. Never raises. */
extern bool OutboxTouchReadsEqual(OutboxTouch *touch, TupleTableSlot *before, TupleTableSlot *after);

/*
 * Reports the lookup keys of a row: of the root its own columns, of a child
 * what its key_query gives, run as the contract's owner. Raises
 * program_limit_exceeded beyond max_fanout.
 */
extern void OutboxTouchKeys(OutboxTouch *touch, TupleTableSlot *row, OutboxTouchCallback add, void *arg);

/*
 * The lookup column that is NULL in a row of the root, although such a row may
 * be in the view: it has no key and cannot be published. Otherwise NULL. Never
 * raises.
 */
extern const char *OutboxTouchMissingColumn(const OutboxTouch *touch, TupleTableSlot *row);

#endif /* OUTBOX_TOUCH_H */
