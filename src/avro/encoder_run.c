/*-------------------------------------------------------------------------
 *
 * encoder_run.c
 *	  Runs the operations of a compiled schema over the columns of a row.
 *
 * This is the hot path of capture. Space for everything of bounded size is
 * reserved once per record; a value of variable size reserves its own bytes and
 * keeps that reservation standing, so no other op has to look. Nothing here
 * consults a catalog, except to word an error, and bad data is returned, never
 * raised (what may raise is listed at OutboxAvroMayRaise; running out of memory
 * and corrupt storage raise as everywhere).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/tupmacs.h"
#include "catalog/pg_enum.h"
#include "datatype/timestamp.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "avro/calendar.h"
#include "avro/decimal.h"
#include "avro/encoder.h"
#include "avro/wire.h"
#include "compat.h"

/* Composites with up to so many attributes are deformed on the stack. */
#define STACK_ATTRIBUTES	32

typedef struct EncodeState
{
	StringInfo	out;
	char	   *end;			/* of the space that may be written */
	const OutboxTextRule *text;
	OutboxAvroError *error;
} EncodeState;

static char *run_program(EncodeState *state, char *p, const OutboxProgram *program,
						 const Datum *values, const bool *isnull, Size reserve);

/* Always NULL. */
static pg_noinline char *
fail(EncodeState *state, const OutboxOp *op, int sqlerrcode, const char *message, char *detail)
{
	state->error->sqlerrcode = sqlerrcode;
	state->error->field = op->field;
	state->error->message = psprintf(message, op->field);
	state->error->detail = detail;
	return NULL;
}

static pg_noinline char *
grow(EncodeState *state, const OutboxOp *op, char *p, Size bytes)
{
	StringInfo	out = state->out;

	out->len = (int) (p - out->data);
	if (bytes >= MaxAllocSize - (Size) out->len - 1)
		return fail(state, op, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
					"the event becomes too large at column \"%s\"",
					pstrdup("An event cannot be larger than 1 GB."));
	enlargeStringInfo(out, (int) bytes);
	state->end = out->data + out->maxlen - 1;
	return out->data + out->len;
}

/* The cursor, perhaps moved, with room for so many bytes; NULL when there can be none. */
static inline char *
make_room(EncodeState *state, const OutboxOp *op, char *p, Size bytes)
{
	if (likely((Size) (state->end - p) >= bytes))
		return p;
	return grow(state, op, p, bytes);
}

/* The put functions below leave room for `reserve` more bytes. */
static inline char *
put_bytes(EncodeState *state, const OutboxOp *op, char *p, const char *bytes, Size length, Size reserve)
{
	p = make_room(state, op, p, length + AVRO_LONG_BYTES + reserve);
	if (unlikely(p == NULL))
		return NULL;
	p = AvroPutLong(p, (int64) length);
	memcpy(p, bytes, length);
	return p + length;
}

static pg_noinline char *
put_converted(EncodeState *state, const OutboxOp *op, char *p, const char *bytes, Size length, Size reserve)
{
	const char *utf8 = OutboxTextToUtf8(state->text, bytes, &length);

	if (utf8 == NULL)
		return fail(state, op, ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
					"column \"%s\" has a text that is not valid UTF-8", NULL);
	p = put_bytes(state, op, p, utf8, length, reserve);
	if (utf8 != bytes)
		pfree(unconstify(char *, utf8));
	return p;
}

static inline char *
put_text(EncodeState *state, const OutboxOp *op, char *p, const char *bytes, Size length, Size reserve)
{
	if (unlikely(state->text->action != TEXT_AS_IS))
		return put_converted(state, op, p, bytes, length, reserve);
	return put_bytes(state, op, p, bytes, length, reserve);
}

