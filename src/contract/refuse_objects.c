/*-------------------------------------------------------------------------
 *
 * refuse_objects.c
 *	  Commands of strangers on our extension, schemas, functions and event
 *	  triggers are refused before they lock anything.
 *
 * PostgreSQL locks an object first and asks for rights afterwards: DROP,
 * COMMENT, ALTER. While such a request waits, everybody waits behind it. And
 * DEPENDS ON EXTENSION asks for rights on what depends alone, and keeps an
 * exclusive lock on the extension until its transaction ends: no relay starts or
 * publishes meanwhile, and no partition of a source can be created.
 *
 * Objects are found by name, as refuse_ddl.c does it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "commands/event_trigger.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parse_func.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/refuse_objects.h"

static void look_at_name(ObjectType type, Node *object);
static const char *name_of(Node *object);
static void look_at_extension(const char *name);
static bool is_ours(ObjectType type, Node *object);
static bool is_our_schema(const char *name);
static const char *schema_of(const List *names);
static bool is_our_function(ObjectType type, ObjectWithArgs *name);
static bool is_our_type(const List *names);
static void refuse_strangers(ObjectType type, const char *name);

void
OutboxRefuseOnObjects(const Node *stmt)
{
	ListCell *lc;

	switch (nodeTag(stmt))
	{
		case T_AlterObjectDependsStmt:
			look_at_extension(strVal(((const AlterObjectDependsStmt *) stmt)->extname));
			look_at_name(((const AlterObjectDependsStmt *) stmt)->objectType, ((const AlterObjectDependsStmt *) stmt)->object);
			break;
		case T_AlterExtensionStmt:
			look_at_extension(((const AlterExtensionStmt *) stmt)->extname);
			break;
		case T_AlterExtensionContentsStmt:
			look_at_extension(((const AlterExtensionContentsStmt *) stmt)->extname);
			look_at_name(((const AlterExtensionContentsStmt *) stmt)->objtype, ((const AlterExtensionContentsStmt *) stmt)->object);
			break;
		case T_DropStmt:
			foreach (lc, ((const DropStmt *) stmt)->objects)
				look_at_name(((const DropStmt *) stmt)->removeType, lfirst(lc));
			break;
		case T_CommentStmt:
			look_at_name(((const CommentStmt *) stmt)->objtype, ((const CommentStmt *) stmt)->object);
			break;
		case T_SecLabelStmt:
			look_at_name(((const SecLabelStmt *) stmt)->objtype, ((const SecLabelStmt *) stmt)->object);
			break;
		case T_AlterFunctionStmt:
			look_at_name(((const AlterFunctionStmt *) stmt)->objtype, (Node *) ((const AlterFunctionStmt *) stmt)->func);
			break;
		case T_RenameStmt:
			look_at_name(((const RenameStmt *) stmt)->renameType, ((const RenameStmt *) stmt)->object);
			break;
		case T_AlterObjectSchemaStmt:
			look_at_name(((const AlterObjectSchemaStmt *) stmt)->objectType, ((const AlterObjectSchemaStmt *) stmt)->object);
			break;
		case T_AlterOwnerStmt:
			look_at_name(((const AlterOwnerStmt *) stmt)->objectType, ((const AlterOwnerStmt *) stmt)->object);
			break;
		default:
			break;
	}
}

static void
look_at_name(ObjectType type, Node *object)
{
	if (object && is_ours(type, object))
		refuse_strangers(type, name_of(object));
}

static const char *
name_of(Node *object)
{
	switch (nodeTag(object))
	{
		case T_String:
			return strVal(object);
		case T_ObjectWithArgs:
			return NameListToString(((ObjectWithArgs *) object)->objname);
		case T_TypeName:
			return NameListToString(((TypeName *) object)->names);
		default:
			return NameListToString((List *) object);
	}
}

static void
look_at_extension(const char *name)
{
	if (strcmp(name, "outbox_ext") == 0)
		refuse_strangers(OBJECT_EXTENSION, name);
}

static bool
is_ours(ObjectType type, Node *object)
{
	switch (type)
	{
		case OBJECT_EXTENSION:
			return IsA(object, String) && strcmp(strVal(object), "outbox_ext") == 0;
		case OBJECT_SCHEMA:
			return IsA(object, String) && is_our_schema(strVal(object));
		case OBJECT_EVENT_TRIGGER:
			return IsA(object, String) && strncmp(strVal(object), "outbox_", strlen("outbox_")) == 0;
		case OBJECT_FUNCTION:
		case OBJECT_PROCEDURE:
		case OBJECT_ROUTINE:
		case OBJECT_AGGREGATE:
			return IsA(object, ObjectWithArgs) && is_our_function(type, (ObjectWithArgs *) object);
		case OBJECT_TYPE:
		case OBJECT_DOMAIN:
			return IsA(object, TypeName) ? is_our_type(((TypeName *) object)->names) : IsA(object, List) && is_our_type((List *) object);
		default:
			return false;
	}
}

static bool
is_our_schema(const char *name)
{
	return strcmp(name, OUTBOX_SCHEMA) == 0 || strcmp(name, OUTBOX_INTERNAL_SCHEMA) == 0;
}

/* The schema that a name has, or NULL. */
static const char *
schema_of(const List *names)
{
	return list_length(names) > 1 ? strVal(list_nth(names, list_length(names) - 2)) : NULL;
}

/* One without a schema is looked for where the server will. */
static bool
is_our_function(ObjectType type, ObjectWithArgs *name)
{
	const char *schema = schema_of(name->objname);
	Oid function = schema ? InvalidOid : LookupFuncWithArgs(type, name, true);

	if (schema == NULL)
		schema = OidIsValid(function) ? get_namespace_name(get_func_namespace(function)) : NULL;
	return schema && is_our_schema(schema);
}

static bool
is_our_type(const List *names)
{
	const char *schema = schema_of(names);

	return schema && is_our_schema(schema);
}

static void
refuse_strangers(ObjectType type, const char *name)
{
	Oid extension = OutboxExtensionOid(true);

	if (OidIsValid(extension) && !has_privs_of_role(GetUserId(), OutboxOwner()))
		aclcheck_error(ACLCHECK_NOT_OWNER, type, name);
}
