/*-------------------------------------------------------------------------
 *
 * type_shape.c
 *	  The type map from PostgreSQL to Avro.
 *
 * Types that a consumer could misread are refused: a timestamp without a zone, a
 * numeric whose precision is unknown, names Avro does not allow.  Each refusal
 * names the view and the column and prints the cast that helps.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "avro/schema/schema_model.h"
#include "avro/types/type_shape_walk.h"
#include "catalog/outbox_catalog.h"

/* Composites and arrays inside one another. */
#define MAX_SHAPE_DEPTH 16

/* The column as messages name it. */
char *
OutboxShapeColumnWords(const char *relation, const char *path)
{
	if (relation == NULL)
		return psprintf("column \"%s\"", path);
	return psprintf("column \"%s\" of view \"%s\"", path, relation);
}

/* The last part of a path, as it would stand behind AS. */
const char *
OutboxShapeColumnAlias(const char *path)
{
	const char *dot = strrchr(path, '.');

	return quote_identifier(dot != NULL ? dot + 1 : path);
}

OutboxShape *
OutboxShapeRefuse(OutboxShapeWalk *walk, int sqlerrcode, char *message, char *detail, char *hint)
{
	walk->refusal->sqlerrcode = sqlerrcode;
	walk->refusal->message = message;
	walk->refusal->detail = detail;
	walk->refusal->hint = hint;
	return NULL;
}

