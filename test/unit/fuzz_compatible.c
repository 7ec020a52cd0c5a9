/*-------------------------------------------------------------------------
 *
 * fuzz_compatible.c
 *	  Fuzz target for the comparison of two schemas.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "avro/compatible/compatible.h"
#include "fuzz.h"
#include "memory.h"

typedef struct Differences
{
	int errors;
	int warnings;
	int other_errors; /* not of aliases */
	uint64_t sum;
} Differences;

static void
take(void *context, const AvroDifference *difference)
{
	Differences *seen = context;
	const char *texts[] = {difference->path, difference->pointer, difference->message, avro_rule_names[difference->rule]};
	size_t i;

	REQUIRE(difference->pointer[0] == '\0' || difference->pointer[0] == '/');
	REQUIRE(difference->message[0] != '\0');
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		const char *s;

		for (s = texts[i]; *s != '\0'; s++)
		{
			REQUIRE(*s >= 0x20 && *s < 0x7f);
			seen->sum = (seen->sum ^ (unsigned char) *s) * UINT64_C(1099511628211);
		}
	}
	if (difference->severity == AVRO_SEVERITY_WARNING)
		seen->warnings++;
	else
		seen->errors++;
	if (difference->severity == AVRO_SEVERITY_ERROR && difference->rule != AVRO_RULE_ALIAS_AMBIGUOUS)
		seen->other_errors++;
}

static Differences
compare(AvroArena *arena, const AvroNode *reader, const AvroNode *writer)
{
	Differences seen = {0};
	AvroDifferenceSink sink = {.take = take, .context = &seen};
	AvroFault fault = {""};
	bool compatible;

	if (AvroCompatible(arena, reader, writer, &sink, &compatible, &fault))
		REQUIRE(compatible == (seen.errors == 0));
	else
		REQUIRE(fault.text[0] != '\0');
	return seen;
}

/* Two schemas with a zero byte between: the verdict is what the rows say, and a schema reads what it wrote. */
void
fuzz_compatible(const uint8_t *data, size_t size)
{
	Memory memory = {.left = -1};
	AvroArena arena = {.alloc = memory_alloc, .context = &memory};
	const uint8_t *zero = memchr(data, 0, size);
	AvroFault fault;
	AvroNode *reader;
	AvroNode *writer;

	if (zero == NULL)
		return;
	reader = AvroParseSchema(&arena, (const char *) data, (size_t) (zero - data), &fault);
	writer = AvroParseSchema(&arena, (const char *) zero + 1, size - (size_t) (zero + 1 - data), &fault);
	if (reader != NULL)
		REQUIRE(compare(&arena, reader, reader).other_errors == 0);
	if (reader != NULL && writer != NULL)
	{
		REQUIRE(compare(&arena, reader, writer).sum == compare(&arena, reader, writer).sum);
		compare(&arena, writer, reader);
	}
	memory_free(&memory);
}
