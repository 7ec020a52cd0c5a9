/*-------------------------------------------------------------------------
 *
 * cached_expression.h
 *	  Planned expressions over a row, which know when they are out of date.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CACHED_EXPRESSION_H
#define OUTBOX_CACHED_EXPRESSION_H

#include "utils/plancache.h"

/*
 * Plans expressions, or a list of them, whose Vars are columns of rows. The result's is_valid becomes false when a
 * function or type behind them changes. It is freed with the memory context. Raises what the planner raises: it folds
 * constants.
 */
extern CachedExpression *OutboxCacheExpression(const void *expressions, MemoryContext context);

#endif /* OUTBOX_CACHED_EXPRESSION_H */
