/*-------------------------------------------------------------------------
 *
 * relation.c
 *	  Relations: their names as they are written in SQL; opened without waiting.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "util/util.h"

/* Schema and name of a relation that exists, quoted where need be; in CurrentMemoryContext. */
char *
OutboxQualifiedName(Oid relation)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), get_rel_name(relation));
}

/* With ACCESS SHARE, which the caller gives back with it. NULL, without a lock: it is locked by others, or gone. */
Relation
OutboxOpenWithoutWaiting(Oid relid)
{
	Relation rel;

	if (!ConditionalLockRelationOid(relid, AccessShareLock))
		return NULL;
	rel = try_table_open(relid, NoLock);
	if (rel == NULL)
		UnlockRelationOid(relid, AccessShareLock);
	return rel;
}
