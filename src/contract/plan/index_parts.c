/*-------------------------------------------------------------------------
 *
 * index_parts.c
 *	  Predicates and expressions of indexes, of which the functions may run.
 *
 * The server simplifies them when it is asked for them, and so runs functions
 * in them that have constant arguments. An index is the table owner's: asked
 * as the view's owner, its functions would run with the rights of that one. So
 * they are looked at first as the catalog has them. An index with functions
 * of others proves nothing, and is no fault of a contract either: nobody needs
 * it.
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
 * False: functions of others are in them, which must not run with the rights
 * of the present user. As the server simplifies them otherwise.
 */
bool
OutboxIndexPredicate(Relation index, List **predicate)
{
	if (!may_run(index, Anum_pg_index_indpred))
		return false;
	*predicate = RelationGetIndexPredicate(index);
	return true;
}

bool
OutboxIndexExpressions(Relation index, List **expressions)
{
	if (!may_run(index, Anum_pg_index_indexprs))
		return false;
	*expressions = RelationGetIndexExpressions(index);
	return true;
}

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
