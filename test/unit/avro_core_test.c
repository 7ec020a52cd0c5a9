/*-------------------------------------------------------------------------
 *
 * avro_core_test.c
 *	  The server-free part of the Avro layer, under sanitizers: numbers at their
 *	  limits, schemas and records of arbitrary bytes, memory that runs out.
 *
 * Prints one line per failed check and exits 1. Random input comes from a fixed
 * seed, or from the one given as argument.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "avro/decode/wire_decode.h"
#include "avro/schema/schema_model.h"
#include "avro/values/wire.h"
#include "check.h"
#include "memory.h"

static uint64_t random_state;

static uint32_t
random_number(void)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t) (random_state >> 33);
}

/* A visitor that reads every byte it is shown. */
typedef struct Sum
{
	uint64_t sum;
	int scalars;
	int open;
	int64_t last;
} Sum;

static bool
sum_bytes(Sum *sum, const char *bytes, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		sum->sum += (unsigned char) bytes[i];
	return true;
}

static bool
sum_scalar(void *state, const AvroNode *node, const AvroScalar *value)
{
	Sum *sum = state;

	sum->scalars++;
	sum->last = value->integer;
	if (node->kind == AVRO_KIND_ENUM)
		return sum_bytes(sum, node->symbols[value->integer], 1);
	return sum_bytes(sum, value->bytes, value->length);
}

static bool
sum_begin(void *state, const AvroNode *node)
{
	(void) node;
	((Sum *) state)->open++;
	return true;
}

static bool
sum_member(void *state, const AvroNode *node, const char *name, size_t length)
{
	(void) node;
	return sum_bytes(state, name, length);
}

static bool
sum_end(void *state, const AvroNode *node)
{
	(void) node;
	((Sum *) state)->open--;
	return true;
}

static const AvroVisitor sum_visitor = {
	.scalar = sum_scalar,
	.begin = sum_begin,
	.member = sum_member,
	.end = sum_end};

static const char *const schemas[] = {
	"\"long\"",
	"{\"type\": \"record\", \"name\": \"a.R\", \"doc\": \"d\\n\\\"\", \"fields\": ["
	"{\"name\": \"b\", \"type\": \"boolean\"}, {\"name\": \"i\", \"type\": [\"null\", \"int\"], \"default\": null, \"doc\": \"x\"},"
	"{\"name\": \"l\", \"type\": \"long\"}, {\"name\": \"f\", \"type\": \"float\"}, {\"name\": \"d\", \"type\": \"double\"},"
	"{\"name\": \"s\", \"type\": \"string\"}, {\"name\": \"y\", \"type\": \"bytes\"},"
	"{\"name\": \"n\", \"type\": {\"type\": \"bytes\", \"logicalType\": \"decimal\", \"precision\": 10, \"scale\": 2}},"
	"{\"name\": \"t\", \"type\": {\"type\": \"long\", \"logicalType\": \"timestamp-micros\"}},"
	"{\"name\": \"e\", \"type\": {\"type\": \"enum\", \"name\": \"E\", \"symbols\": [\"A\", \"B\"]}},"
	"{\"name\": \"x\", \"type\": {\"type\": \"fixed\", \"name\": \"b.F\", \"size\": 4}},"
	"{\"name\": \"a\", \"type\": {\"type\": \"array\", \"items\": \"E\"}},"
	"{\"name\": \"m\", \"type\": {\"type\": \"map\", \"values\": [\"null\", \"b.F\"]}},"
	"{\"name\": \"r\", \"type\": {\"type\": \"array\", \"items\": \"R\"}}]}",
	"{\"type\": \"record\", \"name\": \"List\", \"fields\": [{\"name\": \"next\", \"type\": [\"null\", \"List\"], \"default\": null}]}",
	"{\"type\": \"array\", \"items\": \"null\"}",
	"{\"type\": \"array\", \"items\": {\"type\": \"record\", \"name\": \"Nothing\", \"fields\": []}}",
	"{\"type\": \"array\", \"items\": {\"type\": \"array\", \"items\": {\"type\": \"map\", \"values\": \"string\"}}}"};

static AvroNode *
parse(Memory *memory, const char *text, size_t length)
{
	AvroArena arena = {.alloc = memory_alloc, .context = memory};
	AvroFault fault;

	return AvroParseSchema(&arena, text, length, &fault);
}

