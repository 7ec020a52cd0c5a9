/*-------------------------------------------------------------------------
 *
 * origin.c
 *	  The name by which consumers know this database.
 *
 * Sinks derive from it where their messages come from (ce_source).  It is the
 * database's name when the extension was created, kept in
 * outbox_internal.origin, so that renaming the database does not give its
 * events another source, and all sinks agree.
 *
 * A copy of the data (another database system, another database, another
 * outbox.site) must not pass for the original: there the name is void, and the
 * copy's present name takes its place.  Sinks that were started in the
 * original are held up by the copy guard (sink_row.c) until a person confirms
 * them.  pg_upgrade makes no copy: the row is still the one that the
 * transaction wrote that it names, see progress.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type_d.h"
#include "miscadmin.h"

#include "guc.h"
#include "relay/session/session_private.h"
#include "util/util.h"

static void claim_origin(void);
static char *read_name(MemoryContext context);

/* In a transaction of its own, which also fixes the name where it is void. Allocated in the context. */
char *
OutboxOriginName(MemoryContext context)
{
	OutboxOwnerScope scope;
	char *name;

	OutboxSessionBeginQuery(&scope);
	claim_origin();
	name = read_name(context);
	OutboxSessionEndQuery(&scope);
	return name;
}

/* Writes only what is not so already. */
static void
claim_origin(void)
{
	static const char query[] =
		"INSERT INTO outbox_internal.origin AS o (only_row, database, system_identifier, database_oid, site, written_by)"
		" SELECT true, current_database(), $1, $2, nullif($3, ''), pg_current_xact_id()"
		" WHERE NOT EXISTS (SELECT FROM outbox_internal.origin"
		"  WHERE system_identifier = $1 AND database_oid = $2 AND site IS NOT DISTINCT FROM nullif($3, ''))"
		" ON CONFLICT (only_row) DO UPDATE SET"
		" database = CASE WHEN o.database_oid = $2 AND (o.system_identifier = $1 OR o.written_by::xid = o.xmin)"
		"  AND (o.site IS NULL OR o.site = $3) THEN o.database ELSE excluded.database END,"
		" system_identifier = excluded.system_identifier, database_oid = excluded.database_oid,"
		" site = excluded.site, written_by = excluded.written_by";

	(void) OutboxRun(query, OUTBOX_ARGS(OUTBOX_INT8((int64) GetSystemIdentifier()), OUTBOX_OID(MyDatabaseId), OUTBOX_TEXT(outbox_site)));
}

static char *
read_name(MemoryContext context)
{
	OutboxRows rows = OutboxRun("SELECT database FROM outbox_internal.origin", OUTBOX_NO_ARGS);

	if (rows.n != 1)
		elog(ERROR, "outbox_internal.origin has " UINT64_FORMAT " rows", rows.n);
	return MemoryContextStrdup(context, OutboxRowText(&rows, 0, 1));
}