/* text, char(n) and bytea. */
static inline char *
put_varlena(EncodeState *state, const OutboxOp *op, char *p, Datum value, Size reserve)
{
	struct varlena *varlena = PG_DETOAST_DATUM_PACKED(value);
	const char *bytes = VARDATA_ANY(varlena);
	Size		length = VARSIZE_ANY_EXHDR(varlena);

	if (op->code == OP_BYTEA)
		p = put_bytes(state, op, p, bytes, length, reserve);
	else
	{
		if (op->code == OP_BPCHAR)
			length = bpchartruelen(unconstify(char *, bytes), (int) length);
		p = put_text(state, op, p, bytes, length, reserve);
	}
	if (unlikely((Pointer) varlena != DatumGetPointer(value)))
		pfree(varlena);
	return p;
}

static char *
put_jsonb(EncodeState *state, const OutboxOp *op, char *p, Datum value, Size reserve)
{
	Jsonb	   *jsonb = DatumGetJsonbP(value);
	StringInfoData text;

	initStringInfo(&text);
	JsonbToCString(&text, &jsonb->root, VARSIZE(jsonb));
	p = put_text(state, op, p, text.data, text.len, reserve);
	pfree(text.data);
	if ((Pointer) jsonb != DatumGetPointer(value))
		pfree(jsonb);
	return p;
}

static char *
put_output(EncodeState *state, const OutboxOp *op, char *p, Datum value, Size reserve)
{
	char	   *text = OutputFunctionCall(op->u.output, value);

	p = put_text(state, op, p, text, strlen(text), reserve);
	pfree(text);
	return p;
}

/* The pairs of an object of strings, which the domain's constraint has promised. */
static char *
put_pairs(EncodeState *state, const OutboxOp *op, char *p, Jsonb *jsonb, Size reserve)
{
	JsonbIterator *it = JsonbIteratorInit(&jsonb->root);
	JsonbIteratorToken token;
	JsonbValue	item;

	(void) JsonbIteratorNext(&it, &item, true);
	p = AvroPutLong(p, JB_ROOT_COUNT(jsonb));
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_END_OBJECT)
	{
		if (item.type != jbvString)
			return fail(state, op, ERRCODE_DATATYPE_MISMATCH,
						"column \"%s\" is not an object of strings", NULL);
		p = put_text(state, op, p, item.val.string.val, item.val.string.len, reserve);
		if (p == NULL)
			return NULL;
	}
	return p;
}

static char *
put_string_map(EncodeState *state, const OutboxOp *op, char *p, Datum value, Size reserve)
{
	Jsonb	   *jsonb = DatumGetJsonbP(value);

	p = make_room(state, op, p, 2 * AVRO_LONG_BYTES + reserve);
	if (p == NULL)
		return NULL;
	if (!JB_ROOT_IS_OBJECT(jsonb))
		return fail(state, op, ERRCODE_DATATYPE_MISMATCH,
					"column \"%s\" is not an object of strings", NULL);
	if (JB_ROOT_COUNT(jsonb) > 0)
		p = put_pairs(state, op, p, jsonb, reserve + AVRO_LONG_BYTES);
	if (p != NULL)
		*p++ = 0;
	if ((Pointer) jsonb != DatumGetPointer(value))
		pfree(jsonb);
	return p;
}

/* The table has no entry, or one without a symbol: a label added or renamed since. */
static pg_noinline char *
put_strange_label(EncodeState *state, const OutboxOp *op, char *p, Oid label)
{
	const OutboxEnumMap *map = op->u.labels;
	HeapTuple	tuple = SearchSysCache1(ENUMOID, ObjectIdGetDatum(label));
	char	   *name;
	int			i;

	if (!HeapTupleIsValid(tuple))
		return fail(state, op, ERRCODE_INVALID_BINARY_REPRESENTATION,
					"column \"%s\" has an enum value that does not exist", NULL);
	name = pstrdup(NameStr(((Form_pg_enum) GETSTRUCT(tuple))->enumlabel));
	ReleaseSysCache(tuple);
	for (i = 0; i < map->nsymbols; i++)
	{
		if (strcmp(map->symbols[i], name) == 0)
			return AvroPutLong(p, i);
	}
	return fail(state, op, ERRCODE_INVALID_PARAMETER_VALUE,
				"column \"%s\" has an enum label that its schema does not have",
				psprintf("The label is \"%s\".", name));
}