OutboxShape *
OutboxShapeRefuseType(OutboxShapeWalk *walk, const char *path, Oid type, char *detail, char *hint)
{
	return OutboxShapeRefuse(walk, ERRCODE_FEATURE_NOT_SUPPORTED,
							 psprintf("%s has type %s, which an event cannot carry",
									  OutboxShapeColumnWords(walk->relation, path), format_type_be(type)),
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
shape_of_numeric(OutboxShapeWalk *walk, const char *path, OutboxShape *shape, int32 typmod)
{
	const char *alias = OutboxShapeColumnAlias(path);

	if (typmod < (int32) VARHDRSZ)
		return OutboxShapeRefuse(walk, ERRCODE_FEATURE_NOT_SUPPORTED,
								 psprintf("%s has type numeric without precision and scale",
										  OutboxShapeColumnWords(walk->relation, path)),
								 pstrdup("An Avro decimal needs both; they get lost in sum(), round(), coalesce() with a bare constant and CASE without ELSE."),
								 psprintf("Cast the whole expression, for example (...)::numeric(18,2)%s AS %s.",
										  walk->suffix, alias));
	shape->precision = ((typmod - VARHDRSZ) >> 16) & 0xffff;
	shape->scale = (((typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024;
	if (shape->scale < 0 || shape->scale > shape->precision)
		return OutboxShapeRefuse(walk, ERRCODE_FEATURE_NOT_SUPPORTED,
								 psprintf("%s has type numeric(%d,%d), which an event cannot carry",
										  OutboxShapeColumnWords(walk->relation, path), shape->precision, shape->scale),
								 pstrdup("The scale of an Avro decimal lies between 0 and its precision."),
								 psprintf("Cast it, for example (...)::numeric(%d,%d)%s AS %s.",
										  shape->scale < 0 ? Min(shape->precision - shape->scale, 1000) : shape->scale,
										  Max(shape->scale, 0), walk->suffix, alias));
	return shape;
}

/* Types outside the table: arrays, enums, composites, citext, and scalars that travel as text. */
static OutboxShape *
shape_of_other(OutboxShapeWalk *walk, const char *path, OutboxShape *shape, int32 typmod)
{
	const char *alias = OutboxShapeColumnAlias(path);
	Oid element = get_element_type(shape->type);

	if (OidIsValid(element))
		return OutboxShapeArray(walk, path, shape, element, typmod);
	if (shape->type == TIMESTAMPOID)
		return OutboxShapeRefuseType(walk, path, shape->type,
									 pstrdup("Without a time zone it does not say which instant it means."),
									 walk->suffix[0] == '\0' ? psprintf("Name the zone it was recorded in, for example (...) AT TIME ZONE 'America/New_York' AS %s.", alias) : psprintf("Name the zone of the elements, for example ARRAY(SELECT t AT TIME ZONE 'America/New_York' FROM unnest(...) AS t) AS %s.", alias));
	if (shape->type == CASHOID)
		return OutboxShapeRefuseType(walk, path, shape->type,
									 pstrdup("Its text and its number of decimals depend on lc_monetary."),
									 psprintf("Cast it: (...)::numeric(18,2)%s AS %s.", walk->suffix, alias));
	if (shape->type == TSVECTOROID)
		return OutboxShapeRefuseType(walk, path, shape->type,
									 pstrdup("It is an index of a text, not data."),
									 psprintf("Leave it out of the view, or cast it: (...)::text%s AS %s.",
											  walk->suffix, alias));
	switch (get_typtype(shape->type))
	{
		case TYPTYPE_ENUM:
			shape->kind = SHAPE_ENUM;
			return OutboxShapeEnum(walk, path, shape);
		case TYPTYPE_COMPOSITE:
			shape->kind = SHAPE_COMPOSITE;
			return OutboxShapeComposite(walk, path, shape);
		case TYPTYPE_PSEUDO:
			if (shape->type == RECORDOID || shape->type == RECORDARRAYOID)
				return OutboxShapeRefuseType(walk, path, shape->type,
											 pstrdup("The fields of a row without a type have no names."),
											 psprintf("Cast it to a composite type: ROW(...)::some_type AS %s.", alias));
			return OutboxShapeRefuseType(walk, path, shape->type,
										 pstrdup("It is a pseudo-type."),
										 psprintf("Leave it out of the view, or cast it: (...)::text%s AS %s.",
												  walk->suffix, alias));
		default:
			break;
	}
	if (get_typlen(shape->type) == -1 && IsBinaryCoercible(shape->type, TEXTOID))
		shape->kind = SHAPE_TEXT;
	else
		shape->kind = SHAPE_OUTPUT;
	return shape;
}

OutboxShape *
OutboxShapeOfType(OutboxShapeWalk *walk, const char *path, Oid type, int32 typmod)
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
		return shape->kind == SHAPE_NUMERIC ? shape_of_numeric(walk, path, shape, typmod) : shape;
	if (walk->depth >= MAX_SHAPE_DEPTH)
		return OutboxShapeRefuse(walk, ERRCODE_STATEMENT_TOO_COMPLEX,
								 psprintf("%s is nested deeper than %d types",
										  OutboxShapeColumnWords(walk->relation, path), MAX_SHAPE_DEPTH),
								 NULL,
								 pstrdup("Flatten the nested rows in the view."));
	walk->depth++;
	result = shape_of_other(walk, path, shape, typmod);
	walk->depth--;
	return result;
}

OutboxShape *
OutboxShapeOf(const char *relation, const char *column, Oid type, int32 typmod, OutboxRefusal *refusal)
{
	OutboxShapeWalk walk = {.relation = relation, .refusal = refusal, .suffix = ""};

	return OutboxShapeOfType(&walk, column, type, typmod);
}

OutboxShape *
OutboxShapeOfPinned(const char *column, Oid type, int32 typmod, const AvroNode *pinned, OutboxRefusal *refusal)
{
	OutboxShapeWalk walk = {.refusal = refusal, .suffix = "", .is_pinned = true, .pinned = OutboxShapePinnedValue(pinned)};

	return OutboxShapeOfType(&walk, column, type, typmod);
}

bool
OutboxShapeCheckName(const char *relation, const char *column, OutboxRefusal *refusal)
{
	OutboxShapeWalk walk = {.relation = relation, .refusal = refusal};
	const char *dot = strrchr(column, '.');
	const char *name = dot != NULL ? dot + 1 : column;

	if (AvroIsName(name, strlen(name)))
		return true;
	OutboxShapeRefuse(&walk, ERRCODE_INVALID_NAME,
					  psprintf("%s has a name that Avro does not allow", OutboxShapeColumnWords(relation, column)),
					  pstrdup("Names consist of letters, digits and underscores and do not start with a digit."),
					  pstrdup("Give the column another name in the view, with AS."));
	return false;
}
