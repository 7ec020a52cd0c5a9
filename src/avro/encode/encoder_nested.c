/*-------------------------------------------------------------------------
 *
 * encoder_nested.c
 *	  Encodes values that are made of others or that are texts only after a
 *	  call: records, arrays, maps, jsonb, and types with an output function.
 *
 * Out of line, so that the loop over plain columns stays small.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/tupmacs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "avro/encode/encoder_private.h"
#include "avro/values/numeric_digits.h"
#include "compat.h"

/* Composites with up to so many attributes are deformed on the stack. */
#define STACK_ATTRIBUTES 32

/* A document of so many bytes has at most 1 GB of text: 1e131071 takes twelve bytes in it, and nothing grows more. */
#define ALWAYS_FITS (64 * 1024)

/* The length of a string in json, with quotes. */
static Size
quoted_length(const JsonbValue *string)
{
	Size length = 2 + (Size) string->val.string.len;

	for (int i = 0; i < string->val.string.len; i++)
	{
		unsigned char c = string->val.string.val[i];

		if (c == '"' || c == '\\' || c == '\b' || c == '\f' || c == '\n' || c == '\r' || c == '\t')
			length++;
		else if (c < ' ')
			length += 5;
	}
	return length;
}

static Size
value_length(const JsonbValue *value)
{
	char *text;
	Size length;

	switch (value->type)
	{
		case jbvString:
			return quoted_length(value);
		case jbvNumeric:
			if (OutboxNumericLayoutKnown())
				return OutboxStoredTextLength((struct varlena *) value->val.numeric);
			text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
			length = strlen(text);
			pfree(text);
			return length;
		default:
			return strlen("false");
	}
}

/* Would the server find room for its text? Printing it would raise. */
static bool
text_fits(Jsonb *jsonb)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue value;
	Size length = 0;

	if (VARSIZE(jsonb) <= ALWAYS_FITS)
		return true;
	iterator = JsonbIteratorInit(&jsonb->root);
	while (length < MaxAllocSize && (token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		length += strlen(": ");
		if (token == WJB_KEY || token == WJB_VALUE || token == WJB_ELEM)
			length += value_length(&value);
	}
	return length < MaxAllocSize - ALWAYS_FITS;
}

static char *
put_jsonb(OutboxEncodeState *state, const OutboxOp *op, char *p, Datum value, Size reserve)
{
	Jsonb *jsonb = DatumGetJsonbP(value);
	StringInfoData text;

	if (!text_fits(jsonb))
		return OutboxEncodeFail(state, op, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
								"the event becomes too large at column \"%s\"",
								pstrdup("An event cannot be larger than 1 GB."));
	initStringInfo(&text);
	JsonbToCString(&text, &jsonb->root, VARSIZE(jsonb));
	p = OutboxPutText(state, op, p, text.data, text.len, reserve);
	pfree(text.data);
	if ((Pointer) jsonb != DatumGetPointer(value))
		pfree(jsonb);
	return p;
}

static char *
put_output(OutboxEncodeState *state, const OutboxOp *op, char *p, Datum value, Size reserve)
{
	char *text = OutputFunctionCall(op->u.output, value);

	p = OutboxPutText(state, op, p, text, strlen(text), reserve);
	pfree(text);
	return p;
}

/* The pairs of an object of strings, which the domain's constraint has promised. */
static char *
put_pairs(OutboxEncodeState *state, const OutboxOp *op, char *p, Jsonb *jsonb, Size reserve)
{
	JsonbIterator *it = JsonbIteratorInit(&jsonb->root);
	JsonbValue item;

	(void) JsonbIteratorNext(&it, &item, true);
	p = AvroPutLong(p, JB_ROOT_COUNT(jsonb));
	while (JsonbIteratorNext(&it, &item, true) != WJB_END_OBJECT)
	{
		if (item.type != jbvString)
			return OutboxEncodeFail(state, op, ERRCODE_DATATYPE_MISMATCH,
									"column \"%s\" is not an object of strings", NULL);
		p = OutboxPutText(state, op, p, item.val.string.val, item.val.string.len, reserve);
		if (p == NULL)
			return NULL;
	}
	return p;
}

static char *
put_string_map(OutboxEncodeState *state, const OutboxOp *op, char *p, Datum value, Size reserve)
{
	Jsonb *jsonb = DatumGetJsonbP(value);

	p = OutboxMakeRoom(state, op, p, 2 * AVRO_LONG_BYTES + reserve);
	if (p == NULL)
		return NULL;
	if (!JB_ROOT_IS_OBJECT(jsonb))
		return OutboxEncodeFail(state, op, ERRCODE_DATATYPE_MISMATCH,
								"column \"%s\" is not an object of strings", NULL);
	if (JB_ROOT_COUNT(jsonb) > 0)
		p = put_pairs(state, op, p, jsonb, reserve + AVRO_LONG_BYTES);
	if (p != NULL)
		*p++ = 0;
	if ((Pointer) jsonb != DatumGetPointer(value))
		pfree(jsonb);
	return p;
}

