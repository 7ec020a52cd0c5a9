/*-------------------------------------------------------------------------
 *
 * column_equal.c
 *	  Are two values of a column the same to a consumer?
 *
 * Equal means: encoded to the same bytes. Types' own operators would call
 * 'bob' and 'BOB' equal under some collations, and json has none.  Numbers and
 * texts are compared without encoding them; a column of unchanged values is the
 * usual case and costs nanoseconds.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "avro/encode/encoder_private.h"
#include "avro/values/calendar.h"
#include "compat.h"

/* Encoded values that surely fit are compared on the stack. */
#define STACK_BYTES 128

static bool
same_toast_pointer(Datum a, Datum b)
{
	char *x = DatumGetPointer(a);
	char *y = DatumGetPointer(b);

	return VARATT_IS_EXTERNAL_ONDISK(x) && VARATT_IS_EXTERNAL_ONDISK(y) &&
		memcmp(x, y, VARSIZE_EXTERNAL(x)) == 0;
}

/* text, char(n) and bytea, whose bytes are what is encoded. */
static bool
same_bytes(const OutboxOp *op, Datum a, Datum b)
{
	struct varlena *x;
	struct varlena *y;
	int x_length;
	int y_length;
	bool same;

	if (same_toast_pointer(a, b))
		return true;
	x = PG_DETOAST_DATUM_PACKED(a);
	y = PG_DETOAST_DATUM_PACKED(b);
	x_length = VARSIZE_ANY_EXHDR(x);
	y_length = VARSIZE_ANY_EXHDR(y);
	if (op->code == OP_BPCHAR)
	{
		x_length = bpchartruelen(VARDATA_ANY(x), x_length);
		y_length = bpchartruelen(VARDATA_ANY(y), y_length);
	}
	same = x_length == y_length && memcmp(VARDATA_ANY(x), VARDATA_ANY(y), x_length) == 0;
	if ((Pointer) x != DatumGetPointer(a))
		pfree(x);
	if ((Pointer) y != DatumGetPointer(b))
		pfree(y);
	return same;
}

/* Encodes both, one behind the other. */
static bool
same_encoding(const OutboxAvroEncoder *encoder, const OutboxOp *op, Datum a, Datum b)
{
	OutboxOp alone = *op;
	OutboxProgram program = {.nops = 1, .ops = &alone, .reserve = OutboxOpReserve(op)};
	char stack[STACK_BYTES];
	StringInfoData bytes = {.data = stack, .maxlen = STACK_BYTES};
	OutboxAvroError error;
	bool isnull = false;
	bool on_stack = op->code < OP_TEXT && 2 * program.reserve < STACK_BYTES;
	bool same;
	int length;

	alone.column = 0;
	if (!on_stack)
		initStringInfo(&bytes);
	same = OutboxEncodeProgram(encoder, &program, &a, &isnull, &bytes, &error);
	length = bytes.len;
	same = same && OutboxEncodeProgram(encoder, &program, &b, &isnull, &bytes, &error) &&
		bytes.len == 2 * length && memcmp(bytes.data, bytes.data + length, length) == 0;
	if (!on_stack)
		pfree(bytes.data);
	return same;
}

bool
OutboxAvroEncodes(const OutboxAvroEncoder *encoder, int column, Datum value)
{
	int index = encoder->op_of_column[column];
	OutboxOp alone;
	OutboxProgram program = {.nops = 1, .ops = &alone};
	StringInfoData bytes;
	OutboxAvroError error;
	bool isnull = false;
	bool encoded;

	if (index < 0)
		return true;
	alone = encoder->program.ops[index];
	alone.column = 0;
	program.reserve = OutboxOpReserve(&alone);
	initStringInfo(&bytes);
	encoded = OutboxEncodeProgram(encoder, &program, &value, &isnull, &bytes, &error);
	pfree(bytes.data);
	return encoded;
}

bool
OutboxAvroColumnEqual(const OutboxAvroEncoder *encoder, int column, Datum a, Datum b)
{
	int index = encoder->op_of_column[column];
	const OutboxOp *op;

	if (index < 0)
		return true;
	op = &encoder->program.ops[index];
	switch (op->code)
	{
		case OP_BOOL:
			return DatumGetBool(a) == DatumGetBool(b);
		case OP_INT2:
			return DatumGetInt16(a) == DatumGetInt16(b);
		case OP_INT4:
			return DatumGetInt32(a) == DatumGetInt32(b);
		case OP_INT8:
			return DatumGetInt64(a) == DatumGetInt64(b);
		case OP_DATE:
			return DatumGetDateADT(a) == DatumGetDateADT(b) &&
				DatumGetDateADT(a) >= OUTBOX_MIN_DATE && DatumGetDateADT(a) <= OUTBOX_MAX_DATE;
		case OP_TIMESTAMPTZ:
			return DatumGetTimestampTz(a) == DatumGetTimestampTz(b) &&
				DatumGetTimestampTz(a) >= OUTBOX_MIN_TIMESTAMP && DatumGetTimestampTz(a) <= OUTBOX_MAX_TIMESTAMP;
		case OP_UUID:
			return memcmp(DatumGetUUIDP(a), DatumGetUUIDP(b), UUID_LEN) == 0;
		case OP_TEXT:
		case OP_BPCHAR:
			if (encoder->text.action != TEXT_AS_IS)
				return same_encoding(encoder, op, a, b);
			return same_bytes(op, a, b);
		case OP_BYTEA:
			return same_bytes(op, a, b);
		default:
			return same_encoding(encoder, op, a, b);
	}
}
