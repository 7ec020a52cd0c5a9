/*-------------------------------------------------------------------------
 *
 * drop_extension.c
 *	  DROP EXTENSION beside writers.
 *
 * PostgreSQL locks the objects that it drops in the order of pg_depend: our tables
 * first, then the sources for their triggers. It waits for each lock. A writer
 * that has written to its source and now needs one of our tables would run into a
 * deadlock, at its next statement or at COMMIT. So all relations that will be
 * dropped or changed are locked before, together, and without anybody queueing
 * behind us. The command then finds its locks taken.
 *
 * An event trigger calls us before commands that can drop the extension. The parse
 * tree tells which of them drop something else. A role that may not drop the
 * extension locks nothing: its command is about to fail.
 *
 * The views of key queries are in our schema, but are no members of the extension:
 * pg_dump would leave members out. Objects of others in the schema would stop the
 * command, so these views are made to go with the extension first.
 *
 * Scripts that update the extension, and administrators, may need several of our
 * tables exclusively in one transaction. outbox.lock_tables() locks them in the
 * same way.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "commands/event_trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "catalog/outbox_catalog.h"
#include "contract/environment/environment.h"
#include "contract/view/view.h"
#include "util/util.h"

PG_FUNCTION_INFO_V1(outbox_lock_before_drop);
PG_FUNCTION_INFO_V1(outbox_lock_tables);

static bool drops_extension(Node *parsetree, Oid owner);
static bool names_extension(const List *objects);
static bool names_role(const List *roles, Oid role);
static void tie_key_views(Oid extension);
static List *relations_to_drop(void);
static List *select_relations(const char *query);

/* outbox_internal.lock_before_drop(): ON ddl_command_start. */
Datum
outbox_lock_before_drop(PG_FUNCTION_ARGS)
{
	Oid extension = OutboxExtensionOid(true);
	Oid owner;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("outbox_internal.lock_before_drop() was not called as its event trigger")));
	if (!OidIsValid(extension))
		PG_RETURN_NULL();
	owner = OutboxOwner();
	if (drops_extension(((EventTriggerData *) fcinfo->context)->parsetree, owner) && has_privs_of_role(GetUserId(), owner))
	{
		OutboxLockExtensionInAttempts(extension, relations_to_drop);
		tie_key_views(extension);
	}
	PG_RETURN_NULL();
}

/* lock_tables(): locks all our relations. Works also during ALTER EXTENSION UPDATE, when the versions differ. */
Datum
outbox_lock_tables(PG_FUNCTION_ARGS)
{
	OutboxLockInAttempts(select_relations("SELECT oid FROM pg_class WHERE relnamespace IN ('outbox'::regnamespace, 'outbox_internal'::regnamespace)"
										  " AND relkind IN ('r', 'p', 'v', 'S') ORDER BY oid"),
						 AccessExclusiveLock);
	PG_RETURN_VOID();
}

static bool
drops_extension(Node *parsetree, Oid owner)
{
	switch (nodeTag(parsetree))
	{
		case T_DropStmt:
			return ((DropStmt *) parsetree)->removeType == OBJECT_EXTENSION && names_extension(((DropStmt *) parsetree)->objects);
		case T_DropOwnedStmt:
			return names_role(((DropOwnedStmt *) parsetree)->roles, owner);
		default:
			return false;
	}
}

static bool
names_extension(const List *objects)
{
	ListCell *lc;

	foreach (lc, objects)
	{
		if (strcmp(strVal(lfirst(lc)), "outbox_ext") == 0)
			return true;
	}
	return false;
}

static bool
names_role(const List *roles, Oid role)
{
	ListCell *lc;

	foreach (lc, roles)
	{
		if (get_rolespec_oid(lfirst(lc), true) == role)
			return true;
	}
	return false;
}

/*
 * Makes the views of key queries depend on the extension, also those that no
 * source names, as after a restore of the schema alone. If the command fails, the
 * dependencies are rolled back with it.
 */
