/*-------------------------------------------------------------------------
 *
 * row_types.c
 *	  The types behind a contract's columns and expressions.
 *
 * ALTER TYPE ... ADD ATTRIBUTE changes neither the view nor any expression. Only an
 * invalidation of the type's own relation shows that the encoder is outdated. When
 * a domain inside an array or a row gets a check, printing and reading its values
 * runs other code. The plan cache does not notice that: it follows only domains that
 * an expression casts to. So all types are noted with all types that they contain.
 * They are read from the catalog alone, because others may have their tables locked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_range.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/plannodes.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "compat.h"
#include "contract/view/view_private.h"

static bool add_types(Node *node, void *types);
static bool has_type(Node *node);
static void add_type(OutboxRowTypes *types, Oid type);
static void add_members(OutboxRowTypes *types, Form_pg_type type);
static void add_attributes(OutboxRowTypes *types, Oid relation);
static Oid range_subtype(Oid range);

/* Adds the types of all columns, with all types that they contain. Takes no lock. */
void
OutboxAddRowTypes(OutboxRowTypes *types, TupleDesc desc)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped)
			add_type(types, attribute->atttypid);
	}
}

/* Adds the types of all parts of a planned expression, with all types that they contain. Takes no lock. */
void
OutboxAddExpressionTypes(OutboxRowTypes *types, Node *expression)
{
	(void) add_types(expression, types);
}

static bool
add_types(Node *node, void *types)
{
	if (node == NULL)
		return false;
	if (has_type(node))
		add_type(types, exprType(node));
	return expression_tree_walker(node, add_types, types);
}

/* Has the node a type? exprType() raises for others. Nodes that are left out have a type of PostgreSQL's own, or that of an argument. */
static bool
has_type(Node *node)
{
	List *values;

	switch (nodeTag(node))
	{
		case T_Var:
		case T_Const:
		case T_Param:
		case T_SubscriptingRef:
		case T_FuncExpr:
		case T_OpExpr:
		case T_NullIfExpr:
		case T_FieldSelect:
		case T_FieldStore:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_ArrayCoerceExpr:
		case T_ConvertRowtypeExpr:
		case T_CaseExpr:
		case T_CaseTestExpr:
		case T_ArrayExpr:
		case T_RowExpr:
		case T_CoalesceExpr:
		case T_MinMaxExpr:
		case T_CoerceToDomain:
		case T_CoerceToDomainValue:
			return true;
		default:
			return OutboxIsJsonExpression(node, &values);
	}
}

/* Adds a type and those that it contains. PostgreSQL's own types contain only such types. */
static void
add_type(OutboxRowTypes *types, Oid type)
{
	HeapTuple tuple;
	PlanInvalItem *item;

	check_stack_depth();
	if (type < FirstUnpinnedObjectId || list_member_oid(types->types, type))
		return;
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	if (!HeapTupleIsValid(tuple))
		return;
	types->types = lappend_oid(types->types, type);
	item = makeNode(PlanInvalItem);
	item->cacheId = TYPEOID;
	item->hashValue = GetSysCacheHashValue1(TYPEOID, ObjectIdGetDatum(type));
	types->objects = lappend(types->objects, item);
	add_members(types, (Form_pg_type) GETSTRUCT(tuple));
	ReleaseSysCache(tuple);
}

static void
add_members(OutboxRowTypes *types, Form_pg_type type)
{
	switch (type->typtype)
	{
		case TYPTYPE_DOMAIN: /* that below may be one again, with checks of its own */
			add_type(types, type->typbasetype);
			break;
		case TYPTYPE_COMPOSITE:
			types->relations = lappend_oid(types->relations, type->typrelid);
			add_attributes(types, type->typrelid);
			break;
		case TYPTYPE_RANGE:
			add_type(types, range_subtype(type->oid));
			break;
		case TYPTYPE_MULTIRANGE:
			add_type(types, get_multirange_range(type->oid));
			break;
		default:
			add_type(types, type->typelem);
			break;
	}
}

static void
add_attributes(OutboxRowTypes *types, Oid relation)
{
	CatCList *attributes = SearchSysCacheList1(ATTNUM, ObjectIdGetDatum(relation));

	for (int i = 0; i < attributes->n_members; i++)
	{
		Form_pg_attribute attribute = (Form_pg_attribute) GETSTRUCT(&attributes->members[i]->tuple);

		if (attribute->attnum > 0 && !attribute->attisdropped)
			add_type(types, attribute->atttypid);
	}
	ReleaseSysCacheList(attributes);
}

static Oid
range_subtype(Oid range)
{
	HeapTuple tuple = SearchSysCache1(RANGETYPE, ObjectIdGetDatum(range));
	Oid result = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		result = ((Form_pg_range) GETSTRUCT(tuple))->rngsubtype;
		ReleaseSysCache(tuple);
	}
	return result;
}
