/*-------------------------------------------------------------------------
 *
 * canonical_form.c
 *	  Parsing Canonical Form of a schema and its CRC-64-AVRO fingerprint
 *	  (Avro specification 1.11, "Transforming into Parsing Canonical Form" and
 *	  "Schema Fingerprints").
 *
 * Two schemas with the same form read the same bytes alike: doc, defaults,
 * aliases and logical types do not take part.
 *
 * Plain C, see schema_model.h.
 *
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdio.h>

#include "avro/schema_model.h"
#include "avro/text_buffer.h"

typedef struct Canonical
{
	AvroText text;
	AvroNamed *named;
} Canonical;

static void write_type(Canonical *canonical, const AvroNode *node);

static void
write_named(Canonical *canonical, const AvroNode *node)
{
	AvroText *text = &canonical->text;
	char number[32];
	int i;

	AvroTextAddString(text, "{\"name\":");
	AvroTextAddQuoted(text, node->name);
	switch (node->kind)
	{
		case AVRO_KIND_RECORD:
			AvroTextAddString(text, ",\"type\":\"record\",\"fields\":[");
			for (i = 0; i < node->count; i++)
			{
				AvroTextAddString(text, i > 0 ? ",{\"name\":" : "{\"name\":");
				AvroTextAddQuoted(text, node->fields[i].name);
				AvroTextAddString(text, ",\"type\":");
				write_type(canonical, node->fields[i].type);
				AvroTextAddString(text, "}");
			}
			AvroTextAddString(text, "]}");
			break;
		case AVRO_KIND_ENUM:
			AvroTextAddString(text, ",\"type\":\"enum\",\"symbols\":[");
			for (i = 0; i < node->count; i++)
			{
				if (i > 0)
					AvroTextAddString(text, ",");
				AvroTextAddQuoted(text, node->symbols[i]);
			}
			AvroTextAddString(text, "]}");
			break;
		default:
			snprintf(number, sizeof(number), "%" PRId64 "}", node->size);
			AvroTextAddString(text, ",\"type\":\"fixed\",\"size\":");
			AvroTextAddString(text, number);
			break;
	}
}

static void
write_type(Canonical *canonical, const AvroNode *node)
{
	AvroText *text = &canonical->text;
	int i;

	switch (node->kind)
	{
		case AVRO_KIND_RECORD:
		case AVRO_KIND_ENUM:
		case AVRO_KIND_FIXED:
			if (AvroTextHasNamed(&canonical->text, &canonical->named, node))
				AvroTextAddQuoted(text, node->name);
			else
				write_named(canonical, node);
			break;
		case AVRO_KIND_ARRAY:
			AvroTextAddString(text, "{\"type\":\"array\",\"items\":");
			write_type(canonical, node->items);
			AvroTextAddString(text, "}");
			break;
		case AVRO_KIND_MAP:
			AvroTextAddString(text, "{\"type\":\"map\",\"values\":");
			write_type(canonical, node->items);
			AvroTextAddString(text, "}");
			break;
		case AVRO_KIND_UNION:
			AvroTextAddString(text, "[");
			for (i = 0; i < node->count; i++)
			{
				if (i > 0)
					AvroTextAddString(text, ",");
				write_type(canonical, node->branches[i]);
			}
			AvroTextAddString(text, "]");
			break;
		default:
			AvroTextAddQuoted(text, avro_primitive_names[node->kind]);
			break;
	}
}

char *
AvroCanonicalForm(AvroArena *arena, const AvroNode *schema, AvroFault *fault)
{
	Canonical canonical = {.text = {.arena = arena, .fault = fault}};

	write_type(&canonical, schema);
	return canonical.text.failed ? NULL : canonical.text.data;
}

#define AVRO_CRC64_EMPTY UINT64_C(0xc15d213aa4d7a795)

uint64_t
AvroCrc64(const char *bytes, size_t length)
{
	uint64_t crc = AVRO_CRC64_EMPTY;
	size_t i;
	int bit;

	for (i = 0; i < length; i++)
	{
		uint64_t entry = (crc ^ (unsigned char) bytes[i]) & 0xff;

		for (bit = 0; bit < 8; bit++)
			entry = (entry >> 1) ^ (AVRO_CRC64_EMPTY & -(entry & 1));
		crc = (crc >> 8) ^ entry;
	}
	return crc;
}
