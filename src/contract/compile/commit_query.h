/*-------------------------------------------------------------------------
 *
 * commit_query.h
 *	  A contract that is evaluated at commit: its view as one query for
 *	  many keys.
 *
 * A *lookup key* is a row of values of the root's own columns, those that the
 * contract's key expressions read, in key order. It finds a contract row by an
 * index of the root even when the key shows a cast of the column; it is what
 * sources queue and what the aggregate lock is taken on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_COMMIT_QUERY_H
#define OUTBOX_COMMIT_QUERY_H

#include "access/tupdesc.h"
#include "nodes/bitmapset.h"
#include "nodes/params.h"
#include "nodes/plannodes.h"

#include "catalog/contract_config.h"
#include "contract/reach/trust.h"

typedef struct OutboxCommitQuery
{
	PlannedStmt *plan; /* $1..$nlookup: arrays of equal length, one element per key, keys distinct */
	List *relations;   /* OIDs of all tables and views behind it, ascending: AccessShareLock on these while it runs */
	int nlookup;
	TupleDesc lookup_desc; /* names, types, typmods and collations of the lookup columns */
	AttrNumber *lookup;    /* their numbers in the root */
	Oid *array_types;      /* types of the parameters (arrays of the base types) */
						   /* result columns: those of the contract's view, then the lookup columns */
} OutboxCommitQuery;

/*
 * Analyses and plans the view in the current memory context, as the view's
 * owner; needs an active snapshot; keeps no lock. Columns of the view that are not in `used`
 * (numbers from 0; NULL: all) are NULL in the result. Raises, naming construct
 * and remedy, for a view that cannot be read at commit: volatile functions,
 * foreign or temporary tables, row level security that applies to the owner, a
 * root that the key cannot be pushed down to, or a plan without an index on the
 * root's or a joined table's lookup (the hint is the CREATE INDEX).
 */
extern OutboxCommitQuery *OutboxPlanCommitQuery(const OutboxContractConfig *config, const Bitmapset *used);

/* Raises unless the key comes from the root and is unique there: the part of the above that looks at no index but the root's. */
extern void OutboxProveCommitKey(const OutboxContractConfig *config);

/*
 * The values of the contract's key columns of the row with the lookup key, in key order, with the runner's rights. In
 * memory of the current context. False: they are not to be had without the row. May raise as the key's expressions may.
 */
extern bool OutboxKeyFromLookup(const OutboxContractConfig *config, const OutboxCommitQuery *query, const OutboxRunner *runner,
								const Datum *lookup, Datum *values, bool *isnull);

/* Its parameters for these keys, each the values of its lookup columns. */
extern ParamListInfo OutboxCommitQueryParameters(const OutboxCommitQuery *query, Datum *const *keys, int nkeys);

/*
 * The root's columns that make up the lookup key (of Var *), without planning;
 * on the same terms. *conditions: what the view demands of the root's rows.
 */
extern List *OutboxLookupColumns(const OutboxContractConfig *config, List **conditions);

/* What a row of the lookup columns (of Var *) looks like. */
extern TupleDesc OutboxLookupDesc(Oid root, const List *columns);

#endif /* OUTBOX_COMMIT_QUERY_H */
