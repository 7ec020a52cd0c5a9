/*-------------------------------------------------------------------------
 *
 * refuse_relation.c
 *	  Is a command on one of our relations refused?
 *
 * Rights are checked first, as PostgreSQL would check them once it had the lock.
 * Then commands are refused that would break something later: capture writes
 * leaves without regard to indexes, triggers and rules, and all our code knows
 * names and columns.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

#include "catalog/outbox_catalog.h"
#include "ddl/ddl_private.h"

static Oid named(const RangeVar *name);
static Oid table_behind(Oid view);
static bool is_member(Oid relation);
static bool is_written_past(Oid relation);

/* Does the name denote a relation in one of our schemas? The name may be NULL, here and below. */
bool
OutboxNamesRelation(const RangeVar *name)
{
	return OidIsValid(named(name));
}

/* Does the name denote a relation that belongs to the extension? */
bool
OutboxNamesMember(const RangeVar *name)
{
	Oid relation = named(name);

	return OidIsValid(relation) && is_member(relation);
}

/* The relation if it is in one of our schemas, or InvalidOid. */
static Oid
named(const RangeVar *name)
{
	Oid relation;
	Oid schema;

	if (name == NULL)
		return InvalidOid;
	if (name->schemaname == NULL)
		relation = RelnameGetRelid(name->relname);
	else
	{
		schema = get_namespace_oid(name->schemaname, true);
		relation = OidIsValid(schema) ? get_relname_relid(name->relname, schema) : InvalidOid;
	}
	if (!OidIsValid(relation))
		return InvalidOid;
	schema = get_rel_namespace(relation);
	return schema == get_namespace_oid(OUTBOX_SCHEMA, true) || schema == get_namespace_oid(OUTBOX_INTERNAL_SCHEMA, true)
		? relation
		: InvalidOid;
}

/*
 * The relation if it is in one of our schemas, or InvalidOid. Raises the error that
 * PostgreSQL would raise once it had the lock, when the role has neither the
 * owner's rights nor `right`.
 */
Oid
OutboxRefuseStrangers(const RangeVar *name, AclMode right)
{
	Oid relation = named(name);

	if (!OidIsValid(relation) || has_privs_of_role(GetUserId(), OutboxRelationOwner(relation)) ||
		(right != OUTBOX_OWNER_ONLY && pg_class_aclcheck(relation, GetUserId(), right) == ACLCHECK_OK))
		return relation;
	aclcheck_error(right == OUTBOX_OWNER_ONLY ? ACLCHECK_NOT_OWNER : ACLCHECK_NO_PRIV,
				   get_relkind_objtype(get_rel_relkind(relation)), name->relname);
	return InvalidOid; /* not reached */
}

/*
 * Checks rights as OutboxRefuseStrangers() does. Then raises for a rule on any of
 * our relations, and for an index or trigger where capture would pass it by.
 */
void
OutboxRefuseOnLeaves(const RangeVar *name, AclMode right, NodeTag what)
{
	Oid relation = OutboxRefuseStrangers(name, right);

	if (!OidIsValid(relation) || !is_member(relation))
		return;
	if (what == T_RuleStmt)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("\"%s\" belongs to extension outbox_ext and cannot have rules", name->relname),
				 errdetail("Capture and relays would ignore the rule."),
				 errhint("Create a trigger on outbox_internal.dead_letter_entry or outbox_internal.gap instead.")));
	if (what == T_IndexStmt && get_rel_relkind(relation) == RELKIND_VIEW && OidIsValid(table_behind(relation)))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a view", name->relname),
				 errhint("Create the index on the table: %s.%s.", OUTBOX_INTERNAL_SCHEMA, name->relname)));
	if (!is_written_past(relation))
		return;
	if (what == T_IndexStmt)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("\"%s\" cannot have indexes", name->relname),
				 errdetail("Capture writes events into the heap alone, so an index would be incomplete."),
				 errhint("Copy the events into a table of your own and index that.")));
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("\"%s\" cannot have triggers of yours", name->relname),
			 errdetail("Capture writes events into the heap alone, so a trigger would not fire."),
			 errhint("Create the trigger on the contract's source, or read the events with a sink.")));
}

/* The table of the same name that a view shows, or InvalidOid. */
static Oid
table_behind(Oid view)
{
	Oid schema = get_namespace_oid(OUTBOX_INTERNAL_SCHEMA, true);

	return OidIsValid(schema) ? get_relname_relid(get_rel_name(view), schema) : InvalidOid;
}

/* Checks rights as OutboxRefuseStrangers() does. Then raises if the relation belongs to the extension. */
void
OutboxRefuseChange(const RangeVar *name)
{
	Oid relation = OutboxRefuseStrangers(name, OUTBOX_OWNER_ONLY);

	if (!OidIsValid(relation) || !is_member(relation))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("\"%s\" belongs to extension outbox_ext and cannot be changed in this way", name->relname),
			 errdetail("Storage parameters, statistics targets, tablespace, owner and the state of triggers can be changed; columns, constraints, names, partitions, schema and access method cannot."),
			 errhint("ALTER EXTENSION outbox_ext UPDATE brings the objects that another version of the library needs.")));
}

/* A relation of the extension, or an index that came with it. */
static bool
is_member(Oid relation)
{
	Oid extension = OutboxExtensionOid(true);
	Oid table;

	if (get_rel_relkind(relation) != RELKIND_INDEX)
		return OidIsValid(extension) && getExtensionOfObject(RelationRelationId, relation) == extension;
	table = IndexGetRelation(relation, true);
	return OidIsValid(extension) && OidIsValid(table) && getExtensionOfObject(RelationRelationId, table) == extension &&
		(OidIsValid(get_index_constraint(relation)) || OutboxIsIndexOfScript(relation));
}

/* Is it outbox.event or one of its leaves? */
static bool
is_written_past(Oid relation)
{
	Oid event = OutboxEventOid();

	return relation == event || (get_rel_relispartition(relation) && get_partition_parent(relation, true) == event);
}
