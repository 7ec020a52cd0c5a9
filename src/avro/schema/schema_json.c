/*-------------------------------------------------------------------------
 *
 * schema_json.c
 *	  Writes a schema as JSON Schema (draft 2020-12) of its values in JSON.
 *
 * The values are those that jsonb_decode.c makes, which outbox.event_json shows
 * and sinks of JSON publish: decimals are numbers, times ISO 8601 texts in UTC,
 * bytes base64.  Every field is there, also when it is null, and no other one.
 *
 * A record, enum or fixed is a definition of its own below $defs, so that a type
 * that is used again, or contains itself, is written once.
 *
 * Plain C, see schema_model.h.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>

#include "avro/schema/schema_model.h"
#include "avro/schema/text_buffer.h"

/* A named type that is referred to, in the order of the first use. */
typedef struct Definition
{
	const AvroNode *node;
	struct Definition *next;
} Definition;

typedef struct JsonWriter
{
	AvroText text;
	const AvroNode *root;
	const AvroWords *words;
	Definition *first;
	Definition *last;
} JsonWriter;

/* What a primitive value looks like, as keywords of JSON Schema. The order is that of AvroKind. */
static const char *const primitive_keywords[AVRO_PRIMITIVE_KINDS] = {
	"\"type\": \"null\"",
	"\"type\": \"boolean\"",
	"\"type\": \"integer\", \"minimum\": -2147483648, \"maximum\": 2147483647",
	"\"type\": \"integer\", \"minimum\": -9223372036854775808, \"maximum\": 9223372036854775807",
	"\"anyOf\": [{\"type\": \"number\"}, {\"enum\": [\"NaN\", \"Infinity\", \"-Infinity\"]}]",
	"\"anyOf\": [{\"type\": \"number\"}, {\"enum\": [\"NaN\", \"Infinity\", \"-Infinity\"]}]",
	"\"type\": \"string\", \"contentEncoding\": \"base64\", \"pattern\": \"^[A-Za-z0-9+/]*={0,2}$\"",
	"\"type\": \"string\"",
};

/* The same of logical types, but decimals. */
static const char *const logical_keywords[AVRO_LOGICAL_KINDS] = {
	[AVRO_LOGICAL_UUID] = "\"type\": \"string\", \"format\": \"uuid\", \"pattern\": \"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$\"",
	[AVRO_LOGICAL_DATE] = "\"type\": \"string\", \"format\": \"date\", \"pattern\": \"^-?[0-9]{3,}-[0-9]{2}-[0-9]{2}$\"",
	[AVRO_LOGICAL_TIME_MICROS] = "\"type\": \"string\", \"pattern\": \"^[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{6}$\"",
	[AVRO_LOGICAL_TIMESTAMP_MICROS] = "\"type\": \"string\", \"format\": \"date-time\", "
									  "\"pattern\": \"^-?[0-9]{3,}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{6}Z$\"",
};

static void write_keywords(JsonWriter *writer, const AvroNode *node);

static void
write_member(AvroText *text, const char *key, const char *value)
{
	AvroTextAddQuoted(text, key);
	AvroTextAddString(text, ": ");
	AvroTextAddQuoted(text, value);
	AvroTextAddString(text, ", ");
}

/* Every value has fewer digits before the point than this number. */
static void
write_decimal(AvroText *text, const AvroNode *node)
{
	const char *sign[] = {"\"type\": \"number\", \"exclusiveMinimum\": -1", ", \"exclusiveMaximum\": 1"};

	for (int i = 0; i < 2; i++)
	{
		AvroTextAddString(text, sign[i]);
		for (int digits = node->precision - node->scale; digits > 0; digits--)
			AvroTextAddString(text, "0");
	}
}

/* A reference to the definition of a named type, which is written later. */
static void
write_reference(JsonWriter *writer, const AvroNode *node)
{
	AvroText *text = &writer->text;
	Definition *definition = writer->first;

	if (node == writer->root)
	{
		AvroTextAddString(text, "\"$ref\": \"#\"");
		return;
	}
	while (definition != NULL && definition->node != node)
		definition = definition->next;
	if (definition == NULL)
	{
		definition = AvroAlloc(text->arena, 1, sizeof(Definition), text->fault);
		if (definition == NULL)
		{
			text->failed = true;
			return;
		}
		*definition = (Definition){.node = node};
		if (writer->last != NULL)
			writer->last->next = definition;
		else
			writer->first = definition;
		writer->last = definition;
	}
	AvroTextAddString(text, "\"$ref\": \"#/$defs/");
	AvroTextAddString(text, node->name);
	AvroTextAddString(text, "\"");
}

static void
write_union(JsonWriter *writer, const AvroNode *node)
{
	AvroTextAddString(&writer->text, "\"anyOf\": [");
	for (int i = 0; i < node->count; i++)
	{
		AvroTextAddString(&writer->text, i > 0 ? ", {" : "{");
		write_keywords(writer, node->branches[i]);
		AvroTextAddString(&writer->text, "}");
	}
	AvroTextAddString(&writer->text, "]");
}

