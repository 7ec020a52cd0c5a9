/*-------------------------------------------------------------------------
 *
 * letter_json.c
 *	  Rows as JSON that a person can read, and back.
 *
 * A dead letter keeps the row before, from which it is redriven, to the byte. So
 * json is kept as its text, which jsonb would change or refuse. Texts are cut only
 * where they are shown and never read back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"

#include "compat.h"
#include "letters/letters_private.h"

static void push_name(OutboxJsonbState *state, const char *name);
static void push_value(OutboxJsonbState *state, Oid type, Datum value, bool isnull, int max_bytes);
static void value_to_json(JsonbValue *json, Oid type, Datum value, int max_bytes);
static void text_to_json(JsonbValue *json, const char *text, int max_bytes);
static void jsonb_to_json(JsonbValue *json, Jsonb *value);
static bool is_nested(const Jsonb *value);
static Datum read_value(const char *text, Oid type, int32 typmod);
static char *member_text(const JsonbValue *value);

/*
 * Columns of a row as a jsonb object: booleans, integers and jsonb as such,
 * everything else as its text. Texts longer than max_bytes are cut and say so
 * (0: never; only then the object can be read back). `columns` are numbers
 * from 0. May raise: the types' output functions run, and an object has its limits.
 */
Jsonb *
OutboxColumnsToJsonb(TupleDesc desc, const Datum *values, const bool *isnull,
					 const int *columns, int ncolumns, int max_bytes)
{
	OutboxJsonbState state = {0};

	OutboxPushJsonb(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < ncolumns; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, columns[i]);

		push_name(&state, NameStr(attribute->attname));
		push_value(&state, attribute->atttypid, values[columns[i]], isnull[columns[i]], max_bytes);
	}
	OutboxPushJsonb(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(state.result);
}