static void
test_numbers(void)
{
	static const int64_t values[] = {
		0, -1, 1, 63, 64, -64, -65, 8191, 8192, INT32_MAX, INT32_MIN, INT64_C(1) << 62, INT64_MAX, INT64_MIN};
	char bytes[AVRO_LONG_BYTES + 1];
	size_t i;
	size_t cut;

	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++)
	{
		char *end = AvroPutLong(bytes, values[i]);
		AvroInput in = {.next = bytes, .end = end};
		int64_t back;

		CHECK(end - bytes <= AVRO_LONG_BYTES);
		CHECK(values[i] < INT32_MIN || values[i] > INT32_MAX || end - bytes <= AVRO_INT_BYTES);
		CHECK(AvroGetLong(&in, &back) && back == values[i] && in.next == end);
		for (cut = 0; cut < (size_t) (end - bytes); cut++)
		{
			in.next = bytes;
			in.end = bytes + cut;
			CHECK(!AvroGetLong(&in, &back));
		}
	}
}

static void
test_utf8(void)
{
	CHECK(AvroIsUtf8("", 0));
	CHECK(AvroIsUtf8("a\0b", 3));
	CHECK(AvroIsUtf8("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9));
	CHECK(AvroIsUtf8("\xf4\x8f\xbf\xbf", 4));
	CHECK(!AvroIsUtf8("\xc3", 1));
	CHECK(!AvroIsUtf8("\xc0\x80", 2));
	CHECK(!AvroIsUtf8("\xe0\x9f\xbf", 3));
	CHECK(!AvroIsUtf8("\xed\xa0\x80", 3));
	CHECK(!AvroIsUtf8("\xf0\x8f\xbf\xbf", 4));
	CHECK(!AvroIsUtf8("\xf4\x90\x80\x80", 4));
	CHECK(!AvroIsUtf8("\xff", 1));
	CHECK(!AvroIsUtf8("\x80", 1));
}

/* The text that we write is read back as the same schema, and is written the same again. */
static void
test_texts(void)
{
	size_t i;

	for (i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++)
	{
		Memory memory = {.left = -1};
		AvroArena arena = {.alloc = memory_alloc, .context = &memory};
		AvroFault fault;
		AvroNode *schema = parse(&memory, schemas[i], strlen(schemas[i]));
		char *text = schema != NULL ? AvroSchemaText(&arena, schema, &fault) : NULL;
		AvroNode *again = text != NULL ? parse(&memory, text, strlen(text)) : NULL;

		CHECK(again != NULL);
		if (again != NULL)
		{
			CHECK(strcmp(text, AvroSchemaText(&arena, again, &fault)) == 0);
			CHECK(strcmp(AvroCanonicalForm(&arena, schema, &fault),
						 AvroCanonicalForm(&arena, again, &fault)) == 0);
		}
		memory_free(&memory);
	}
}

static void
test_fingerprints(void)
{
	CHECK(AvroCrc64("", 0) == UINT64_C(0xc15d213aa4d7a795));
	CHECK(AvroCrc64("\"null\"", 6) == (uint64_t) INT64_C(7195948357588979594));
	CHECK(AvroCrc64("\"int\"", 5) == (uint64_t) INT64_C(8247732601305521295));
}

/* Every allocation may be the one that fails. */
static void
test_memory_runs_out(void)
{
	const char *text = schemas[1];
	long n;

	for (n = 0; n < 500; n++)
	{
		Memory memory = {.left = n};
		AvroArena arena = {.alloc = memory_alloc, .context = &memory};
		AvroFault fault = {""};
		AvroNode *schema = AvroParseSchema(&arena, text, strlen(text), &fault);
		bool done = schema != NULL && AvroSchemaText(&arena, schema, &fault) != NULL &&
			AvroCanonicalForm(&arena, schema, &fault) != NULL;

		memory_free(&memory);
		if (done)
			break;
		CHECK(strcmp(fault.text, "out of memory") == 0);
	}
	CHECK(n > 20 && n < 500);
}

static bool
decodes(const AvroNode *schema, const char *bytes, size_t length, Sum *sum)
{
	/* A copy of exact size, so that a read beyond it is caught. */
	char *copy = malloc(length > 0 ? length : 1);
	AvroFault fault;
	bool result;

	memcpy(copy, bytes, length);
	memset(sum, 0, sizeof(*sum));
	result = AvroDecode(schema, copy, length, &sum_visitor, sum, &fault);
	CHECK(result || fault.text[0] != '\0');
	CHECK(!result || sum->open == 0);
	free(copy);
	return result;
}

static void
test_limits(void)
{
	Memory memory = {.left = -1};
	AvroNode *list = parse(&memory, schemas[2], strlen(schemas[2]));
	AvroNode *nulls = parse(&memory, schemas[3], strlen(schemas[3]));
	AvroNode *nothings = parse(&memory, schemas[4], strlen(schemas[4]));
	AvroNode *number = parse(&memory, schemas[0], strlen(schemas[0]));
	char bytes[200];
	char *end;
	Sum sum;

	memset(bytes, 2, sizeof(bytes));
	bytes[20] = 0;
	CHECK(decodes(list, bytes, 21, &sum) && sum.scalars == 1);
	bytes[20] = 2;
	bytes[199] = 0;
	CHECK(!decodes(list, bytes, 200, &sum)); /* deeper than AVRO_MAX_VALUE_DEPTH */

	end = AvroPutLong(bytes, 1000);
	*end++ = 0;
	CHECK(decodes(nulls, bytes, (size_t) (end - bytes), &sum) && sum.scalars == 1000);
	CHECK(decodes(nothings, bytes, (size_t) (end - bytes), &sum));
	end = AvroPutLong(bytes, INT64_MAX);
	*end++ = 0;
	CHECK(!decodes(nulls, bytes, (size_t) (end - bytes), &sum));
	CHECK(!decodes(nothings, bytes, (size_t) (end - bytes), &sum));
	end = AvroPutLong(bytes, INT64_MIN);
	*end++ = 0;
	*end++ = 0;
	CHECK(!decodes(nulls, bytes, (size_t) (end - bytes), &sum));

	/* A block with its size in front. */
	end = AvroPutLong(bytes, -3);
	end = AvroPutLong(end, 0);
	*end++ = 0;
	CHECK(decodes(nulls, bytes, (size_t) (end - bytes), &sum) && sum.scalars == 3);

	/* An 11-byte number, and one that does not fit 64 bits. */
	CHECK(!decodes(number, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11, &sum));
	CHECK(!decodes(number, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, &sum));
	CHECK(decodes(number, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, &sum) && sum.last == INT64_MIN);
	memory_free(&memory);
}

/* Bytes of no meaning are decoded or refused, within bounds. */
static void
test_random_records(int rounds)
{
	Memory memory = {.left = -1};
	char bytes[256];
	size_t i;
	int accepted = 0;

	for (i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++)
	{
		AvroNode *schema = parse(&memory, schemas[i], strlen(schemas[i]));
		int round;

		for (round = 0; round < rounds; round++)
		{
			size_t length = random_number() % sizeof(bytes);
			size_t k;
			Sum sum;

			/* Small numbers keep the walk going longer than uniform bytes would. */
			for (k = 0; k < length; k++)
				bytes[k] = (char) (random_number() % 3 > 0 ? random_number() % 5 : random_number());
			accepted += decodes(schema, bytes, length, &sum);
		}
	}
	CHECK(accepted > 0);
	memory_free(&memory);
}

/* Schemas with some bytes changed, removed or repeated are read or refused. */
static void
test_mutated_schemas(int rounds)
{
	char text[4096];
	int accepted = 0;
	int round;

	for (round = 0; round < rounds; round++)
	{
		const char *source = schemas[random_number() % (sizeof(schemas) / sizeof(schemas[0]))];
		size_t length = strlen(source);
		int changes = (int) (random_number() % 4);
		Memory memory = {.left = -1};
		AvroArena arena = {.alloc = memory_alloc, .context = &memory};
		AvroFault fault;
		AvroNode *schema;

		memcpy(text, source, length);
		while (changes-- > 0)
		{
			size_t at = random_number() % length;
			size_t n = random_number() % 16;

			if (n > length - at)
				n = length - at;
			if (random_number() % 2 == 0)
				text[at] = "\"{}[],:az0-\\ \x80"[random_number() % 14];
			else if (length + n < sizeof(text))
			{
				memmove(text + at + n, text + at, length - at);
				length += n;
			}
		}
		schema = parse(&memory, text, length);
		if (schema != NULL)
		{
			accepted++;
			CHECK(AvroSchemaText(&arena, schema, &fault) != NULL);
			CHECK(AvroCanonicalForm(&arena, schema, &fault) != NULL);
		}
		memory_free(&memory);
	}
	CHECK(accepted > 0);
}

int
main(int argc, char **argv)
{
	random_state = argc > 1 ? strtoull(argv[1], NULL, 10) : 20110601;
	test_numbers();
	test_utf8();
	test_texts();
	test_fingerprints();
	test_memory_runs_out();
	test_limits();
	test_random_records(20000);
	test_mutated_schemas(20000);
	printf("%d checks, %d failed\n", checks, failures);
	return failures > 0;
}
