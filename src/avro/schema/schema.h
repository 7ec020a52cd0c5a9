/*-------------------------------------------------------------------------
 *
 * schema.h
 *	  Schemas inside the server: in memory contexts, in the database's encoding.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_AVRO_SCHEMA_H
#define OUTBOX_AVRO_SCHEMA_H

#include "avro/schema/schema_model.h"

/* ---- schema_load.c: schemas in memory contexts ---- */

extern AvroArena OutboxSchemaArena(MemoryContext context);
extern AvroNode *OutboxLoadSchema(const char *schema_text, AvroFault *fault);

/* ---- text_utf8.c: texts of the database as UTF-8, and back ---- */

typedef enum OutboxTextAction
{
	TEXT_AS_IS, /* the server's encoding is UTF-8 */
	TEXT_CHECK, /* SQL_ASCII: bytes of no known encoding, UTF-8 by luck */
	TEXT_CONVERT
} OutboxTextAction;

/* How texts of this database become UTF-8, and back. */
typedef struct OutboxTextRule
{
	OutboxTextAction action;
	Oid to_utf8; /* conversion procedures */
	Oid from_utf8;
} OutboxTextRule;

extern OutboxTextRule OutboxTextRuleOfDatabase(void);
extern const char *OutboxTextToUtf8(const OutboxTextRule *rule, const char *text, Size *length);
extern const char *OutboxTextFromUtf8(const OutboxTextRule *rule, const char *text, Size *length);

#endif /* OUTBOX_AVRO_SCHEMA_H */