/* False when the composite type is no longer what the program was compiled for. */
static bool
record_is_current(OutboxRecordOp *record)
{
	if (likely(record->entry->tupDesc_identifier == record->tupdesc_id))
		return true;
	record->entry = lookup_type_cache(record->type, TYPECACHE_TUPDESC);
	if (record->entry->tupDesc == NULL || !equalTupleDescs(record->entry->tupDesc, record->tupdesc))
		return false;
	record->tupdesc_id = record->entry->tupDesc_identifier;
	return true;
}

static char *
put_record(OutboxEncodeState *state, const OutboxOp *op, char *p, Datum value, Size reserve)
{
	OutboxRecordOp *record = op->u.record;
	HeapTupleHeader header = DatumGetHeapTupleHeader(value);
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header};
	int natts = record->tupdesc->natts;
	Datum stack_values[STACK_ATTRIBUTES];
	bool stack_isnull[STACK_ATTRIBUTES];
	Datum *values = stack_values;
	bool *isnull = stack_isnull;

	if (HeapTupleHeaderGetTypeId(header) != record->type || !record_is_current(record))
		return OutboxEncodeFail(state, op, ERRCODE_DATATYPE_MISMATCH,
								"the type of column \"%s\" has changed", NULL);
	ItemPointerSetInvalid(&tuple.t_self);
	if (natts > STACK_ATTRIBUTES)
	{
		values = palloc(sizeof(Datum) * natts);
		isnull = palloc(sizeof(bool) * natts);
	}
	heap_deform_tuple(&tuple, record->tupdesc, values, isnull);
	p = OutboxRunProgram(state, p, &record->program, values, isnull, reserve);
	if (natts > STACK_ATTRIBUTES)
	{
		pfree(values);
		pfree(isnull);
	}
	if ((Pointer) header != DatumGetPointer(value))
		pfree(header);
	return p;
}

/* The items of an array of one dimension, none of them NULL. */
static char *
put_items(OutboxEncodeState *state, const OutboxOp *op, char *p, ArrayType *array, int count, Size reserve)
{
	const OutboxArrayOp *array_op = op->u.array;
	char *data = ARR_DATA_PTR(array);
	bool isnull = false;
	int i;

	p = AvroPutLong(p, count);
	for (i = 0; i < count; i++)
	{
		Datum value = fetch_att(data, array_op->typbyval, array_op->typlen);

		data = att_addlength_pointer(data, array_op->typlen, data);
		data = (char *) att_align_nominal(data, array_op->typalign);
		p = OutboxRunProgram(state, p, &array_op->item, &value, &isnull, reserve);
		if (p == NULL)
			return NULL;
	}
	return p;
}

static char *
put_array(OutboxEncodeState *state, const OutboxOp *op, char *p, Datum value, Size reserve)
{
	ArrayType *array = DatumGetArrayTypeP(value);
	int count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));

	p = OutboxMakeRoom(state, op, p, 2 * AVRO_LONG_BYTES + reserve);
	if (p == NULL)
		return NULL;
	if (ARR_NDIM(array) > 1)
		return OutboxEncodeFail(state, op, ERRCODE_ARRAY_SUBSCRIPT_ERROR,
								"column \"%s\" is an array of more than one dimension", NULL);
	if (array_contains_nulls(array))
		return OutboxEncodeFail(state, op, ERRCODE_NULL_VALUE_NOT_ALLOWED,
								"column \"%s\" has a NULL element", NULL);
	if (ARR_ELEMTYPE(array) != op->u.array->element_type)
		return OutboxEncodeFail(state, op, ERRCODE_DATATYPE_MISMATCH,
								"the type of column \"%s\" has changed", NULL);
	if (count > 0)
		p = put_items(state, op, p, array, count, reserve + AVRO_LONG_BYTES);
	if (p != NULL)
		*p++ = 0;
	if ((Pointer) array != DatumGetPointer(value))
		pfree(array);
	return p;
}

/* Runs an operation that calls functions of the server: it may raise. Returns the cursor, or NULL with the error set. */
char *
OutboxPutNested(OutboxEncodeState *state, const OutboxOp *op, char *p, Datum value, Size reserve)
{
	switch (op->code)
	{
		case OP_NAME:
			return OutboxPutText(state, op, p, NameStr(*DatumGetName(value)),
								 strlen(NameStr(*DatumGetName(value))), reserve);
		case OP_JSONB:
			return put_jsonb(state, op, p, value, reserve);
		case OP_STRING_MAP:
			return put_string_map(state, op, p, value, reserve);
		case OP_OUTPUT:
			return put_output(state, op, p, value, reserve);
		case OP_RECORD:
			return put_record(state, op, p, value, reserve);
		default:
			return put_array(state, op, p, value, reserve);
	}
}
