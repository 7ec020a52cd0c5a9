/*-------------------------------------------------------------------------
 *
 * type_shape_compound.c
 *	  Shapes of types that consist of named parts or items: enums, composites,
 *	  arrays.
 *
 * When the schema is pinned, only labels and attributes of the schema count: one
 * that was added later must not fail events that do without it. Names and comments
 * are the schema's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_type.h"
#include "commands/comment.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "avro/types/type_shape_walk.h"

static int
compare_labels(const void *a, const void *b)
{
	float4 x = ((const OutboxShapeLabel *) a)->sort_order;
	float4 y = ((const OutboxShapeLabel *) b)->sort_order;

	return x < y ? -1 : x > y ? 1
							  : 0;
}

static void
read_labels(OutboxShape *shape)
{
	CatCList *list = SearchSysCacheList1(ENUMTYPOIDNAME, ObjectIdGetDatum(shape->type));
	int i;

	shape->nlabels = list->n_members;
	shape->labels = palloc0(sizeof(OutboxShapeLabel) * Max(list->n_members, 1));
	for (i = 0; i < list->n_members; i++)
	{
		Form_pg_enum row = (Form_pg_enum) GETSTRUCT(&list->members[i]->tuple);

		shape->labels[i].oid = row->oid;
		shape->labels[i].sort_order = row->enumsortorder;
		shape->labels[i].name = pstrdup(NameStr(row->enumlabel));
	}
	ReleaseSysCacheList(list);
	qsort(shape->labels, shape->nlabels, sizeof(OutboxShapeLabel), compare_labels);
}

/* The name of an enum or composite type becomes a name in the schema. */
static bool
name_type(OutboxShapeWalk *walk, const char *path, OutboxShape *shape)
{
	HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(shape->type));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", shape->type);
	shape->name = pstrdup(NameStr(((Form_pg_type) GETSTRUCT(tuple))->typname));
	ReleaseSysCache(tuple);
	if (walk->is_pinned || AvroIsName(shape->name, strlen(shape->name)))
		return true;
	OutboxShapeRefuse(walk, ERRCODE_INVALID_NAME,
					  psprintf("%s has type %s, whose name Avro does not allow",
							   OutboxShapeColumnWords(walk->relation, path), format_type_be(shape->type)),
					  pstrdup("Names consist of letters, digits and underscores and do not start with a digit."),
					  pstrdup("Rename the type, or build the value with a type or view of a plain name."));
	return false;
}

OutboxShape *
OutboxShapeEnum(OutboxShapeWalk *walk, const char *path, OutboxShape *shape)
{
	const char *alias = OutboxShapeColumnAlias(path);
	int i;

	if (!name_type(walk, path, shape))
		return NULL;
	read_labels(shape);
	if (walk->is_pinned)
		return shape;
	shape->doc = GetComment(shape->type, TypeRelationId, 0);
	if (shape->nlabels == 0)
		return OutboxShapeRefuseType(walk, path, shape->type,
									 pstrdup("The enum has no labels."),
									 psprintf("Cast it to text: (...)::text%s AS %s.", walk->suffix, alias));
	for (i = 0; i < shape->nlabels; i++)
	{
		if (!AvroIsName(shape->labels[i].name, strlen(shape->labels[i].name)))
			return OutboxShapeRefuse(walk, ERRCODE_INVALID_NAME,
									 psprintf("%s has type %s, whose label \"%s\" Avro does not allow",
											  OutboxShapeColumnWords(walk->relation, path),
											  format_type_be(shape->type), shape->labels[i].name),
									 pstrdup("Labels consist of letters, digits and underscores and do not start with a digit."),
									 psprintf("Cast it to text: (...)::text%s AS %s.", walk->suffix, alias));
	}
	return shape;
}

/* The schema of the values of a field: without its union with null. */
const AvroNode *
OutboxShapePinnedValue(const AvroNode *node)
{
	if (node->kind != AVRO_KIND_UNION || node->count != 2)
		return node;
	return node->branches[node->branches[0]->kind == AVRO_KIND_NULL ? 1 : 0];
}

/* The pinned schema of an attribute, or NULL: its record does not have it. */
static const AvroNode *
pinned_member(const AvroNode *record, const char *name)
{
	int i;

	if (record == NULL || record->kind != AVRO_KIND_RECORD)
		return NULL;
	for (i = 0; i < record->count; i++)
	{
		if (strcmp(record->fields[i].name, name) == 0)
			return OutboxShapePinnedValue(record->fields[i].type);
	}
	return NULL;
}

/* False when the attribute has no shape; one that the pinned record does not have is left out. */
static bool
add_attribute(OutboxShapeWalk *walk, const char *path, OutboxShape *shape, Form_pg_attribute att)
{
	OutboxShapeField *field = &shape->fields[shape->nfields];
	const AvroNode *record = walk->pinned;
	const AvroNode *member = pinned_member(record, NameStr(att->attname));

	if (walk->is_pinned && member == NULL)
		return true;
	if (!walk->is_pinned && !OutboxShapeCheckName(walk->relation, path, walk->refusal))
		return false;
	field->name = pstrdup(NameStr(att->attname));
	field->attnum = att->attnum;
	if (!walk->is_pinned)
		field->doc = GetComment(get_typ_typrelid(shape->type), RelationRelationId, att->attnum);
	walk->pinned = member;
	field->shape = OutboxShapeOfType(walk, path, att->atttypid, att->atttypmod);
	walk->pinned = record;
	if (field->shape == NULL)
		return false;
	shape->nfields++;
	return true;
}

OutboxShape *
OutboxShapeComposite(OutboxShapeWalk *walk, const char *path, OutboxShape *shape)
{
	Oid relid = get_typ_typrelid(shape->type);
	int i;

	if (!name_type(walk, path, shape))
		return NULL;
	walk->suffix = "";
	shape->tupdesc = lookup_rowtype_tupdesc_copy(shape->type, -1);
	if (!walk->is_pinned)
	{
		shape->doc = GetComment(relid, RelationRelationId, 0);
		if (shape->doc == NULL)
			shape->doc = GetComment(shape->type, TypeRelationId, 0);
	}
	shape->fields = palloc0(sizeof(OutboxShapeField) * Max(shape->tupdesc->natts, 1));
	for (i = 0; i < shape->tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(shape->tupdesc, i);

		if (!att->attisdropped &&
			!add_attribute(walk, psprintf("%s.%s", path, NameStr(att->attname)), shape, att))
			return NULL;
	}
	return shape;
}

OutboxShape *
OutboxShapeArray(OutboxShapeWalk *walk, const char *path, OutboxShape *shape, Oid element, int32 typmod)
{
	const char *suffix = walk->suffix;
	const AvroNode *array = walk->pinned;

	shape->kind = SHAPE_ARRAY;
	walk->suffix = "[]";
	if (array != NULL)
		walk->pinned = array->kind == AVRO_KIND_ARRAY ? OutboxShapePinnedValue(array->items) : NULL;
	shape->element = OutboxShapeOfType(walk, path, element, typmod);
	walk->suffix = suffix;
	walk->pinned = array;
	return shape->element != NULL ? shape : NULL;
}
