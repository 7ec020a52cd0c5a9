/*-------------------------------------------------------------------------
 *
 * key_query.h
 *	  The key_query of a source: its row -> lookup keys of the contract.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_KEY_QUERY_H
#define OUTBOX_KEY_QUERY_H

#include "executor/tuptable.h"
#include "nodes/bitmapset.h"

#include "catalog/contract_config.h"
#include "contract/compile/touch.h"

typedef struct OutboxKeyQuery OutboxKeyQuery;

/*
 * Compiles a source's key_query for rows of `relation` (the source, or a
 * partition of it), in CurrentMemoryContext; the owner of the contract's view
 * runs it. `lookup` describes the keys it must give. Raises for what gives other
 * columns than the lookup's, or must not run while a row is written, and when
 * the owner may not read a column of the row (view_access, of
 * OutboxViewAccess *, is what the view reads: asked for elsewhere).
 */
extern OutboxKeyQuery *OutboxCompileKeyQuery(const OutboxContractConfig *config, const OutboxSourceConfig *source,
											 Oid relation, TupleDesc lookup, const List *view_access);

/* What OutboxTouchKeys says; values are valid during the call of add only. */
extern void OutboxRunKeyQuery(OutboxKeyQuery *query, TupleTableSlot *row, OutboxTouchCallback add, void *arg);

/* The columns of the relation that it reads, attno - FirstLowInvalidHeapAttributeNumber. */
extern const Bitmapset *OutboxKeyQueryReads(const OutboxKeyQuery *query);

/* The relations that it reads, and those behind the types of its expressions, not sorted. */
extern const List *OutboxKeyQueryRelations(const OutboxKeyQuery *query);

/* Of PlanInvalItem *: the types behind its expressions. */
extern List *OutboxKeyQueryTypes(const OutboxKeyQuery *query);

extern bool OutboxKeyQueryMayRaise(const OutboxKeyQuery *query);
extern bool OutboxKeyQueryIsValid(const OutboxKeyQuery *query);

#endif /* OUTBOX_KEY_QUERY_H */
