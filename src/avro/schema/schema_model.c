/*-------------------------------------------------------------------------
 *
 * schema_model.c
 *	  Names, texts and sizes of Avro schemas.
 *
 * Plain C, see schema_model.h.
 *
 *-------------------------------------------------------------------------
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "avro/schema/schema_model.h"

const char *const avro_primitive_names[AVRO_PRIMITIVE_KINDS] = {
	"null", "boolean", "int", "long", "float", "double", "bytes", "string"};

const char *const avro_logical_names[AVRO_LOGICAL_KINDS] = {
	NULL, "decimal", "uuid", "date", "time-micros", "timestamp-micros"};

/*
 * Always false, so that a caller can return it. The text is kept to ASCII: it
 * may quote half a character of the input and has to be valid in any encoding.
 */
bool
AvroFail(AvroFault *fault, const char *format, ...)
{
	va_list args;
	char *s;

	va_start(args, format);
	vsnprintf(fault->text, sizeof(fault->text), format, args);
	va_end(args);
	for (s = fault->text; *s != '\0'; s++)
	{
		if ((unsigned char) *s < 0x20 || (unsigned char) *s >= 0x7f)
			*s = '?';
	}
	return false;
}

/* Zeroed memory for count objects; NULL with *fault set. */
void *
AvroAlloc(AvroArena *arena, size_t count, size_t size, AvroFault *fault)
{
	void *result = NULL;
	size_t total;

	if (!__builtin_mul_overflow(count, size, &total))
		result = arena->alloc(arena->context, total > 0 ? total : 1);
	if (result == NULL)
	{
		AvroFail(fault, "out of memory");
		return NULL;
	}
	return memset(result, 0, total);
}

char *
AvroCopyText(AvroArena *arena, const char *text, size_t length, AvroFault *fault)
{
	char *copy = AvroAlloc(arena, length + 1, 1, fault);

	if (copy != NULL)
		memcpy(copy, text, length);
	return copy;
}

int
AvroPrimitiveKind(const char *name)
{
	int i;

	for (i = 0; i < AVRO_PRIMITIVE_KINDS; i++)
	{
		if (strcmp(name, avro_primitive_names[i]) == 0)
			return i;
	}
	return -1;
}

bool
AvroIsName(const char *name, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
	{
		char c = name[i];

		if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_')
			continue;
		if (c >= '0' && c <= '9' && i > 0)
			continue;
		return false;
	}
	return length > 0;
}

bool
AvroIsFullName(const char *name, size_t length)
{
	size_t start = 0;
	size_t i;

	for (i = 0; i <= length; i++)
	{
		if (i < length && name[i] != '.')
			continue;
		if (!AvroIsName(name + start, i - start))
			return false;
		start = i + 1;
	}
	return true;
}

size_t
AvroNamespaceLength(const char *fullname)
{
	const char *dot = strrchr(fullname, '.');

	return dot == NULL ? 0 : (size_t) (dot - fullname);
}

/* Bytes of the well-formed character at s, 0 when there is none (Unicode 15, table 3-7). */
static size_t
utf8_character(const unsigned char *s, size_t left)
{
	unsigned char low = 0x80;
	unsigned char high = 0xBF;
	size_t length;
	size_t i;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xC2 && s[0] <= 0xDF)
		length = 2;
	else if ((s[0] & 0xF0) == 0xE0)
		length = 3;
	else if (s[0] >= 0xF0 && s[0] <= 0xF4)
		length = 4;
	else
		return 0;
	if (length > left)
		return 0;

	/* No overlong forms, no surrogates, nothing beyond U+10FFFF. */
	if (s[0] == 0xE0)
		low = 0xA0;
	else if (s[0] == 0xED)
		high = 0x9F;
	else if (s[0] == 0xF0)
		low = 0x90;
	else if (s[0] == 0xF4)
		high = 0x8F;
	if (s[1] < low || s[1] > high)
		return 0;
	for (i = 2; i < length; i++)
	{
		if ((s[i] & 0xC0) != 0x80)
			return 0;
	}
	return length;
}

bool
AvroIsUtf8(const char *text, size_t length)
{
	size_t i = 0;

	while (i < length)
	{
		size_t step = utf8_character((const unsigned char *) text + i, length - i);

		if (step == 0)
			return false;
		i += step;
	}
	return true;
}

/* Sum that sticks at UINT64_MAX, which stands for "no finite value". */
static uint64_t
add_size(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t
node_min_size(const AvroNode *node)
{
	uint64_t size;
	int i;

	switch (node->kind)
	{
		case AVRO_KIND_NULL:
			return 0;
		case AVRO_KIND_FLOAT:
			return 4;
		case AVRO_KIND_DOUBLE:
			return 8;
		case AVRO_KIND_FIXED:
			return (uint64_t) node->size;
		case AVRO_KIND_RECORD:
			size = 0;
			for (i = 0; i < node->count; i++)
				size = add_size(size, node->fields[i].type->min_size);
			return size;
		case AVRO_KIND_UNION:
			size = UINT64_MAX;
			for (i = 0; i < node->count; i++)
			{
				if (node->branches[i]->min_size < size)
					size = node->branches[i]->min_size;
			}
			return add_size(size, 1);
		default:
			return 1;
	}
}

bool
AvroMeasure(AvroNode *nodes, AvroFault *fault)
{
	AvroNode *node;
	bool changed = true;

	/* Sizes only ever shrink from "not finite", so this comes to rest. */
	for (node = nodes; node != NULL; node = node->previous)
		node->min_size = UINT64_MAX;
	while (changed)
	{
		changed = false;
		for (node = nodes; node != NULL; node = node->previous)
		{
			uint64_t size = node_min_size(node);

			changed |= size != node->min_size;
			node->min_size = size;
		}
	}
	for (node = nodes; node != NULL; node = node->previous)
	{
		/* Only a record can; what it is wrapped in has no name. */
		if (node->min_size == UINT64_MAX && node->kind == AVRO_KIND_RECORD)
			return AvroFail(fault, "type \"%.100s\" contains itself without end", node->name);
	}
	return true;
}
