/*-------------------------------------------------------------------------
 *
 * type_shape.c
 *	  The type map from PostgreSQL to Avro.
 *
 * Refused is whatever a consumer could misread: a timestamp without a zone, a
 * numeric whose precision is unknown, names Avro does not allow.  Each refusal
 * names the view and the column and prints the cast that helps.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_type.h"
#include "commands/comment.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "avro/schema_model.h"
#include "avro/type_shape.h"
#include "catalog/outbox_catalog.h"

/* Composites and arrays inside one another. */
#define MAX_SHAPE_DEPTH 16

typedef struct ShapeContext
{
	const char *relation; /* or NULL */
	OutboxRefusal *refusal;
	int depth;
	const char *suffix; /* of the casts in hints: "[]" inside an array */
} ShapeContext;

static OutboxShape *shape_of(ShapeContext *context, const char *path, Oid type, int32 typmod);

/* The column as messages name it. */
static char *
column_words(const char *relation, const char *path)
{
	if (relation == NULL)
		return psprintf("column \"%s\"", path);
	return psprintf("column \"%s\" of view \"%s\"", path, relation);
}

/* The last part of a path, as it would stand behind AS. */
static const char *
column_alias(const char *path)
{
	const char *dot = strrchr(path, '.');

	return quote_identifier(dot != NULL ? dot + 1 : path);
}

static OutboxShape *
refuse(ShapeContext *context, int sqlerrcode, char *message, char *detail, char *hint)
{
	context->refusal->sqlerrcode = sqlerrcode;
	context->refusal->message = message;
	context->refusal->detail = detail;
	context->refusal->hint = hint;
	return NULL;
}

static OutboxShape *
refuse_type(ShapeContext *context, const char *path, Oid type, char *detail, char *hint)
{
	return refuse(context, ERRCODE_FEATURE_NOT_SUPPORTED,
				  psprintf("%s has type %s, which an event cannot carry",
						   column_words(context->relation, path), format_type_be(type)),
				  detail, hint);
}

/* Types that are in the table of the type map by name. */
static bool
plain_kind(Oid type, OutboxShapeKind *kind)
{
	static const struct
	{
		Oid type;
		OutboxShapeKind kind;
	} map[] = {
		{BOOLOID, SHAPE_BOOL},
		{INT2OID, SHAPE_INT2},
		{INT4OID, SHAPE_INT4},
		{INT8OID, SHAPE_INT8},
		{FLOAT4OID, SHAPE_FLOAT4},
		{FLOAT8OID, SHAPE_FLOAT8},
		{TEXTOID, SHAPE_TEXT},
		{VARCHAROID, SHAPE_TEXT},
		{JSONOID, SHAPE_TEXT},
		{BPCHAROID, SHAPE_BPCHAR},
		{NAMEOID, SHAPE_NAME},
		{BYTEAOID, SHAPE_BYTEA},
		{NUMERICOID, SHAPE_NUMERIC},
		{DATEOID, SHAPE_DATE},
		{TIMEOID, SHAPE_TIME},
		{TIMESTAMPTZOID, SHAPE_TIMESTAMPTZ},
		{UUIDOID, SHAPE_UUID},
		{JSONBOID, SHAPE_JSONB},
	};
	int i;

	for (i = 0; i < lengthof(map); i++)
	{
		if (map[i].type == type)
		{
			*kind = map[i].kind;
			return true;
		}
	}
	return false;
}

/* Is the type outbox.string_map or a domain over it? */
static bool
is_string_map(Oid type)
{
	Oid space = get_namespace_oid(OUTBOX_SCHEMA, true);
	Oid string_map;

	if (!OidIsValid(space))
		return false;
	string_map = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
								 CStringGetDatum("string_map"), ObjectIdGetDatum(space));
	while (OidIsValid(string_map) && get_typtype(type) == TYPTYPE_DOMAIN)
	{
		HeapTuple tuple;

		if (type == string_map)
			return true;
		tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
		if (!HeapTupleIsValid(tuple))
			return false;
		type = ((Form_pg_type) GETSTRUCT(tuple))->typbasetype;
		ReleaseSysCache(tuple);
	}
	return false;
}

