/*-------------------------------------------------------------------------
 *
 * canonical_form.c
 *	  Parsing Canonical Form of a schema and its CRC-64-AVRO fingerprint
 *	  (Avro specification 1.11, "Transforming into Parsing Canonical Form" and
 *	  "Schema Fingerprints").
 *
 * Two schemas with the same form read the same bytes alike: doc, defaults,
 * aliases and logical types do not take part.  The reading form has logical
 * types, precision and scale as well: 1 means something else as a date, and so
 * does 100 as a decimal of scale 2.
 *
 * Plain C, see schema_model.h.
 *
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdio.h>

#include "avro/schema/schema_model.h"
#include "avro/schema/text_buffer.h"

typedef struct Canonical
{
	AvroText text;
	AvroNamed *named;
	bool logical; /* with logical types */
} Canonical;

static void write_type(Canonical *canonical, const AvroNode *node);

static bool
has_logical(const Canonical *canonical, const AvroNode *node)
{
	return canonical->logical && (node->logical != AVRO_LOGICAL_NONE || node->other_logical != NULL);
}

/* Within the object of a type. */
static void
write_logical(Canonical *canonical, const AvroNode *node)
{
	AvroText *text = &canonical->text;
	char numbers[80];

	if (!has_logical(canonical, node))
		return;
	AvroTextAddString(text, ",\"logicalType\":");
	AvroTextAddQuoted(text, node->other_logical != NULL ? node->other_logical : avro_logical_names[node->logical]);
	if (node->logical != AVRO_LOGICAL_DECIMAL)
		return;
	snprintf(numbers, sizeof(numbers), ",\"precision\":%d,\"scale\":%d", node->precision, node->scale);
	AvroTextAddString(text, numbers);
}

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
			snprintf(number, sizeof(number), "%" PRId64, node->size);
			AvroTextAddString(text, ",\"type\":\"fixed\",\"size\":");
			AvroTextAddString(text, number);
			write_logical(canonical, node);
			AvroTextAddString(text, "}");
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
			if (has_logical(canonical, node))
				AvroTextAddString(text, "{\"type\":");
			AvroTextAddQuoted(text, avro_primitive_names[node->kind]);
			write_logical(canonical, node);
			if (has_logical(canonical, node))
				AvroTextAddString(text, "}");
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

char *
AvroReadingForm(AvroArena *arena, const AvroNode *schema, AvroFault *fault)
{
	Canonical canonical = {.text = {.arena = arena, .fault = fault}, .logical = true};

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
