/*-------------------------------------------------------------------------
 *
 * text_buffer.h
 *	  A growing text in an arena, for the two writers of schema JSON.
 *
 * Errors stick: append what there is, then ask once, at the end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_AVRO_TEXT_BUFFER_H
#define OUTBOX_AVRO_TEXT_BUFFER_H

#include <string.h>

#include "avro/schema/schema_model.h"

typedef struct AvroText
{
	AvroArena *arena;
	AvroFault *fault;
	char *data; /* NUL-terminated; NULL before the first append */
	size_t length;
	size_t size;
	bool failed;
} AvroText;

/* Named types written so far. */
typedef struct AvroNamed
{
	const AvroNode *node;
	struct AvroNamed *next;
} AvroNamed;

static inline void
AvroTextAdd(AvroText *text, const char *bytes, size_t n)
{
	if (text->failed)
		return;
	if (n >= text->size - text->length)
	{
		size_t size = (text->size + n + 1) * 2 + 1024;
		char *data = AvroAlloc(text->arena, size, 1, text->fault);

		if (data == NULL)
		{
			text->failed = true;
			return;
		}
		if (text->length > 0)
			memcpy(data, text->data, text->length);
		text->data = data;
		text->size = size;
	}
	memcpy(text->data + text->length, bytes, n);
	text->length += n;
	text->data[text->length] = '\0';
}

static inline void
AvroTextAddString(AvroText *text, const char *string)
{
	AvroTextAdd(text, string, strlen(string));
}

/* A JSON string, non-ASCII as it is. */
static inline void
AvroTextAddQuoted(AvroText *text, const char *string)
{
	static const char hex[] = "0123456789abcdef";
	const char *s;

	AvroTextAdd(text, "\"", 1);
	for (s = string; *s != '\0'; s++)
	{
		unsigned char c = (unsigned char) *s;

		if (c == '"' || c == '\\')
			AvroTextAdd(text, "\\", 1);
		if (c == '\n')
			AvroTextAdd(text, "\\n", 2);
		else if (c < 0x20)
		{
			char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

			AvroTextAdd(text, escape, 6);
		}
		else
			AvroTextAdd(text, s, 1);
	}
	AvroTextAdd(text, "\"", 1);
}

/* A type is written out at its first use only: true when this is not the first time; remembers it otherwise. */
static inline bool
AvroTextHasNamed(AvroText *text, AvroNamed **named, const AvroNode *node)
{
	AvroNamed *entry;

	for (entry = *named; entry != NULL; entry = entry->next)
	{
		if (entry->node == node)
			return true;
	}
	entry = AvroAlloc(text->arena, 1, sizeof(AvroNamed), text->fault);
	if (entry == NULL)
	{
		text->failed = true;
		return true;
	}
	entry->node = node;
	entry->next = *named;
	*named = entry;
	return false;
}

#endif /* OUTBOX_AVRO_TEXT_BUFFER_H */
