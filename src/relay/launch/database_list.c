/*-------------------------------------------------------------------------
 *
 * database_list.c
 *	  Which databases of the server have relays: outbox.databases.
 *
 * A server with very many databases would start a probe for each of them,
 * although few have the extension. A database that is not listed is for the
 * launcher what one is that accepts no connections.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/varlena.h"

#include "guc.h"
#include "relay/launch/launch_private.h"

/* Is the list empty, or does it name the database? Allocates in the current memory context. */
bool
OutboxDatabaseListed(const char *name)
{
	char *names = pstrdup(outbox_databases ? outbox_databases : "");
	List *listed = NIL;
	ListCell *lc;

	/* the setting is checked when it is set */
	if (!SplitGUCList(names, ',', &listed) || listed == NIL)
		return true;
	foreach (lc, listed)
	{
		if (strcmp((const char *) lfirst(lc), name) == 0)
			return true;
	}
	return false;
}
