/*-------------------------------------------------------------------------
 *
 * schema_parser.h
 *	  What the two parts of the schema parser share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_AVRO_SCHEMA_PARSER_H
#define OUTBOX_AVRO_SCHEMA_PARSER_H

#include <jansson.h>

#include "avro/schema/schema_model.h"

typedef struct AvroParser
{
	AvroArena *arena;
	AvroFault *fault;
	AvroNode *nodes; /* all nodes so far, newest first */
} AvroParser;

/* All of these return NULL with the fault set; space is the namespace around, "" for none. */
extern bool AvroParseLogical(AvroParser *state, AvroNode *node, json_t *json);
extern AvroNode *AvroParseType(AvroParser *state, json_t *json, const char *space, int depth);
extern AvroNode *AvroNewNode(AvroParser *state, AvroKind kind);

/* schema_parse_named.c */
extern AvroNode *AvroParseRecord(AvroParser *state, json_t *json, const char *space, int depth);
extern AvroNode *AvroParseEnum(AvroParser *state, json_t *json, const char *space);
extern AvroNode *AvroParseFixed(AvroParser *state, json_t *json, const char *space);
/* space.name, or name when it is a full name already or space is empty. */
extern char *AvroQualifyName(AvroParser *state, const char *name, const char *space);
/* The type defined under this full name so far; NULL without a fault. */
extern AvroNode *AvroFindNamed(AvroParser *state, const char *name);

#endif /* OUTBOX_AVRO_SCHEMA_PARSER_H */
