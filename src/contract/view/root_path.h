/*-------------------------------------------------------------------------
 *
 * root_path.h
 *	  Where in a view's query tree the rows of its root come from, and how a
 *	  condition on them gets there.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_ROOT_PATH_H
#define OUTBOX_ROOT_PATH_H

#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"

#include "catalog/contract_config.h"

/* One query between the view and its root, and which of its range table entries leads on. */
typedef struct OutboxRootLevel
{
	Query *query;
	int varno;
} OutboxRootLevel;

typedef struct OutboxRootPath
{
	List *levels; /* of OutboxRootLevel *, the view's own query first */
	List *lookup; /* of Var *: the root's columns behind the key, in key order */
} OutboxRootPath;

/* The view's query as it was written; waits for nobody. */
extern Query *OutboxStoredView(Oid view);

/* The view's query with all views in it expanded; locks what it reads, waiting for it. */
extern Query *OutboxRewrittenView(Oid view);

/*
 * Follows the contract's key columns down to the root. Raises, naming the
 * construct and the remedy, when they do not all come from one reading of the
 * root's rows, or when a condition there would mean something else than one on
 * the view's rows.
 */
extern OutboxRootPath *OutboxFindRoot(const OutboxContractConfig *config, Query *query);

/*
 * The contract's key as expressions over the root's columns, whose varno is
 * any; on the same terms, but that system columns may be among these. *levels
 * as of OutboxRootPath.
 */
extern List *OutboxRootKey(const OutboxContractConfig *config, Query *query, List **levels);

/*
 * Restricts the root's rows to the keys in $1, $2, ... (arrays of equal length
 * with one element per key, keys distinct), and appends the lookup columns to
 * the view's. *array_types: the parameters' types, palloc'd.
 */
extern void OutboxPushLookup(const OutboxContractConfig *config, const OutboxRootPath *path, Oid **array_types);

/*
 * The expression over a base relation that an expression of a query level is,
 * seen through subqueries: its Vars are of *rte, numbered *varno there. NULL
 * when it is not one of a single relation.
 */
extern Node *OutboxBaseExpression(Query *query, Node *node, RangeTblEntry **rte, int *varno);

#endif /* OUTBOX_ROOT_PATH_H */