static inline char *
put_enum(EncodeState *state, const OutboxOp *op, char *p, Oid label)
{
	const OutboxEnumMap *map = op->u.labels;
	int			low = 0;
	int			high = map->count;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (map->entries[middle].label < label)
			low = middle + 1;
		else
			high = middle;
	}
	if (likely(low < map->count && map->entries[low].label == label && map->entries[low].index >= 0))
		return AvroPutLong(p, map->entries[low].index);
	return put_strange_label(state, op, p, label);
}

static pg_noinline char *
fail_decimal(EncodeState *state, const OutboxOp *op, OutboxDecimalFault fault, Datum value)
{
	char	   *detail = psprintf("The field is a decimal with precision %d and scale %d.",
								  op->u.decimal.precision, op->u.decimal.scale);

	if (fault == DECIMAL_NOT_FINITE)
		return fail(state, op, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
					"column \"%s\" is NaN or infinite", detail);
	if (fault == DECIMAL_TOO_LARGE)
		return fail(state, op, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
					"column \"%s\" is too large for its field", detail);
	return fail(state, op, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
				"column \"%s\" has more decimals than its field", detail);
}

static pg_noinline char *
fail_datetime(EncodeState *state, const OutboxOp *op, bool infinite)
{
	if (infinite)
		return fail(state, op, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
					"column \"%s\" is infinite, which an event cannot carry", NULL);
	return fail(state, op, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
				"column \"%s\" is out of range for an event",
				op->code == OP_TIME ?
				pstrdup("An event carries times of day from 00:00:00 to 23:59:59.999999.") :
				pstrdup("An event carries the years 1 to 9999 (UTC)."));
}

static inline char *
put_date(EncodeState *state, const OutboxOp *op, char *p, DateADT date)
{
	if (unlikely(date < OUTBOX_MIN_DATE || date > OUTBOX_MAX_DATE))
		return fail_datetime(state, op, DATE_NOT_FINITE(date));
	return AvroPutLong(p, (int64) date + OUTBOX_EPOCH_DAYS);
}

static inline char *
put_timestamptz(EncodeState *state, const OutboxOp *op, char *p, TimestampTz time)
{
	if (unlikely(time < OUTBOX_MIN_TIMESTAMP || time > OUTBOX_MAX_TIMESTAMP))
		return fail_datetime(state, op, TIMESTAMP_NOT_FINITE(time));
	return AvroPutLong(p, time + OUTBOX_EPOCH_DAYS * USECS_PER_DAY);
}

static inline char *
put_time(EncodeState *state, const OutboxOp *op, char *p, TimeADT time)
{
	if (unlikely(time < 0 || time >= USECS_PER_DAY))
		return fail_datetime(state, op, false);
	return AvroPutLong(p, time);
}

