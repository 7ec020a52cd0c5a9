/*-------------------------------------------------------------------------
 *
 * encoder_ops.h
 *	  Which operation writes which type, and what it needs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_AVRO_ENCODER_OPS_H
#define OUTBOX_AVRO_ENCODER_OPS_H

#include "avro/encode/encoder.h"
#include "avro/schema/schema_model.h"
#include "avro/types/type_shape.h"

/* The code of the op for a scalar that needs nothing beside it; false when there is none. */
extern bool OutboxFindScalarOp(const AvroNode *node, const OutboxShape *shape, uint8 *code);

/* Completes an op that calls a type's output function. Looks in the catalogs. */
extern void OutboxCompileOutput(OutboxAvroEncoder *encoder, OutboxOp *op, Oid type);

/* Bytes that an op writes at most, without the part whose length the value decides. */
extern Size OutboxOpReserve(const OutboxOp *op);

#endif /* OUTBOX_AVRO_ENCODER_OPS_H */