/* Columns of a table's row, whole, under the names table.column. The row's columns are deformed. May raise. */
Jsonb *
OutboxTableColumnsToJsonb(const char *table, TupleTableSlot *row, const int *columns, int ncolumns)
{
	OutboxJsonbState state = {0};

	OutboxPushJsonb(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < ncolumns; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(row->tts_tupleDescriptor, columns[i]);

		push_name(&state, psprintf("%s.%s", table, NameStr(attribute->attname)));
		push_value(&state, attribute->atttypid, row->tts_values[columns[i]], row->tts_isnull[columns[i]], 0);
	}
	OutboxPushJsonb(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(state.result);
}

/* A lookup key, a row without NULLs, whole. May raise. */
Jsonb *
OutboxLookupToJsonb(TupleDesc desc, const Datum *values)
{
	bool isnull[INDEX_MAX_KEYS] = {false};

	Assert(desc->natts <= INDEX_MAX_KEYS);
	return OutboxRowToJsonb(desc, values, isnull);
}

/* A whole row, as OutboxRowFromJsonb reads it back. May raise. */
Jsonb *
OutboxRowToJsonb(TupleDesc desc, const Datum *values, const bool *isnull)
{
	OutboxJsonbState state = {0};

	OutboxPushJsonb(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->attisdropped)
			continue;
		push_name(&state, NameStr(attribute->attname));
		push_value(&state, attribute->atttypid, values[i], isnull[i], 0);
	}
	OutboxPushJsonb(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(state.result);
}

static void
push_name(OutboxJsonbState *state, const char *name)
{
	JsonbValue json = {.type = jbvString};

	json.val.string.val = unconstify(char *, name);
	json.val.string.len = strlen(name);
	OutboxPushJsonb(state, WJB_KEY, &json);
}

static void
push_value(OutboxJsonbState *state, Oid type, Datum value, bool isnull, int max_bytes)
{
	JsonbValue json = {.type = jbvNull};

	if (!isnull)
		value_to_json(&json, type, value, max_bytes);
	OutboxPushJsonb(state, WJB_VALUE, &json);
}

static void
value_to_json(JsonbValue *json, Oid type, Datum value, int max_bytes)
{
	Oid output;
	bool is_varlena;

	switch (getBaseType(type))
	{
		case BOOLOID:
			json->type = jbvBool;
			json->val.boolean = DatumGetBool(value);
			return;
		case INT2OID:
			json->type = jbvNumeric;
			json->val.numeric = int64_to_numeric(DatumGetInt16(value));
			return;
		case INT4OID:
			json->type = jbvNumeric;
			json->val.numeric = int64_to_numeric(DatumGetInt32(value));
			return;
		case INT8OID:
			json->type = jbvNumeric;
			json->val.numeric = int64_to_numeric(DatumGetInt64(value));
			return;
		case JSONBOID:
			if (is_nested(DatumGetJsonbP(value)) && (max_bytes == 0 || VARSIZE(DatumGetJsonbP(value)) <= max_bytes))
			{
				jsonb_to_json(json, DatumGetJsonbP(value));
				return;
			}
			break;
		default:
			break;
	}
	getTypeOutputInfo(type, &output, &is_varlena);
	text_to_json(json, OidOutputFunctionCall(output, value), max_bytes);
}

static void
text_to_json(JsonbValue *json, const char *text, int max_bytes)
{
	const char *shown = max_bytes > 0 ? OutboxCutText(text, max_bytes) : text;

	json->type = jbvString;
	json->val.string.val = unconstify(char *, shown);
	json->val.string.len = strlen(shown);
}

/* The text itself, or a palloc'd beginning of it that says how much is missing. */
const char *
OutboxCutText(const char *text, int max_bytes)
{
	int len = strlen(text);
	int kept;

	if (len <= max_bytes)
		return text;
	kept = pg_mbcliplen(text, len, max_bytes);
	return psprintf("%.*s... (%d bytes more)", kept, text, len - kept);
}

static void
jsonb_to_json(JsonbValue *json, Jsonb *value)
{
	json->type = jbvBinary;
	json->val.binary.data = &value->root;
	json->val.binary.len = VARSIZE(value) - VARHDRSZ;
}

/* Is it an object or an array? Alone, a JSON null could not be told from NULL, nor a string from text. */
static bool
is_nested(const Jsonb *value)
{
	return !JB_ROOT_IS_SCALAR(value);
}

/*
 * Reads a whole row or a lookup key back, by the names of the columns; a column
 * that is not there is NULL. Raises when a value does not fit its type any more.
 * Domains are not checked again. So no code of their owners runs, unless a domain
 * is inside a row or range. A caller with the rights of a role first asks whether
 * the input functions may run with them.
 */
void
OutboxRowFromJsonb(TupleDesc desc, Jsonb *object, Datum *values, bool *isnull)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		const char *name = NameStr(attribute->attname);
		JsonbValue buffer;
		JsonbValue *member = attribute->attisdropped ? NULL : getKeyJsonValueFromContainer(&object->root, name, strlen(name), &buffer);

		values[i] = (Datum) 0;
		isnull[i] = member == NULL || member->type == jbvNull;
		if (!isnull[i])
			values[i] = read_value(member_text(member), attribute->atttypid, attribute->atttypmod);
	}
}

/* The type whose input function reads a value of this type back, and the modifier for it. */
Oid
OutboxReadBackType(Oid type, int32 *typmod)
{
	Oid base = getBaseTypeAndTypmod(type, typmod);
	Oid element = get_element_type(base);
	int32 element_typmod = -1;
	Oid array;

	if (!OidIsValid(element) || get_typtype(element) != TYPTYPE_DOMAIN)
		return base;
	/* there is none of a domain over an array */
	array = get_array_type(getBaseTypeAndTypmod(element, &element_typmod));
	if (!OidIsValid(array))
		return base;
	*typmod = element_typmod;
	return array;
}

static Datum
read_value(const char *text, Oid type, int32 typmod)
{
	Oid read = OutboxReadBackType(type, &typmod);
	Oid element = get_element_type(getBaseType(type));
	Oid input;
	Oid parameter;
	Datum value;

	getTypeInputInfo(read, &input, &parameter);
	value = OidInputFunctionCall(input, unconstify(char *, text), parameter, typmod);
	/* the array of a domain is one of its base type but for the name of the type in it */
	if (OidIsValid(element))
		ARR_ELEMTYPE(DatumGetArrayTypeP(value)) = element;
	return value;
}

static char *
member_text(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
		case jbvBool:
			return pstrdup(value->val.boolean ? "true" : "false");
		default:
			return JsonbToCString(NULL, value->val.binary.data, value->val.binary.len);
	}
}