static char *
put_uuid(char *p, const pg_uuid_t *uuid)
{
	static const char hex[] = "0123456789abcdef";
	int			i;

	*p++ = 36 << 1;
	for (i = 0; i < UUID_LEN; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = hex[uuid->data[i] >> 4];
		*p++ = hex[uuid->data[i] & 15];
	}
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
put_record(EncodeState *state, const OutboxOp *op, char *p, Datum value, Size reserve)
{
	OutboxRecordOp *record = op->u.record;
	HeapTupleHeader header = DatumGetHeapTupleHeader(value);
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header};
	int			natts = record->tupdesc->natts;
	Datum		stack_values[STACK_ATTRIBUTES];
	bool		stack_isnull[STACK_ATTRIBUTES];
	Datum	   *values = stack_values;
	bool	   *isnull = stack_isnull;

	if (HeapTupleHeaderGetTypeId(header) != record->type || !record_is_current(record))
		return fail(state, op, ERRCODE_DATATYPE_MISMATCH,
					"the type of column \"%s\" has changed", NULL);
	ItemPointerSetInvalid(&tuple.t_self);
	if (natts > STACK_ATTRIBUTES)
	{
		values = palloc(sizeof(Datum) * natts);
		isnull = palloc(sizeof(bool) * natts);
	}
	heap_deform_tuple(&tuple, record->tupdesc, values, isnull);
	p = run_program(state, p, &record->program, values, isnull, reserve);
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
put_items(EncodeState *state, const OutboxOp *op, char *p, ArrayType *array, int count, Size reserve)
{
	const OutboxArrayOp *array_op = op->u.array;
	char	   *data = ARR_DATA_PTR(array);
	bool		isnull = false;
	int			i;

	p = AvroPutLong(p, count);
	for (i = 0; i < count; i++)
	{
		Datum		value = fetch_att(data, array_op->typbyval, array_op->typlen);

		data = att_addlength_pointer(data, array_op->typlen, data);
		data = (char *) att_align_nominal(data, array_op->typalign);
		p = run_program(state, p, &array_op->item, &value, &isnull, reserve);
		if (p == NULL)
			return NULL;
	}
	return p;
}

static char *
put_array(EncodeState *state, const OutboxOp *op, char *p, Datum value, Size reserve)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	int			count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));

	p = make_room(state, op, p, 2 * AVRO_LONG_BYTES + reserve);
	if (p == NULL)
		return NULL;
	if (ARR_NDIM(array) > 1)
		return fail(state, op, ERRCODE_ARRAY_SUBSCRIPT_ERROR,
					"column \"%s\" is an array of more than one dimension", NULL);
	if (array_contains_nulls(array))
		return fail(state, op, ERRCODE_NULL_VALUE_NOT_ALLOWED,
					"column \"%s\" has a NULL element", NULL);
	if (ARR_ELEMTYPE(array) != op->u.array->element_type)
		return fail(state, op, ERRCODE_DATATYPE_MISMATCH,
					"the type of column \"%s\" has changed", NULL);
	if (count > 0)
		p = put_items(state, op, p, array, count, reserve + AVRO_LONG_BYTES);
	if (p != NULL)
		*p++ = 0;
	if ((Pointer) array != DatumGetPointer(value))
		pfree(array);
	return p;
}