static bool
is_text(const AvroNode *node)
{
	return node->kind == AVRO_KIND_STRING && node->logical == AVRO_LOGICAL_NONE;
}

/* Of a text, or one that may be null, that is one of a list of words: true. */
static bool
write_words(JsonWriter *writer, const AvroNode *record, const AvroField *field)
{
	const AvroNode *type = field->type;
	bool nullable = type->kind == AVRO_KIND_UNION && type->count == 2 && type->branches[0]->kind == AVRO_KIND_NULL;
	const char *words;

	if (writer->words == NULL || !is_text(nullable ? type->branches[1] : type))
		return false;
	words = writer->words->find(writer->words->context, record->name, field->name);
	if (words == NULL)
		return false;
	AvroTextAddString(&writer->text, "\"enum\": [");
	AvroTextAddString(&writer->text, words);
	AvroTextAddString(&writer->text, nullable ? ", null]" : "]");
	return true;
}

static void
write_record(JsonWriter *writer, const AvroNode *node)
{
	AvroText *text = &writer->text;

	AvroTextAddString(text, "\"type\": \"object\", \"properties\": {");
	for (int i = 0; i < node->count; i++)
	{
		const AvroField *field = &node->fields[i];

		AvroTextAddString(text, i > 0 ? ",\n" : "\n");
		AvroTextAddQuoted(text, field->name);
		AvroTextAddString(text, ": {");
		if (field->doc != NULL)
			write_member(text, "description", field->doc);
		if (!write_words(writer, node, field))
			write_keywords(writer, field->type);
		AvroTextAddString(text, "}");
	}
	AvroTextAddString(text, "}, \"required\": [");
	for (int i = 0; i < node->count; i++)
	{
		AvroTextAddString(text, i > 0 ? ", " : "");
		AvroTextAddQuoted(text, node->fields[i].name);
	}
	AvroTextAddString(text, "], \"additionalProperties\": false");
}

/* The definition of a named type. */
static void
write_named(JsonWriter *writer, const AvroNode *node)
{
	AvroText *text = &writer->text;

	write_member(text, "title", node->name);
	if (node->doc != NULL)
		write_member(text, "description", node->doc);
	if (node->kind == AVRO_KIND_RECORD)
		write_record(writer, node);
	else if (node->kind == AVRO_KIND_ENUM)
	{
		AvroTextAddString(text, "\"type\": \"string\", \"enum\": [");
		for (int i = 0; i < node->count; i++)
		{
			AvroTextAddString(text, i > 0 ? ", " : "");
			AvroTextAddQuoted(text, node->symbols[i]);
		}
		AvroTextAddString(text, "]");
	}
	else
		AvroTextAddString(text, primitive_keywords[AVRO_KIND_BYTES]);
}

/* The inside of the JSON object for values of a type. */
static void
write_keywords(JsonWriter *writer, const AvroNode *node)
{
	AvroText *text = &writer->text;

	switch (node->kind)
	{
		case AVRO_KIND_RECORD:
		case AVRO_KIND_ENUM:
		case AVRO_KIND_FIXED:
			write_reference(writer, node);
			break;
		case AVRO_KIND_ARRAY:
		case AVRO_KIND_MAP:
			AvroTextAddString(text, node->kind == AVRO_KIND_ARRAY ? "\"type\": \"array\", \"items\": {" : "\"type\": \"object\", \"additionalProperties\": {");
			write_keywords(writer, node->items);
			AvroTextAddString(text, "}");
			break;
		case AVRO_KIND_UNION:
			write_union(writer, node);
			break;
		default:
			if (node->logical == AVRO_LOGICAL_DECIMAL)
				write_decimal(text, node);
			else if (logical_keywords[node->logical] != NULL)
				AvroTextAddString(text, logical_keywords[node->logical]);
			else
				AvroTextAddString(text, primitive_keywords[node->kind]);
			break;
	}
}

/* In UTF-8, in the arena. The schema is of a named type, as an event's is. NULL with *fault. */
char *
AvroSchemaJson(AvroArena *arena, const AvroNode *schema, const AvroWords *words, AvroFault *fault)
{
	JsonWriter writer = {.text = {.arena = arena, .fault = fault}, .root = schema, .words = words};
	AvroText *text = &writer.text;

	if (schema->name == NULL)
	{
		AvroFail(fault, "the schema is not one of a record");
		return NULL;
	}
	AvroTextAddString(text, "{\"$schema\": \"https://json-schema.org/draft/2020-12/schema\", ");
	write_named(&writer, schema);
	/* definitions refer to further ones, which come to the end of the list */
	for (Definition *definition = writer.first; definition != NULL && !text->failed; definition = definition->next)
	{
		AvroTextAddString(text, definition == writer.first ? ",\n\"$defs\": {" : ",\n");
		AvroTextAddQuoted(text, definition->node->name);
		AvroTextAddString(text, ": {");
		write_named(&writer, definition->node);
		AvroTextAddString(text, "}");
	}
	AvroTextAddString(text, writer.first != NULL ? "}}" : "}");
	return text->failed ? NULL : text->data;
}
