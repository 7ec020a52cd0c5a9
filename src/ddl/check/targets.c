/*-------------------------------------------------------------------------
 *
 * targets.c
 *	  Which objects a command changes, by its parse tree.
 *
 * Names are looked up before the command runs, without locks: an object that is not
 * there yet cannot matter to a live contract. A name that may denote several
 * functions denotes all of them. Too many objects cost time only, because the
 * result is judged.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/value.h"
#include "parser/parse_type.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "ddl/check/check_private.h"

/* An object of a DROP that is looked up by PostgreSQL itself. */
typedef struct Lookup
{
	ObjectType type;
	Node *object;
	ObjectAddress address;
} Lookup;

static void find_altered(const AlterTableStmt *stmt, OutboxDdlTargets *targets);
static bool only_partitions(const AlterTableStmt *stmt);
static void find_renamed(const RenameStmt *stmt, OutboxDdlTargets *targets);
static void find_moved(const AlterObjectSchemaStmt *stmt, OutboxDdlTargets *targets);
static void find_dropped(const DropStmt *stmt, OutboxDdlTargets *targets);
static void find_dropped_object(const DropStmt *stmt, Node *object, OutboxDdlTargets *targets);
static void find_revoked(const GrantStmt *stmt, OutboxDdlTargets *targets);
static void find_owned(const AlterOwnerStmt *stmt, OutboxDdlTargets *targets);
static void lookup_step(void *arg);
static void add_object(OutboxDdlTargets *targets, Oid class, Oid object);
static void add_name(OutboxDdlTargets *targets, const char *name);
static void note_first(OutboxDdlTargets *targets, const char *name);
static void add_relation(OutboxDdlTargets *targets, const RangeVar *name);
static void add_type(OutboxDdlTargets *targets, TypeName *name);
static void add_type_list(OutboxDdlTargets *targets, List *name);
static void add_functions(OutboxDdlTargets *targets, Node *object);
static void add_function_names(OutboxDdlTargets *targets, List *name);
static void add_schema(OutboxDdlTargets *targets, const char *name);
static bool is_function(ObjectType type);

/* False: the command makes something new, or gives rights, and changes nothing that is there. Looks nothing up. */
bool
OutboxMayHaveTargets(const Node *parsetree)
{
	switch (nodeTag(parsetree))
	{
		case T_ViewStmt:
			return ((const ViewStmt *) parsetree)->replace;
		case T_CreateFunctionStmt:
			return ((const CreateFunctionStmt *) parsetree)->replace;
		case T_RuleStmt:
			return ((const RuleStmt *) parsetree)->replace;
		case T_GrantStmt:
			return !((const GrantStmt *) parsetree)->is_grant;
		default:
			return true;
	}
}

/* Adds the objects that the command may change, where OutboxMayHaveTargets(). Zero before. May raise. */
void
OutboxFindTargets(const Node *parsetree, OutboxDdlTargets *targets)
{
	switch (nodeTag(parsetree))
	{
		case T_AlterTableStmt:
			find_altered((const AlterTableStmt *) parsetree, targets);
			break;
		case T_RenameStmt:
			find_renamed((const RenameStmt *) parsetree, targets);
			break;
		case T_AlterObjectSchemaStmt:
			find_moved((const AlterObjectSchemaStmt *) parsetree, targets);
			break;
		case T_AlterOwnerStmt:
			find_owned((const AlterOwnerStmt *) parsetree, targets);
			break;
		case T_AlterEnumStmt:
			add_type_list(targets, ((const AlterEnumStmt *) parsetree)->typeName);
			break;
		case T_AlterDomainStmt:
			add_type_list(targets, ((const AlterDomainStmt *) parsetree)->typeName);
			break;
		case T_AlterTypeStmt:
			add_type_list(targets, ((const AlterTypeStmt *) parsetree)->typeName);
			break;
		case T_AlterFunctionStmt:
			add_functions(targets, (Node *) ((const AlterFunctionStmt *) parsetree)->func);
			break;
		case T_CreateFunctionStmt:
			add_function_names(targets, ((const CreateFunctionStmt *) parsetree)->funcname);
			break;
		case T_ViewStmt:
			add_relation(targets, ((const ViewStmt *) parsetree)->view);
			break;
		case T_RuleStmt:
			add_relation(targets, ((const RuleStmt *) parsetree)->relation);
			break;
		case T_DropStmt:
			find_dropped((const DropStmt *) parsetree, targets);
			break;
		case T_DropOwnedStmt:
			targets->all = true;
			break;
		case T_GrantStmt:
			find_revoked((const GrantStmt *) parsetree, targets);
			break;
		default:
			break;
	}
}

