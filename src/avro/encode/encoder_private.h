/*-------------------------------------------------------------------------
 *
 * encoder_private.h
 *	  Shared by the files of avro/encode/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_AVRO_ENCODER_PRIVATE_H
#define OUTBOX_AVRO_ENCODER_PRIVATE_H

#include "avro/encode/encoder.h"
#include "avro/schema/schema_model.h"
#include "avro/types/type_shape.h"
#include "avro/values/wire.h"

/* ---- encoder_run.c, encoder_nested.c: a row on its way to bytes ---- */

/*
 * A cursor p runs through space that has been reserved in the output. Every put
 * function takes the cursor, returns the new one or NULL with the error set, and
 * leaves room for `reserve` more bytes behind it.
 */
typedef struct OutboxEncodeState
{
	StringInfo out;
	char *end; /* of the space that may be written */
	const OutboxTextRule *text;
	OutboxAvroError *error;
} OutboxEncodeState;

extern char *OutboxEncodeFail(OutboxEncodeState *state, const OutboxOp *op, int sqlerrcode,
							  const char *message, char *detail);
extern char *OutboxEncodeGrow(OutboxEncodeState *state, const OutboxOp *op, char *p, Size bytes);
extern char *OutboxPutConverted(OutboxEncodeState *state, const OutboxOp *op, char *p,
								const char *bytes, Size length, Size reserve);
extern char *OutboxRunProgram(OutboxEncodeState *state, char *p, const OutboxProgram *program,
							  const Datum *values, const bool *isnull, Size reserve);
extern bool OutboxEncodeProgram(const OutboxAvroEncoder *encoder, const OutboxProgram *program,
								const Datum *values, const bool *isnull, StringInfo out, OutboxAvroError *error);
extern char *OutboxPutNested(OutboxEncodeState *state, const OutboxOp *op, char *p, Datum value, Size reserve);

/* The cursor, perhaps moved, with room for so many bytes; NULL when there can be none. */
static inline char *
OutboxMakeRoom(OutboxEncodeState *state, const OutboxOp *op, char *p, Size bytes)
{
	if (likely((Size) (state->end - p) >= bytes))
		return p;
	return OutboxEncodeGrow(state, op, p, bytes);
}

static inline char *
OutboxPutBytes(OutboxEncodeState *state, const OutboxOp *op, char *p, const char *bytes, Size length, Size reserve)
{
	p = OutboxMakeRoom(state, op, p, length + AVRO_LONG_BYTES + reserve);
	if (unlikely(p == NULL))
		return NULL;
	p = AvroPutLong(p, (int64) length);
	memcpy(p, bytes, length);
	return p + length;
}

static inline char *
OutboxPutText(OutboxEncodeState *state, const OutboxOp *op, char *p, const char *bytes, Size length, Size reserve)
{
	if (unlikely(state->text->action != TEXT_AS_IS))
		return OutboxPutConverted(state, op, p, bytes, length, reserve);
	return OutboxPutBytes(state, op, p, bytes, length, reserve);
}

/* ---- encoder_ops.c: which operation writes which type, and what it needs ---- */

extern bool OutboxFindScalarOp(const AvroNode *node, const OutboxShape *shape, uint8 *code);
extern void OutboxCompileOutput(OutboxAvroEncoder *encoder, OutboxOp *op, Oid type);
extern Size OutboxOpReserve(const OutboxOp *op);

#endif /* OUTBOX_AVRO_ENCODER_PRIVATE_H */
