/*-------------------------------------------------------------------------
 *
 * encoder_run.c
 *	  Runs the operations of a compiled schema over the columns of a row.
 *
 * This is the hot path of capture. Space for everything of bounded size is
 * reserved once per record; a value of variable size reserves its own bytes and
 * keeps that reservation standing, so no other op has to look. Nothing here
 * consults a catalog, except to word an error, and bad data is returned, never
 * raised (what may raise is listed by OutboxAvroPrintedTypes; running out of memory
 * and corrupt storage raise as everywhere).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_enum.h"
#include "datatype/timestamp.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "avro/encode/encoder_private.h"
#include "avro/values/calendar.h"
#include "avro/values/decimal.h"
#include "compat.h"

/* Sets the error and returns NULL. `message` has one %s, for the field. */
char *
OutboxEncodeFail(OutboxEncodeState *state, const OutboxOp *op, int sqlerrcode, const char *message, char *detail)
{
	state->error->sqlerrcode = sqlerrcode;
	state->error->field = op->field;
	state->error->message = psprintf(message, op->field);
	state->error->detail = detail;
	return NULL;
}

char *
OutboxEncodeGrow(OutboxEncodeState *state, const OutboxOp *op, char *p, Size bytes)
{
	StringInfo out = state->out;

	out->len = (int) (p - out->data);
	if (bytes >= MaxAllocSize - (Size) out->len - 1)
		return OutboxEncodeFail(state, op, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
								"the event becomes too large at column \"%s\"",
								pstrdup("An event cannot be larger than 1 GB."));
	enlargeStringInfo(out, (int) bytes);
	state->end = out->data + out->maxlen - 1;
	return out->data + out->len;
}

char *
OutboxPutConverted(OutboxEncodeState *state, const OutboxOp *op, char *p, const char *bytes, Size length, Size reserve)
{
	const char *utf8 = OutboxTextToUtf8(state->text, bytes, &length);

	if (utf8 == NULL)
		return OutboxEncodeFail(state, op, ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
								"column \"%s\" has a text that is not valid UTF-8", NULL);
	p = OutboxPutBytes(state, op, p, utf8, length, reserve);
	if (utf8 != bytes)
		pfree(unconstify(char *, utf8));
	return p;
}

/* text, char(n) and bytea. */
static inline char *
put_varlena(OutboxEncodeState *state, const OutboxOp *op, char *p, Datum value, Size reserve)
{
	struct varlena *flat = PG_DETOAST_DATUM_PACKED(value);
	const char *bytes = VARDATA_ANY(flat);
	Size length = VARSIZE_ANY_EXHDR(flat);

	if (op->code == OP_BYTEA)
		p = OutboxPutBytes(state, op, p, bytes, length, reserve);
	else
	{
		if (op->code == OP_BPCHAR)
			length = bpchartruelen(unconstify(char *, bytes), (int) length);
		p = OutboxPutText(state, op, p, bytes, length, reserve);
	}
	if (unlikely((Pointer) flat != DatumGetPointer(value)))
		pfree(flat);
	return p;
}

/* The table has no entry, or one without a symbol: a label added or renamed since. */
static pg_noinline char *
put_strange_label(OutboxEncodeState *state, const OutboxOp *op, char *p, Oid label)
{
	const OutboxEnumMap *map = op->u.labels;
	HeapTuple tuple = SearchSysCache1(ENUMOID, ObjectIdGetDatum(label));
	char *name;
	int i;

	if (!HeapTupleIsValid(tuple))
		return OutboxEncodeFail(state, op, ERRCODE_INVALID_BINARY_REPRESENTATION,
								"column \"%s\" has an enum value that does not exist", NULL);
	name = pstrdup(NameStr(((Form_pg_enum) GETSTRUCT(tuple))->enumlabel));
	ReleaseSysCache(tuple);
	for (i = 0; i < map->nsymbols; i++)
	{
		if (strcmp(map->symbols[i], name) == 0)
			return AvroPutLong(p, i);
	}
	state->error->hint = "When all consumers are ready for the label, drop the contract and create it again in one transaction, with compatibility => 'BACKWARD': the new schema has the label. Then redrive the dead letter. Or let the view show another label for it.";
	return OutboxEncodeFail(state, op, ERRCODE_INVALID_PARAMETER_VALUE,
							"column \"%s\" has an enum label that its schema does not have",
							psprintf("The label is \"%s\".", name));
}

