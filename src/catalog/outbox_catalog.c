/*-------------------------------------------------------------------------
 *
 * outbox_catalog.c
 *	  Our own tables: names and object ids.
 *
 * Lookups go to the system catalogs (a cached syscache probe) and so need a
 * transaction. They follow DROP and CREATE EXTENSION: nothing is remembered
 * beyond the syscache.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "catalog/catalog_private.h"
#include "util/util.h"

bool OutboxOwnDdl = false;

Oid
OutboxExtensionOid(bool missing_ok)
{
	return get_extension_oid("outbox_ext", missing_ok);
}

/*
 * Our row of pg_extension, which has no syscache. Only for configuration work,
 * never per row. Raises when there is none.
 */
static HeapTuple
extension_tuple(Relation rel)
{
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(OutboxExtensionOid(false)));
	scan = systable_beginscan(rel, ExtensionOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		tuple = heap_copytuple(tuple);
	systable_endscan(scan);
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"outbox_ext\" does not exist")));
	return tuple;
}

/* The extension's owner, who reads and writes our tables; raises when there is no extension. */
Oid
OutboxOwner(void)
{
	Relation rel = table_open(ExtensionRelationId, AccessShareLock);
	HeapTuple tuple = extension_tuple(rel);
	Oid owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;

	heap_freetuple(tuple);
	table_close(rel, AccessShareLock);
	return owner;
}

/*
 * Raises object_not_in_prerequisite_state when the extension's version in this
 * database is not that of the library. The first step of every function that
 * users call to read or change configuration; never of capture, which must go on.
 */
void
OutboxRequireVersion(void)
{
	Relation rel = table_open(ExtensionRelationId, AccessShareLock);
	HeapTuple tuple = extension_tuple(rel);
	bool isnull;
	char *version = TextDatumGetCString(heap_getattr(tuple, Anum_pg_extension_extversion,
													 RelationGetDescr(rel), &isnull));

	heap_freetuple(tuple);
	table_close(rel, AccessShareLock);
	if (strcmp(version, OUTBOX_VERSION) == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("extension outbox_ext has version %s in this database, but the loaded library has version %s",
					version, OUTBOX_VERSION),
			 errdetail("Changes are captured meanwhile; configuration waits until both are the same."),
			 errhint("Run ALTER EXTENSION outbox_ext UPDATE, or restart the server if the library was upgraded since it started.")));
}

/*
 * The oid of outbox_internal.event_seq, which changes when the extension is created anew; InvalidOid: it is not there.
 * Two syscache probes: cheap enough for every transaction, which a look into pg_extension is not.
 */
Oid
OutboxInstallation(void)
{
	Oid schema = get_namespace_oid(OUTBOX_INTERNAL_SCHEMA, true);

	return OidIsValid(schema) ? get_relname_relid("event_seq", schema) : InvalidOid;
}

/* The schema of our functions and views; raises when it is not there. */
Oid
OutboxSchemaOid(void)
{
	return get_namespace_oid(OUTBOX_SCHEMA, false);
}

static Oid
relation_oid(const char *schema_name, const char *relname)
{
	Oid schema = get_namespace_oid(schema_name, true);
	Oid relid = OidIsValid(schema) ? get_relname_relid(relname, schema) : InvalidOid;

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s.%s\" does not exist", schema_name, relname)));
	return relid;
}

/* Is this function outbox.decode()? It neither raises nor depends on settings. */
bool
OutboxIsDecode(Oid function)
{
	char *name = get_func_name(function);

	return name && strcmp(name, "decode") == 0 &&
		get_func_namespace(function) == OutboxSchemaOid();
}

/* outbox.event, the parent of the leaves; raises when it is not there. */
Oid
OutboxEventOid(void)
{
	return relation_oid(OUTBOX_SCHEMA, "event");
}

/* One of our tables, indexes or sequences; raises when it is not there. */
Oid
OutboxRelationOid(const char *relname)
{
	return relation_oid(OUTBOX_INTERNAL_SCHEMA, relname);
}

/* Is there such a table? The SQL objects may be older than the library. */
bool
OutboxHasTable(const char *relname)
{
	return OidIsValid(get_relname_relid(relname, get_namespace_oid(OUTBOX_INTERNAL_SCHEMA, false)));
}

/* Did the index come with the extension? An index is no member of an extension. One without a constraint is known by its name. */
bool
OutboxIsIndexOfScript(Oid index)
{
	static const char *const names[] = {
		"contract_version_active_key",
		"contract_version_draft_key",
		"dead_letter_entry_state_stage_idx",
		"dead_letter_entry_xid_idx",
		"event_schema_event_type_id_version_key",
		"event_type_contract_id_idx",
		"held_event_letter_idx",
		"held_event_xid_idx",
		"leaf_current_key",
		"replay_request_open_idx",
	};

	const char *name = get_rel_name(index);

	for (int i = 0; name != NULL && i < lengthof(names); i++)
	{
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

/* The owner of any relation; raises when it is not there. */
Oid
OutboxRelationOwner(Oid relation)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relation)));
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * Opens a relation to look at its definition, in AccessShareLock when that is
 * free and without a lock when it is not: a writer must not queue behind DDL on
 * a view or table that its own statement does not touch. A caller who remembers
 * the definition listens for invalidations. Raises when it is not there. Close it
 * with relation_close() and NoLock.
 */
Relation
OutboxOpenWithoutWait(Oid relation)
{
	Relation rel;

	(void) ConditionalLockRelationOid(relation, AccessShareLock);
	/* relation_open() of a server with assertions insists on the lock */
	rel = RelationIdGetRelation(relation);
	if (!RelationIsValid(rel))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relation)));
	return rel;
}

/* Takes AccessShareLock on all, without waiting; false at the first that is not free. Locks that were taken stay. */
bool
OutboxLockWithoutWait(const List *relations)
{
	ListCell *lc;

	foreach (lc, relations)
	{
		if (!ConditionalLockRelationOid(lfirst_oid(lc), AccessShareLock))
			return false;
	}
	return true;
}

/*
 * From here to OutboxOwnerEnd code runs as the extension's owner, with our
 * search_path. After an error the abort of the (sub)transaction restores both.
 */
void
OutboxOwnerBegin(OutboxOwnerScope *scope)
{
	GetUserIdAndSecContext(&scope->user, &scope->sec_context);
	scope->guc_nest_level = NewGUCNestLevel();
	SetUserIdAndSecContext(OutboxOwner(), scope->sec_context | SECURITY_LOCAL_USERID_CHANGE);
	OutboxSetInScope("search_path", "pg_catalog, pg_temp");
}

/*
 * OutboxOwnerBegin for functions that users call: raises when the library and the
 * SQL objects are of different versions.
 */
void
OutboxApiBegin(OutboxOwnerScope *scope)
{
	OutboxRequireVersion();
	OutboxOwnerBegin(scope);
}

void
OutboxOwnerEnd(const OutboxOwnerScope *scope)
{
	AtEOXact_GUC(false, scope->guc_nest_level);
	SetUserIdAndSecContext(scope->user, scope->sec_context);
}
