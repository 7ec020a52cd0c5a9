/*-------------------------------------------------------------------------
 *
 * encoder_ops.c
 *	  Which operation writes which type, and what it needs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/lsyscache.h"

#include "avro/encode/encoder_private.h"
#include "avro/values/decimal.h"
#include "avro/values/wire.h"

/* The code of the op for a scalar that needs nothing beside it; false when there is none. */
bool
OutboxFindScalarOp(const AvroNode *node, const OutboxShape *shape, uint8 *code)
{
	static const struct
	{
		OutboxShapeKind shape;
		AvroKind kind;
		AvroLogical logical;
		OutboxOpCode code;
	} map[] = {
		{SHAPE_BOOL, AVRO_KIND_BOOLEAN, AVRO_LOGICAL_NONE, OP_BOOL},
		{SHAPE_INT2, AVRO_KIND_INT, AVRO_LOGICAL_NONE, OP_INT2},
		{SHAPE_INT2, AVRO_KIND_LONG, AVRO_LOGICAL_NONE, OP_INT2},
		{SHAPE_INT4, AVRO_KIND_INT, AVRO_LOGICAL_NONE, OP_INT4},
		{SHAPE_INT4, AVRO_KIND_LONG, AVRO_LOGICAL_NONE, OP_INT4},
		{SHAPE_INT8, AVRO_KIND_LONG, AVRO_LOGICAL_NONE, OP_INT8},
		{SHAPE_FLOAT4, AVRO_KIND_FLOAT, AVRO_LOGICAL_NONE, OP_FLOAT4},
		{SHAPE_FLOAT4, AVRO_KIND_DOUBLE, AVRO_LOGICAL_NONE, OP_FLOAT4_AS_DOUBLE},
		{SHAPE_FLOAT8, AVRO_KIND_DOUBLE, AVRO_LOGICAL_NONE, OP_FLOAT8},
		{SHAPE_DATE, AVRO_KIND_INT, AVRO_LOGICAL_DATE, OP_DATE},
		{SHAPE_TIME, AVRO_KIND_LONG, AVRO_LOGICAL_TIME_MICROS, OP_TIME},
		{SHAPE_TIMESTAMPTZ, AVRO_KIND_LONG, AVRO_LOGICAL_TIMESTAMP_MICROS, OP_TIMESTAMPTZ},
		{SHAPE_UUID, AVRO_KIND_STRING, AVRO_LOGICAL_UUID, OP_UUID},
		{SHAPE_TEXT, AVRO_KIND_STRING, AVRO_LOGICAL_NONE, OP_TEXT},
		{SHAPE_BPCHAR, AVRO_KIND_STRING, AVRO_LOGICAL_NONE, OP_BPCHAR},
		{SHAPE_NAME, AVRO_KIND_STRING, AVRO_LOGICAL_NONE, OP_NAME},
		{SHAPE_BYTEA, AVRO_KIND_BYTES, AVRO_LOGICAL_NONE, OP_BYTEA},
		{SHAPE_JSONB, AVRO_KIND_STRING, AVRO_LOGICAL_NONE, OP_JSONB},
		{SHAPE_OUTPUT, AVRO_KIND_STRING, AVRO_LOGICAL_NONE, OP_OUTPUT}};
	int i;

	for (i = 0; i < lengthof(map); i++)
	{
		if (map[i].shape == shape->kind && map[i].kind == node->kind && map[i].logical == node->logical)
		{
			*code = map[i].code;
			return true;
		}
	}
	return false;
}

/* Completes an op that calls a type's output function. Looks in the catalogs. */
void
OutboxCompileOutput(OutboxAvroEncoder *encoder, OutboxOp *op, Oid type)
{
	Oid function;
	bool is_varlena;

	getTypeOutputInfo(type, &function, &is_varlena);
	op->u.output = palloc(sizeof(FmgrInfo));
	fmgr_info_cxt(function, op->u.output, CurrentMemoryContext);
	encoder->printed = list_append_unique_oid(encoder->printed, type);
}

/* Bytes that an op writes at most, without the part whose length the value decides. */
Size
OutboxOpReserve(const OutboxOp *op)
{
	switch (op->code)
	{
		case OP_DECIMAL:
		case OP_DECIMAL_PORTABLE:
			return 1 + OutboxDecimalReserve(op->u.decimal.precision);
		case OP_UUID:
			return 1 + 37;
		default:
			return 1 + AVRO_LONG_BYTES;
	}
}