static inline char *
put_enum(OutboxEncodeState *state, const OutboxOp *op, char *p, Oid label)
{
	const OutboxEnumMap *map = op->u.labels;
	int low = 0;
	int high = map->count;

	while (low < high)
	{
		int middle = (low + high) / 2;

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
fail_decimal(OutboxEncodeState *state, const OutboxOp *op, OutboxDecimalFault fault, Datum value)
{
	char *detail = psprintf("The field is a decimal with precision %d and scale %d: below 10^%d, with %d decimals.",
							op->u.decimal.precision, op->u.decimal.scale,
							op->u.decimal.precision - op->u.decimal.scale, op->u.decimal.scale);

	if (fault == DECIMAL_NOT_FINITE)
		return OutboxEncodeFail(state, op, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
								"column \"%s\" is NaN or infinite",
								psprintf("The field is a decimal with precision %d and scale %d, which has finite numbers only.",
										 op->u.decimal.precision, op->u.decimal.scale));
	if (fault == DECIMAL_TOO_LARGE)
		return OutboxEncodeFail(state, op, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
								"column \"%s\" is too large for its field", detail);
	return OutboxEncodeFail(state, op, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
							"column \"%s\" has more decimals than its field", detail);
}

static pg_noinline char *
fail_datetime(OutboxEncodeState *state, const OutboxOp *op, bool infinite)
{
	char *range = pstrdup(op->code == OP_TIME ? "An event carries times of day from 00:00:00 to 23:59:59.999999."
											  : "An event carries the years 1 to 9999 (UTC).");

	return OutboxEncodeFail(state, op, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
							infinite ? "column \"%s\" is infinite, which an event cannot carry"
									 : "column \"%s\" is out of range for an event",
							range);
}

static inline char *
put_date(OutboxEncodeState *state, const OutboxOp *op, char *p, DateADT date)
{
	if (unlikely(date < OUTBOX_MIN_DATE || date > OUTBOX_MAX_DATE))
		return fail_datetime(state, op, DATE_NOT_FINITE(date));
	return AvroPutLong(p, (int64) date + OUTBOX_EPOCH_DAYS);
}

static inline char *
put_timestamptz(OutboxEncodeState *state, const OutboxOp *op, char *p, TimestampTz time)
{
	if (unlikely(time < OUTBOX_MIN_TIMESTAMP || time > OUTBOX_MAX_TIMESTAMP))
		return fail_datetime(state, op, TIMESTAMP_NOT_FINITE(time));
	return AvroPutLong(p, time + OUTBOX_EPOCH_DAYS * USECS_PER_DAY);
}

static inline char *
put_time(OutboxEncodeState *state, const OutboxOp *op, char *p, TimeADT time)
{
	if (unlikely(time < 0 || time >= USECS_PER_DAY))
		return fail_datetime(state, op, false);
	return AvroPutLong(p, time);
}

/* Two digits at a time: a uuid is a frequent key. */
static const char hex_pairs[] =
	"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f"
	"303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f"
	"606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f"
	"909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
	"c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeef"
	"f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";

static inline char *
put_hex(char *p, const unsigned char *bytes, int count)
{
	int i;

	for (i = 0; i < count; i++)
		memcpy(p + 2 * i, hex_pairs + 2 * bytes[i], 2);
	return p + 2 * count;
}

static inline char *
put_uuid(char *p, const pg_uuid_t *uuid)
{
	*p++ = 36 << 1;
	p = put_hex(p, uuid->data, 4);
	*p++ = '-';
	p = put_hex(p, uuid->data + 4, 2);
	*p++ = '-';
	p = put_hex(p, uuid->data + 6, 2);
	*p++ = '-';
	p = put_hex(p, uuid->data + 8, 2);
	*p++ = '-';
	return put_hex(p, uuid->data + 10, 6);
}

static inline char *
put_decimal(OutboxEncodeState *state, const OutboxOp *op, char *p, Datum value)
{
	OutboxDecimalFault fault;

	p = OutboxPutDecimal(p, value, op->u.decimal.precision, op->u.decimal.scale,
						 op->code == OP_DECIMAL_PORTABLE, &fault);
	return likely(p != NULL) ? p : fail_decimal(state, op, fault, value);
}

static inline char *
put_value(OutboxEncodeState *state, const OutboxOp *op, char *p, Datum value, Size reserve)
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
			return OutboxPutNested(state, op, p, value, reserve);
	}
}

/* Runs all operations of a record, or the one of an array's item. */
char *
OutboxRunProgram(OutboxEncodeState *state, char *p, const OutboxProgram *program,
				 const Datum *values, const bool *isnull, Size reserve)
{
	const OutboxOp *op = program->ops;
	const OutboxOp *end = op + program->nops;

	/* More than is left to write, but the same for every op. */
	reserve += program->reserve;
	if (op == end)
		return p;
	p = OutboxMakeRoom(state, op, p, reserve);
	if (p == NULL)
		return NULL;
	for (; op < end; op++)
	{
		if (isnull[op->column])
		{
			if (unlikely(!op->nullable))
				return OutboxEncodeFail(state, op, ERRCODE_NOT_NULL_VIOLATION,
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

/* Encodes a row by any program of the encoder, on the terms of OutboxAvroEncode. */
bool
OutboxEncodeProgram(const OutboxAvroEncoder *encoder, const OutboxProgram *program,
					const Datum *values, const bool *isnull, StringInfo out, OutboxAvroError *error)
{
	OutboxEncodeState state = {
		.out = out,
		.end = out->data + out->maxlen - 1,
		.text = &encoder->text,
		.error = error};
	int start = out->len;
	char *p = OutboxRunProgram(&state, out->data + start, program, values, isnull, 0);

	out->len = p != NULL ? (int) (p - out->data) : start;
	out->data[out->len] = '\0';
	return p != NULL;
}

bool
OutboxAvroEncode(const OutboxAvroEncoder *encoder, const Datum *values, const bool *isnull,
				 StringInfo out, OutboxAvroError *error)
{
	return OutboxEncodeProgram(encoder, &encoder->program, values, isnull, out, error);
}
