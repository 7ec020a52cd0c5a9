/*-------------------------------------------------------------------------
 *
 * row_types.c
 *	  The composite types inside a contract's columns.
 *
 * ALTER TYPE ... ADD ATTRIBUTE changes neither the view nor any expression, so
 * nothing but the type's own relation tells that the encoder is outdated.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "contract/row_types.h"

static List *add_type(List *relations, Oid type);

List *
OutboxAddRowTypes(List *relations, TupleDesc desc)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped)
			relations = add_type(relations, attribute->atttypid);
	}
	return relations;
}

static List *
add_type(List *relations, Oid type)
{
	Oid base = getBaseType(type);
	Oid element = get_element_type(base);
	Oid relation;
	TupleDesc desc;

	check_stack_depth();
	if (OidIsValid(element))
		return add_type(relations, element);
	relation = get_typ_typrelid(base);
	if (!OidIsValid(relation) || list_member_oid(relations, relation))
		return relations;
	relations = lappend_oid(relations, relation);
	desc = lookup_rowtype_tupdesc_copy(base, -1);
	relations = OutboxAddRowTypes(relations, desc);
	FreeTupleDesc(desc);
	return relations;
}