static void
tie_key_views(Oid extension)
{
	ObjectAddress whole;
	ListCell *lc;

	ObjectAddressSet(whole, ExtensionRelationId, extension);
	foreach (lc, select_relations("SELECT oid FROM pg_class WHERE relnamespace = 'outbox_internal'::regnamespace AND relkind = 'v'"
								  " AND relname ~ '_key_query[0-9]*$'"))
	{
		ObjectAddress view;

		ObjectAddressSet(view, RelationRelationId, lfirst_oid(lc));
		if (OutboxIsKeyView(lfirst_oid(lc)))
			recordDependencyOn(&view, &whole, DEPENDENCY_AUTO);
	}
	CommandCounterIncrement();
}

/*
 * All tables, views and sequences that are dropped with the extension, or lose a
 * trigger, a rule or a column. Those of others come first, in the order in which
 * writers lock. CASCADE does not matter: without it the command fails, but only
 * after it took its locks.
 */
static List *
relations_to_drop(void)
{
	static const char query[] =
		"WITH RECURSIVE gone AS ("
		" SELECT 'pg_extension'::regclass::oid AS classid, e.oid AS objid, 0 AS objsubid"
		" FROM pg_extension e WHERE e.extname = 'outbox_ext'"
		" UNION"
		" SELECT n.classid, n.objid, n.objsubid FROM gone g CROSS JOIN LATERAL ("
		"  SELECT d.classid, d.objid, d.objsubid FROM pg_depend d WHERE d.refclassid = g.classid AND d.refobjid = g.objid"
		"  AND (d.refobjsubid = g.objsubid OR g.objsubid = 0)"
		/* the rule of a view stands for the view */
		"  UNION ALL SELECT 'pg_class'::regclass, r.ev_class, 0 FROM pg_rewrite r"
		"  WHERE g.classid = 'pg_rewrite'::regclass AND r.oid = g.objid AND r.rulename = '_RETURN') n"
		"), relation AS ("
		" SELECT CASE g.classid WHEN 'pg_class'::regclass THEN g.objid"
		"  WHEN 'pg_trigger'::regclass THEN (SELECT t.tgrelid FROM pg_trigger t WHERE t.oid = g.objid)"
		"  WHEN 'pg_rewrite'::regclass THEN (SELECT r.ev_class FROM pg_rewrite r WHERE r.oid = g.objid)"
		"  WHEN 'pg_attrdef'::regclass THEN (SELECT a.adrelid FROM pg_attrdef a WHERE a.oid = g.objid)"
		"  WHEN 'pg_constraint'::regclass THEN (SELECT c.conrelid FROM pg_constraint c WHERE c.oid = g.objid)"
		"  WHEN 'pg_policy'::regclass THEN (SELECT p.polrelid FROM pg_policy p WHERE p.oid = g.objid) END AS oid FROM gone g)"
		" SELECT c.oid FROM pg_class c WHERE c.oid IN (SELECT r.oid FROM relation r) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')"
		" ORDER BY c.relnamespace IN ('outbox'::regnamespace, 'outbox_internal'::regnamespace), c.oid";

	return select_relations(query);
}

/* The oids in the first column of all rows, as the extension's owner. */
static List *
select_relations(const char *query)
{
	MemoryContext caller = CurrentMemoryContext;
	List *relations = NIL;
	OutboxOwnerScope scope;
	OutboxRows rows;

	OutboxOwnerBegin(&scope);
	/* the transaction's own snapshot may be older than the last partition */
	PushActiveSnapshot(GetLatestSnapshot());
	SPI_connect();
	rows = OutboxSelect(query, OUTBOX_NO_ARGS);
	MemoryContextSwitchTo(caller);
	for (uint64 i = 0; i < rows.n; i++)
		relations = lappend_oid(relations, (Oid) OutboxRowInt(&rows, i, 1, InvalidOid));
	SPI_finish();
	PopActiveSnapshot();
	OutboxOwnerEnd(&scope);
	return relations;
}