/* Ops whose cost hides a call. */
static pg_noinline char *
put_other(EncodeState *state, const OutboxOp *op, char *p, Datum value, Size reserve)
{
	switch (op->code)
	{
		case OP_NAME:
			return put_text(state, op, p, NameStr(*DatumGetName(value)),
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

static inline char *
put_decimal(EncodeState *state, const OutboxOp *op, char *p, Datum value)
{
	OutboxDecimalFault fault;

	p = OutboxPutDecimal(p, value, op->u.decimal.precision, op->u.decimal.scale,
						 op->code == OP_DECIMAL_PORTABLE, &fault);
	return likely(p != NULL) ? p : fail_decimal(state, op, fault, value);
}

static inline char *
put_value(EncodeState *state, const OutboxOp *op, char *p, Datum value, Size reserve)
{
	switch (op->code)
	{
		case OP_BOOL:
			*p++ = DatumGetBool(value);
			return p;
		case OP_INT2:
			return AvroPutLong(p, DatumGetInt16(value));
		case OP_INT4:
			return AvroPutLong(p, DatumGetInt32(value));
		case OP_INT8:
			return AvroPutLong(p, DatumGetInt64(value));
		case OP_FLOAT4:
			return AvroPutFloat(p, DatumGetFloat4(value));
		case OP_FLOAT4_AS_DOUBLE:
			return AvroPutDouble(p, (double) DatumGetFloat4(value));
		case OP_FLOAT8:
			return AvroPutDouble(p, DatumGetFloat8(value));
		case OP_DATE:
			return put_date(state, op, p, DatumGetDateADT(value));
		case OP_TIME:
			return put_time(state, op, p, DatumGetTimeADT(value));
		case OP_TIMESTAMPTZ:
			return put_timestamptz(state, op, p, DatumGetTimestampTz(value));
		case OP_UUID:
			return put_uuid(p, DatumGetUUIDP(value));
		case OP_DECIMAL:
		case OP_DECIMAL_PORTABLE:
			return put_decimal(state, op, p, value);
		case OP_ENUM:
			return put_enum(state, op, p, DatumGetObjectId(value));
		case OP_TEXT:
		case OP_BPCHAR:
		case OP_BYTEA:
			return put_varlena(state, op, p, value, reserve);
		default:
			return put_other(state, op, p, value, reserve);
	}
}

/* Returns the cursor with room for `reserve` more bytes, or NULL with the error set. */
static char *
run_program(EncodeState *state, char *p, const OutboxProgram *program,
			const Datum *values, const bool *isnull, Size reserve)
{
	const OutboxOp *op = program->ops;
	const OutboxOp *end = op + program->nops;

	/* More than is left to write, but the same for every op. */
	reserve += program->reserve;
	if (op == end)
		return p;
	p = make_room(state, op, p, reserve);
	if (p == NULL)
		return NULL;
	for (; op < end; op++)
	{
		if (isnull[op->column])
		{
			if (unlikely(!op->nullable))
				return fail(state, op, ERRCODE_NOT_NULL_VIOLATION,
							"required column \"%s\" is NULL", NULL);
			*p++ = op->null_branch;
			continue;
		}
		*p = op->value_branch;
		p += op->nullable;
		p = put_value(state, op, p, values[op->column], reserve);
		if (unlikely(p == NULL))
			return NULL;
	}
	return p;
}

static bool
encode(const OutboxAvroEncoder *encoder, const OutboxProgram *program, const Datum *values, const bool *isnull,
	   StringInfo out, OutboxAvroError *error)
{
	EncodeState state = {
		.out = out,
		.end = out->data + out->maxlen - 1,
		.text = &encoder->text,
		.error = error
	};
	int			start = out->len;
	char	   *p = run_program(&state, out->data + start, program, values, isnull, 0);

	out->len = p != NULL ? (int) (p - out->data) : start;
	out->data[out->len] = '\0';
	return p != NULL;
}

bool
OutboxAvroEncode(const OutboxAvroEncoder *encoder, const Datum *values, const bool *isnull,
				 StringInfo out, OutboxAvroError *error)
{
	return encode(encoder, &encoder->program, values, isnull, out, error);
}

/* Equal when it is certain without encoding: the same bits, of a type all of whose values can be encoded. */
static bool
same_image(const OutboxAvroEncoder *encoder, const OutboxOp *op, Datum a, Datum b)
{
	switch (op->code)
	{
		case OP_BOOL:
		case OP_INT2:
		case OP_INT4:
		case OP_INT8:
			return a == b;
		case OP_TEXT:
		case OP_BYTEA:
			/* Two pointers to the same toasted value. */
			if (op->code == OP_TEXT && encoder->text.action != TEXT_AS_IS)
				return false;
			return VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(a)) &&
				VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(b)) &&
				memcmp(DatumGetPointer(a), DatumGetPointer(b), VARSIZE_EXTERNAL(DatumGetPointer(a))) == 0;
		default:
			return false;
	}
}

bool
OutboxAvroColumnEqual(const OutboxAvroEncoder *encoder, int column, Datum a, Datum b)
{
	int			index = encoder->op_of_column[column];
	OutboxOp	op;
	OutboxProgram program = {.nops = 1, .ops = &op};
	OutboxAvroError error;
	StringInfoData bytes;
	bool		isnull = false;
	bool		equal;
	int			length;

	if (index < 0)
		return true;
	op = encoder->program.ops[index];
	if (same_image(encoder, &op, a, b))
		return true;
	op.column = 0;
	program.reserve = encoder->program.reserve;
	initStringInfo(&bytes);
	equal = encode(encoder, &program, &a, &isnull, &bytes, &error);
	length = bytes.len;
	equal = equal && encode(encoder, &program, &b, &isnull, &bytes, &error) &&
		bytes.len == 2 * length && memcmp(bytes.data, bytes.data + length, length) == 0;
	pfree(bytes.data);
	return equal;
}
