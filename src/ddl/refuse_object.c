/*-------------------------------------------------------------------------
 *
 * refuse_object.c
 *	  Who may lock the extension, and its objects that are no relations.
 *
 * Commands that name an object of any kind (DROP, COMMENT, SECURITY LABEL, RENAME,
 * SET SCHEMA, OWNER TO, DEPENDS ON EXTENSION, ALTER EXTENSION) lock the object and
 * check rights afterwards. A request that waits makes others wait behind it. Among
 * them is the creation of a partition: it records that the partition's trigger
 * depends on our function and on the extension, and so locks both, while it holds
 * ACCESS EXCLUSIVE on the table. DEPENDS ON EXTENSION is worse: it locks the
 * extension for the rest of the transaction, and checks rights on the other object
 * alone.
 *
 * So a role that does not own the object is refused before. The check is
 * PostgreSQL's own (check_object_ownership). Names are looked up as PostgreSQL does,
 * without a lock. Kinds of objects that the extension does not have pass;
 * test/t/075_nameable.pl takes the kinds that it has from the catalog.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_event_trigger.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/event_trigger.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"
#include "parser/parse_type.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "catalog/outbox_catalog.h"
#include "ddl/ddl_private.h"

/* The objects that a command names: one, or several to drop, and an extension. */
typedef struct NamedObject
{
	ObjectType type;
	Node *object;
	const List *dropped;
	const char *extension;
} NamedObject;

static NamedObject named_object(const Node *stmt);
static void refuse_strangers(ObjectType type, Node *object);
static ObjectAddress find_object(ObjectType type, Node *object);
static Oid find_type(Node *name);
static bool is_ours(const ObjectAddress *address);
static bool is_in_our_schemas(Oid type);

/*
 * Raises insufficient_privilege if the command names the extension or an object of
 * it that the role does not own. Takes no lock.
 */
void
OutboxRefuseStrangersToObjects(const Node *stmt)
{
	NamedObject named = named_object(stmt);
	ListCell *lc;

	if (named.extension)
		refuse_strangers(OBJECT_EXTENSION, (Node *) makeString(pstrdup(named.extension)));
	refuse_strangers(named.type, named.object);
	foreach (lc, named.dropped)
		refuse_strangers(named.type, lfirst(lc));
}

/* Is this a command on an event trigger, for which no event trigger is called? */
bool
OutboxNamesEventTrigger(const Node *stmt)
{
	NamedObject named = named_object(stmt);

	return (named.object || named.dropped) && named.type == OBJECT_EVENT_TRIGGER;
}

static NamedObject
named_object(const Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_DropStmt:
			return (NamedObject){.type = ((const DropStmt *) stmt)->removeType, .dropped = ((const DropStmt *) stmt)->objects};
		case T_CommentStmt:
			return (NamedObject){.type = ((const CommentStmt *) stmt)->objtype, .object = ((const CommentStmt *) stmt)->object};
		case T_SecLabelStmt:
			return (NamedObject){.type = ((const SecLabelStmt *) stmt)->objtype, .object = ((const SecLabelStmt *) stmt)->object};
		case T_RenameStmt:
			return (NamedObject){.type = ((const RenameStmt *) stmt)->renameType, .object = ((const RenameStmt *) stmt)->object};
		case T_AlterObjectSchemaStmt:
			return (NamedObject){.type = ((const AlterObjectSchemaStmt *) stmt)->objectType, .object = ((const AlterObjectSchemaStmt *) stmt)->object};
		case T_AlterOwnerStmt:
			return (NamedObject){.type = ((const AlterOwnerStmt *) stmt)->objectType, .object = ((const AlterOwnerStmt *) stmt)->object};
		case T_AlterObjectDependsStmt:
			return (NamedObject){.type = ((const AlterObjectDependsStmt *) stmt)->objectType,
								 .object = ((const AlterObjectDependsStmt *) stmt)->object,
								 .extension = strVal(((const AlterObjectDependsStmt *) stmt)->extname)};
		case T_AlterExtensionContentsStmt:
			return (NamedObject){.type = ((const AlterExtensionContentsStmt *) stmt)->objtype,
								 .object = ((const AlterExtensionContentsStmt *) stmt)->object,
								 .extension = ((const AlterExtensionContentsStmt *) stmt)->extname};
		case T_AlterExtensionStmt:
			return (NamedObject){.extension = ((const AlterExtensionStmt *) stmt)->extname};
		default:
			return (NamedObject){0};
	}
}

