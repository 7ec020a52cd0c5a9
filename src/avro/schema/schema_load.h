/*-------------------------------------------------------------------------
 *
 * schema_load.h
 *	  Schemas in memory contexts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_AVRO_SCHEMA_LOAD_H
#define OUTBOX_AVRO_SCHEMA_LOAD_H

#include "avro/schema/schema_model.h"

/* An arena in a memory context; its memory goes with the context. */
extern AvroArena OutboxSchemaArena(MemoryContext context);

/* A schema text in the server's encoding, parsed into CurrentMemoryContext. NULL with *fault. */
extern AvroNode *OutboxLoadSchema(const char *schema_text, AvroFault *fault);

#endif /* OUTBOX_AVRO_SCHEMA_LOAD_H */
