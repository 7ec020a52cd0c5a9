/*-------------------------------------------------------------------------
 *
 * names.c
 *	  Names as they are written in SQL.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "util/util.h"

/* Schema and name of a relation that exists, quoted where need be; in CurrentMemoryContext. */
char *
OutboxQualifiedName(Oid relation)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), get_rel_name(relation));
}