/* Raises if the role does not own the object. `object` is NULL in commands that name a relation only. */
static void
refuse_strangers(ObjectType type, Node *object)
{
	ObjectAddress address;

	if (object == NULL)
		return;
	address = find_object(type, object);
	if (!OidIsValid(address.objectId) || !is_ours(&address))
		return;
	/* a constraint of a domain belongs to the domain's owner */
	check_object_ownership(GetUserId(), type == OBJECT_DOMCONSTRAINT ? OBJECT_DOMAIN : type, address, object, NULL);
}

/* The address of a named object. Its object id is invalid if there is none, or if the extension has no objects of the kind. */
static ObjectAddress
find_object(ObjectType type, Node *object)
{
	ObjectAddress address = InvalidObjectAddress;

	switch (type)
	{
		case OBJECT_EXTENSION:
			ObjectAddressSet(address, ExtensionRelationId, get_extension_oid(strVal(object), true));
			break;
		case OBJECT_SCHEMA:
			ObjectAddressSet(address, NamespaceRelationId, get_namespace_oid(strVal(object), true));
			break;
		case OBJECT_EVENT_TRIGGER:
			ObjectAddressSet(address, EventTriggerRelationId, get_event_trigger_oid(strVal(object), true));
			break;
		case OBJECT_AGGREGATE:
		case OBJECT_FUNCTION:
		case OBJECT_PROCEDURE:
		case OBJECT_ROUTINE:
			ObjectAddressSet(address, ProcedureRelationId, LookupFuncWithArgs(type, castNode(ObjectWithArgs, object), true));
			break;
		case OBJECT_DOMAIN:
		case OBJECT_TYPE:
			ObjectAddressSet(address, TypeRelationId, find_type(object));
			break;
		case OBJECT_DOMCONSTRAINT:
			/* RENAME gives the name of the domain alone */
			ObjectAddressSet(address, TypeRelationId,
							 find_type(IsA(linitial(castNode(List, object)), TypeName) ? linitial((List *) object) : object));
			break;
		default:
			break;
	}
	return address;
}

/* The schema of that name. Some commands give the name as a list. */
static Oid
find_type(Node *name)
{
	return LookupTypeNameOid(NULL, IsA(name, List) ? makeTypeNameFromNameList((List *) name) : castNode(TypeName, name), true);
}

/* Is it the extension, a member of it, or the type of one of its relations? Such a type is no member itself. */
static bool
is_ours(const ObjectAddress *address)
{
	Oid extension = OutboxExtensionOid(true);

	if (!OidIsValid(extension))
		return false;
	if (address->classId == ExtensionRelationId)
		return address->objectId == extension;
	if (address->classId == TypeRelationId && is_in_our_schemas(address->objectId))
		return true;
	return getExtensionOfObject(address->classId, address->objectId) == extension;
}

static bool
is_in_our_schemas(Oid type)
{
	HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	Oid schema;

	if (!HeapTupleIsValid(tuple))
		return false;
	schema = ((Form_pg_type) GETSTRUCT(tuple))->typnamespace;
	ReleaseSysCache(tuple);
	return schema == get_namespace_oid(OUTBOX_SCHEMA, true) || schema == get_namespace_oid(OUTBOX_INTERNAL_SCHEMA, true);
}