static OutboxShape *
shape_of_numeric(ShapeContext *context, const char *path, OutboxShape *shape, int32 typmod)
{
	const char *alias = column_alias(path);

	if (typmod < (int32) VARHDRSZ)
		return refuse(context, ERRCODE_FEATURE_NOT_SUPPORTED,
					  psprintf("%s has type numeric without precision and scale",
							   column_words(context->relation, path)),
					  pstrdup("An Avro decimal needs both; they get lost in sum(), round(), coalesce() with a bare constant and CASE without ELSE."),
					  psprintf("Cast the whole expression, for example (...)::numeric(18,2)%s AS %s.",
							   context->suffix, alias));
	shape->precision = ((typmod - VARHDRSZ) >> 16) & 0xffff;
	shape->scale = (((typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024;
	if (shape->scale < 0 || shape->scale > shape->precision)
		return refuse(context, ERRCODE_FEATURE_NOT_SUPPORTED,
					  psprintf("%s has type numeric(%d,%d), which an event cannot carry",
							   column_words(context->relation, path), shape->precision, shape->scale),
					  pstrdup("The scale of an Avro decimal lies between 0 and its precision."),
					  psprintf("Cast it, for example (...)::numeric(%d,%d)%s AS %s.",
							   shape->scale < 0 ? Min(shape->precision - shape->scale, 1000) : shape->scale,
							   Max(shape->scale, 0), context->suffix, alias));
	return shape;
}

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
name_type(ShapeContext *context, const char *path, OutboxShape *shape)
{
	HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(shape->type));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", shape->type);
	shape->name = pstrdup(NameStr(((Form_pg_type) GETSTRUCT(tuple))->typname));
	ReleaseSysCache(tuple);
	if (AvroIsName(shape->name, strlen(shape->name)))
		return true;
	refuse(context, ERRCODE_INVALID_NAME,
		   psprintf("%s has type %s, whose name Avro does not allow",
					column_words(context->relation, path), format_type_be(shape->type)),
		   pstrdup("Names consist of letters, digits and underscores and do not start with a digit."),
		   pstrdup("Rename the type, or build the value with a type or view of a plain name."));
	return false;
}

static OutboxShape *
shape_of_enum(ShapeContext *context, const char *path, OutboxShape *shape)
{
	const char *alias = column_alias(path);
	int i;

	if (!name_type(context, path, shape))
		return NULL;
	shape->doc = GetComment(shape->type, TypeRelationId, 0);
	read_labels(shape);
	if (shape->nlabels == 0)
		return refuse_type(context, path, shape->type,
						   pstrdup("The enum has no labels."),
						   psprintf("Cast it to text: (...)::text%s AS %s.", context->suffix, alias));
	for (i = 0; i < shape->nlabels; i++)
	{
		if (!AvroIsName(shape->labels[i].name, strlen(shape->labels[i].name)))
			return refuse(context, ERRCODE_INVALID_NAME,
						  psprintf("%s has type %s, whose label \"%s\" Avro does not allow",
								   column_words(context->relation, path),
								   format_type_be(shape->type), shape->labels[i].name),
						  pstrdup("Labels consist of letters, digits and underscores and do not start with a digit."),
						  psprintf("Cast it to text: (...)::text%s AS %s.", context->suffix, alias));
	}
	return shape;
}

static OutboxShape *
shape_of_composite(ShapeContext *context, const char *path, OutboxShape *shape)
{
	Oid relid = get_typ_typrelid(shape->type);
	int i;

	if (!name_type(context, path, shape))
		return NULL;
	context->suffix = "";
	shape->tupdesc = lookup_rowtype_tupdesc_copy(shape->type, -1);
	shape->doc = GetComment(relid, RelationRelationId, 0);
	if (shape->doc == NULL)
		shape->doc = GetComment(shape->type, TypeRelationId, 0);
	shape->fields = palloc0(sizeof(OutboxShapeField) * Max(shape->tupdesc->natts, 1));
	for (i = 0; i < shape->tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(shape->tupdesc, i);
		OutboxShapeField *field = &shape->fields[shape->nfields];

		if (att->attisdropped)
			continue;
		field->name = pstrdup(NameStr(att->attname));
		field->attnum = att->attnum;
		field->doc = GetComment(relid, RelationRelationId, att->attnum);
		if (!OutboxShapeCheckName(context->relation, psprintf("%s.%s", path, field->name), context->refusal))
			return NULL;
		field->shape = shape_of(context, psprintf("%s.%s", path, field->name), att->atttypid, att->atttypmod);
		if (field->shape == NULL)
			return NULL;
		shape->nfields++;
	}
	return shape;
}

/* Types outside the table: arrays, enums, composites, citext, and scalars that travel as text. */
static OutboxShape *
shape_of_other(ShapeContext *context, const char *path, OutboxShape *shape, int32 typmod)
{
	const char *alias = column_alias(path);
	Oid element = get_element_type(shape->type);

	if (OidIsValid(element))
	{
		const char *outer_suffix = context->suffix;

		shape->kind = SHAPE_ARRAY;
		context->suffix = "[]";
		shape->element = shape_of(context, path, element, typmod);
		context->suffix = outer_suffix;
		return shape->element != NULL ? shape : NULL;
	}
	if (shape->type == TIMESTAMPOID)
		return refuse_type(context, path, shape->type,
						   pstrdup("Without a time zone it does not say which instant it means."),
						   context->suffix[0] == '\0' ? psprintf("Name the zone it was recorded in, for example (...) AT TIME ZONE 'America/New_York' AS %s.", alias) : psprintf("Name the zone of the elements, for example ARRAY(SELECT t AT TIME ZONE 'America/New_York' FROM unnest(...) AS t) AS %s.", alias));
	if (shape->type == CASHOID)
		return refuse_type(context, path, shape->type,
						   pstrdup("Its text and its number of decimals depend on lc_monetary."),
						   psprintf("Cast it: (...)::numeric(18,2)%s AS %s.", context->suffix, alias));
	if (shape->type == TSVECTOROID)
		return refuse_type(context, path, shape->type,
						   pstrdup("It is an index of a text, not data."),
						   psprintf("Leave it out of the view, or cast it: (...)::text%s AS %s.",
									context->suffix, alias));
	switch (get_typtype(shape->type))
	{
		case TYPTYPE_ENUM:
			shape->kind = SHAPE_ENUM;
			return shape_of_enum(context, path, shape);
		case TYPTYPE_COMPOSITE:
			shape->kind = SHAPE_COMPOSITE;
			return shape_of_composite(context, path, shape);
		case TYPTYPE_PSEUDO:
			if (shape->type == RECORDOID || shape->type == RECORDARRAYOID)
				return refuse_type(context, path, shape->type,
								   pstrdup("The fields of a row without a type have no names."),
								   psprintf("Cast it to a composite type: ROW(...)::some_type AS %s.", alias));
			return refuse_type(context, path, shape->type,
							   pstrdup("It is a pseudo-type."),
							   psprintf("Leave it out of the view, or cast it: (...)::text%s AS %s.",
										context->suffix, alias));
		default:
			break;
	}
	if (get_typlen(shape->type) == -1 && IsBinaryCoercible(shape->type, TEXTOID))
		shape->kind = SHAPE_TEXT;
	else
		shape->kind = SHAPE_OUTPUT;
	return shape;
}

static OutboxShape *
shape_of(ShapeContext *context, const char *path, Oid type, int32 typmod)
{
	OutboxShape *shape = palloc0(sizeof(OutboxShape));
	OutboxShape *result;

	if (is_string_map(type))
	{
		shape->kind = SHAPE_STRING_MAP;
		shape->type = JSONBOID;
		return shape;
	}
	shape->type = getBaseTypeAndTypmod(type, &typmod);
	if (plain_kind(shape->type, &shape->kind))
		return shape->kind == SHAPE_NUMERIC ? shape_of_numeric(context, path, shape, typmod) : shape;
	if (context->depth >= MAX_SHAPE_DEPTH)
		return refuse(context, ERRCODE_STATEMENT_TOO_COMPLEX,
					  psprintf("%s is nested deeper than %d types",
							   column_words(context->relation, path), MAX_SHAPE_DEPTH),
					  NULL,
					  pstrdup("Flatten the nested rows in the view."));
	context->depth++;
	result = shape_of_other(context, path, shape, typmod);
	context->depth--;
	return result;
}

OutboxShape *
OutboxShapeOf(const char *relation, const char *column, Oid type, int32 typmod, OutboxRefusal *refusal)
{
	ShapeContext context = {.relation = relation, .refusal = refusal, .suffix = ""};

	return shape_of(&context, column, type, typmod);
}

bool
OutboxShapeCheckName(const char *relation, const char *column, OutboxRefusal *refusal)
{
	ShapeContext context = {.relation = relation, .refusal = refusal};
	const char *dot = strrchr(column, '.');
	const char *name = dot != NULL ? dot + 1 : column;

	if (AvroIsName(name, strlen(name)))
		return true;
	refuse(&context, ERRCODE_INVALID_NAME,
		   psprintf("%s has a name that Avro does not allow", column_words(relation, column)),
		   pstrdup("Names consist of letters, digits and underscores and do not start with a digit."),
		   pstrdup("Give the column another name in the view, with AS."));
	return false;
}
