/*-------------------------------------------------------------------------
 *
 * index_parts.c
 *	  Predicates and expressions of indexes whose functions may run.
 *
 * The server simplifies the expressions of an index when it is asked for them, and
 * so runs functions in them that have constant arguments. An index belongs to the
 * table's owner. When the view's owner asks, the functions would run with the
 * rights of the view's owner. So the expressions are judged first, as they are
 * stored in the catalog. An index with functions that may not run proves nothing.
 * It is no fault of a contract either.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_index.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

#include "contract/plan/plan_private.h"
#include "contract/reach/reach.h"

static bool may_run(Relation index, AttrNumber part);

/*
 * The predicate of an index, as the server simplifies it. False: it has functions
 * that must not run with the rights of the present user.
 */
bool
OutboxIndexPredicate(Relation index, List **predicate)
{
	if (!may_run(index, Anum_pg_index_indpred))
		return false;
	*predicate = RelationGetIndexPredicate(index);
	return true;
}

/* The expressions of an index, as the server simplifies them. False as for OutboxIndexPredicate(). */
bool
OutboxIndexExpressions(Relation index, List **expressions)
{
	if (!may_run(index, Anum_pg_index_indexprs))
		return false;
	*expressions = RelationGetIndexExpressions(index);
	return true;
}

/* Has the index expressions? Runs nothing. */
bool
OutboxIndexHasExpressions(Relation index)
{
	return !heap_attisnull(index->rd_indextuple, Anum_pg_index_indexprs, NULL);
}

static bool
may_run(Relation index, AttrNumber part)
{
	bool isnull;
	Datum stored = SysCacheGetAttr(INDEXRELID, index->rd_indextuple, part, &isnull);

	return isnull || OutboxMayRunAll(GetUserId(), stringToNode(TextDatumGetCString(stored)));
}
