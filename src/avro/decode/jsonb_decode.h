/*-------------------------------------------------------------------------
 *
 * jsonb_decode.h
 *	  Decoders inside the server, for code that must not raise.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_AVRO_JSONB_DECODE_H
#define OUTBOX_AVRO_JSONB_DECODE_H

#include "avro/outbox_avro.h"
#include "avro/schema/schema_model.h"

/* As OutboxAvroDecoderCreate, but NULL with *fault for a text that is no schema of a record. */
extern OutboxAvroDecoder *OutboxDecoderLoad(const char *schema_text, AvroFault *fault);

#endif /* OUTBOX_AVRO_JSONB_DECODE_H */
