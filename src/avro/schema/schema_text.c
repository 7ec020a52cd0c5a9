/*-------------------------------------------------------------------------
 *
 * schema_text.c
 *	  Writes a schema as the JSON text that is pinned, registered and
 *	  fingerprinted.
 *
 * One field per line: the text is reviewed as a diff.  A named type is written
 * out where it is used first and by its full name afterwards.
 *
 * Plain C, see schema_model.h.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>

#include "avro/schema/schema_model.h"
#include "avro/schema/text_buffer.h"

typedef struct SchemaWriter
{
	AvroText text;
	AvroNamed *named;
} SchemaWriter;

static void write_type(SchemaWriter *writer, const AvroNode *node, const char *space, int indent);

static void
new_line(AvroText *text, int indent)
{
	AvroTextAdd(text, "\n", 1);
	while (indent-- > 0)
		AvroTextAdd(text, " ", 1);
}

static void
write_attribute(AvroText *text, const char *key, const char *value)
{
	if (value == NULL)
		return;
	AvroTextAddString(text, ", ");
	AvroTextAddQuoted(text, key);
	AvroTextAddString(text, ": ");
	AvroTextAddQuoted(text, value);
}

static void
write_field(SchemaWriter *writer, const AvroField *field, const char *space, int indent)
{
	AvroText *text = &writer->text;

	AvroTextAddString(text, "{\"name\": ");
	AvroTextAddQuoted(text, field->name);
	AvroTextAddString(text, ", \"type\": ");
	write_type(writer, field->type, space, indent + 1);
	if (field->null_default)
		AvroTextAddString(text, ", \"default\": null");
	write_attribute(text, "doc", field->doc);
	AvroTextAddString(text, "}");
}

static void
write_named(SchemaWriter *writer, const AvroNode *node, const char *space, int indent)
{
	AvroText *text = &writer->text;
	size_t length = AvroNamespaceLength(node->name);
	char *own_space = AvroCopyText(text->arena, node->name, length, text->fault);
	char number[32];
	int i;

	if (own_space == NULL)
	{
		text->failed = true;
		return;
	}
	AvroTextAddString(text, node->kind == AVRO_KIND_RECORD ? "{\"type\": \"record\"" : node->kind == AVRO_KIND_ENUM ? "{\"type\": \"enum\""
																													: "{\"type\": \"fixed\"");
	write_attribute(text, "name", node->name + (length > 0 ? length + 1 : 0));
	if (strcmp(space, own_space) != 0)
		write_attribute(text, "namespace", own_space);
	write_attribute(text, "doc", node->doc);
	if (node->kind == AVRO_KIND_RECORD)
	{
		AvroTextAddString(text, ", \"fields\": [");
		for (i = 0; i < node->count; i++)
		{
			if (i > 0)
				AvroTextAddString(text, ",");
			new_line(text, indent + 1);
			write_field(writer, &node->fields[i], own_space, indent + 1);
		}
		AvroTextAddString(text, "]}");
	}
	else if (node->kind == AVRO_KIND_ENUM)
	{
		AvroTextAddString(text, ", \"symbols\": [");
		for (i = 0; i < node->count; i++)
		{
			if (i > 0)
				AvroTextAddString(text, ", ");
			AvroTextAddQuoted(text, node->symbols[i]);
		}
		AvroTextAddString(text, "]");
		write_attribute(text, "default", node->default_symbol);
		AvroTextAddString(text, "}");
	}
	else
	{
		snprintf(number, sizeof(number), ", \"size\": %lld}", (long long) node->size);
		AvroTextAddString(text, number);
	}
}

static void
write_primitive(AvroText *text, const AvroNode *node)
{
	char number[64];

	if (node->logical == AVRO_LOGICAL_NONE)
	{
		AvroTextAddQuoted(text, avro_primitive_names[node->kind]);
		return;
	}
	AvroTextAddString(text, "{\"type\": ");
	AvroTextAddQuoted(text, avro_primitive_names[node->kind]);
	write_attribute(text, "logicalType", avro_logical_names[node->logical]);
	if (node->logical == AVRO_LOGICAL_DECIMAL)
	{
		snprintf(number, sizeof(number), ", \"precision\": %d, \"scale\": %d", node->precision, node->scale);
		AvroTextAddString(text, number);
	}
	AvroTextAddString(text, "}");
}

static void
write_type(SchemaWriter *writer, const AvroNode *node, const char *space, int indent)
{
	AvroText *text = &writer->text;
	int i;

	switch (node->kind)
	{
		case AVRO_KIND_RECORD:
		case AVRO_KIND_ENUM:
		case AVRO_KIND_FIXED:
			if (AvroTextHasNamed(&writer->text, &writer->named, node))
				AvroTextAddQuoted(text, node->name);
			else
				write_named(writer, node, space, indent);
			break;
		case AVRO_KIND_ARRAY:
			AvroTextAddString(text, "{\"type\": \"array\", \"items\": ");
			write_type(writer, node->items, space, indent);
			AvroTextAddString(text, "}");
			break;
		case AVRO_KIND_MAP:
			AvroTextAddString(text, "{\"type\": \"map\", \"values\": ");
			write_type(writer, node->items, space, indent);
			AvroTextAddString(text, "}");
			break;
		case AVRO_KIND_UNION:
			AvroTextAddString(text, "[");
			for (i = 0; i < node->count; i++)
			{
				if (i > 0)
					AvroTextAddString(text, ", ");
				write_type(writer, node->branches[i], space, indent);
			}
			AvroTextAddString(text, "]");
			break;
		default:
			write_primitive(text, node);
			break;
	}
}

char *
AvroSchemaText(AvroArena *arena, const AvroNode *schema, AvroFault *fault)
{
	SchemaWriter writer = {.text = {.arena = arena, .fault = fault}};

	write_type(&writer, schema, "", 0);
	return writer.text.failed ? NULL : writer.text.data;
}