/* ALTER TABLE, INDEX, VIEW, and TYPE of a composite type. */
static void
find_altered(const AlterTableStmt *stmt, OutboxDdlTargets *targets)
{
	/* partition_ddl.c watches partitions that come and go */
	if (!only_partitions(stmt))
		add_relation(targets, stmt->relation);
}

static bool
only_partitions(const AlterTableStmt *stmt)
{
	AlterTableType type = linitial_node(AlterTableCmd, stmt->cmds)->subtype;

	return type == AT_AttachPartition || type == AT_DetachPartition || type == AT_DetachPartitionFinalize;
}

static void
find_renamed(const RenameStmt *stmt, OutboxDdlTargets *targets)
{
	if (stmt->relation)
	{
		Oid relation = RangeVarGetRelid(stmt->relation, NoLock, true);

		/* ALTER INDEX renames tables, too */
		if (stmt->renameType == OBJECT_TABLE || stmt->renameType == OBJECT_INDEX)
			targets->renamed = relation;
		add_relation(targets, stmt->relation);
	}
	else if (is_function(stmt->renameType))
		add_functions(targets, stmt->object);
	else if (stmt->renameType == OBJECT_TYPE || stmt->renameType == OBJECT_DOMAIN)
		add_type_list(targets, castNode(List, stmt->object));
	else if (stmt->renameType == OBJECT_SCHEMA)
		add_name(targets, stmt->subname);
}

static void
find_moved(const AlterObjectSchemaStmt *stmt, OutboxDdlTargets *targets)
{
	if (stmt->relation)
	{
		targets->renamed = RangeVarGetRelid(stmt->relation, NoLock, true);
		add_relation(targets, stmt->relation);
	}
	else if (is_function(stmt->objectType))
		add_functions(targets, stmt->object);
	else if (stmt->objectType == OBJECT_TYPE || stmt->objectType == OBJECT_DOMAIN)
		add_type_list(targets, castNode(List, stmt->object));
}

static void
find_owned(const AlterOwnerStmt *stmt, OutboxDdlTargets *targets)
{
	if (is_function(stmt->objectType))
		add_functions(targets, stmt->object);
	else if (stmt->objectType == OBJECT_TYPE || stmt->objectType == OBJECT_DOMAIN)
		add_type_list(targets, castNode(List, stmt->object));
}

static void
find_dropped(const DropStmt *stmt, OutboxDdlTargets *targets)
{
	ListCell *lc;

	foreach (lc, stmt->objects)
		find_dropped_object(stmt, lfirst(lc), targets);
}

static void
find_dropped_object(const DropStmt *stmt, Node *object, OutboxDdlTargets *targets)
{
	Lookup lookup = {.type = stmt->removeType, .object = object};
	Oid index;

	switch (stmt->removeType)
	{
		case OBJECT_TABLE:
		case OBJECT_FOREIGN_TABLE:
		case OBJECT_VIEW:
		case OBJECT_MATVIEW:
		case OBJECT_SEQUENCE:
			add_relation(targets, makeRangeVarFromNameList(castNode(List, object)));
			break;
		case OBJECT_INDEX:
			index = RangeVarGetRelid(makeRangeVarFromNameList(castNode(List, object)), NoLock, true);
			if (OidIsValid(index))
				add_object(targets, RelationRelationId, IndexGetRelation(index, true));
			break;
		case OBJECT_TYPE:
		case OBJECT_DOMAIN:
			add_type(targets, castNode(TypeName, object));
			break;
		case OBJECT_SCHEMA:
			add_schema(targets, strVal(object));
			break;
		case OBJECT_RULE:
		case OBJECT_TRIGGER:
		case OBJECT_POLICY:
			break;
		default:
			if (is_function(stmt->removeType))
				add_functions(targets, object);
			else if (stmt->behavior != DROP_CASCADE && stmt->removeType != OBJECT_OPERATOR)
				break;
			/* it must lock what it finds: no longer than this, or two DROPs of one object would wait for each other */
			else if (OutboxCatchAndUndo(lookup_step, &lookup, CurrentMemoryContext) == NULL && OidIsValid(lookup.address.objectId))
				add_object(targets, lookup.address.classId, lookup.address.objectId);
			if (IsA(object, ObjectWithArgs) && stmt->removeType == OBJECT_OPERATOR)
				add_name(targets, strVal(llast(castNode(ObjectWithArgs, object)->objname)));
			break;
	}
}

static void
lookup_step(void *arg)
{
	Lookup *lookup = arg;
	Relation rel = NULL;

	lookup->address = get_object_address(lookup->type, lookup->object, &rel, AccessShareLock, true);
}

static void
find_revoked(const GrantStmt *stmt, OutboxDdlTargets *targets)
{
	ListCell *lc;

	foreach (lc, stmt->objects)
	{
		if (stmt->targtype == ACL_TARGET_ALL_IN_SCHEMA)
			add_schema(targets, strVal(lfirst(lc)));
		else if (stmt->targtype != ACL_TARGET_OBJECT)
			continue;
		else if (stmt->objtype == OBJECT_TABLE)
			add_relation(targets, lfirst(lc));
		else if (is_function(stmt->objtype))
			add_functions(targets, lfirst(lc));
		/* the view has found what it reads; a text looks for it by name, time and again */
		else if (stmt->objtype == OBJECT_SCHEMA)
			add_name(targets, strVal(lfirst(lc)));
	}
}

static void
add_object(OutboxDdlTargets *targets, Oid class, Oid object)
{
	ObjectAddress *address = palloc(sizeof(ObjectAddress));

	ObjectAddressSet(*address, class, object);
	targets->objects = lappend(targets->objects, address);
}

static void
add_name(OutboxDdlTargets *targets, const char *name)
{
	targets->names = lappend(targets->names, pstrdup(name));
	note_first(targets, name);
}

static void
note_first(OutboxDdlTargets *targets, const char *name)
{
	if (targets->first == NULL)
		targets->first = pstrdup(name);
}

static void
add_relation(OutboxDdlTargets *targets, const RangeVar *name)
{
	Oid relation = RangeVarGetRelid(name, NoLock, true);

	if (!OidIsValid(relation))
		return;
	add_object(targets, RelationRelationId, relation);
	note_first(targets, name->relname);
}

static void
add_type(OutboxDdlTargets *targets, TypeName *name)
{
	Type type = LookupTypeName(NULL, name, NULL, true);

	if (type == NULL)
		return;
	add_object(targets, TypeRelationId, typeTypeId(type));
	add_name(targets, NameStr(((Form_pg_type) GETSTRUCT(type))->typname));
	ReleaseSysCache(type);
}

static void
add_type_list(OutboxDdlTargets *targets, List *name)
{
	add_type(targets, makeTypeNameFromNameList(name));
}

static void
add_functions(OutboxDdlTargets *targets, Node *object)
{
	add_function_names(targets, castNode(ObjectWithArgs, object)->objname);
}

static void
add_function_names(OutboxDdlTargets *targets, List *name)
{
	char *schema;
	char *function;
	Oid namespace;
	CatCList *found;

	DeconstructQualifiedName(name, &schema, &function);
	namespace = schema ? get_namespace_oid(schema, true) : InvalidOid;
	found = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(function));
	for (int i = 0; i < found->n_members; i++)
	{
		Form_pg_proc form = (Form_pg_proc) GETSTRUCT(&found->members[i]->tuple);

		if (schema == NULL || form->pronamespace == namespace)
			add_object(targets, ProcedureRelationId, form->oid);
	}
	if (found->n_members > 0)
		add_name(targets, function);
	ReleaseSysCacheList(found);
}

static void
add_schema(OutboxDdlTargets *targets, const char *name)
{
	Oid schema = get_namespace_oid(name, true);

	if (!OidIsValid(schema))
		return;
	add_object(targets, NamespaceRelationId, schema);
	add_name(targets, name);
}

static bool
is_function(ObjectType type)
{
	return type == OBJECT_FUNCTION || type == OBJECT_PROCEDURE || type == OBJECT_ROUTINE || type == OBJECT_AGGREGATE;
}
