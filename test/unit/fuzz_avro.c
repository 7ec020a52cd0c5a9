/*-------------------------------------------------------------------------
 *
 * fuzz_avro.c
 *	  Fuzz targets for the server-free part of the Avro layer: the schema
 *	  parser, the decoder, and the encoding of primitives.
 *
 * A target fails when a sanitizer objects or when one of the stated properties
 * does not hold; refusing an input is no failure.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "avro/decode/wire_decode.h"
#include "avro/schema/schema_model.h"
#include "avro/values/wire.h"
#include "fuzz.h"
#include "memory.h"

const char *const fuzz_schemas[] = {
	"{\"type\": \"record\", \"name\": \"a.R\", \"doc\": \"d\\n\\\"\", \"fields\": ["
	"{\"name\": \"b\", \"type\": \"boolean\"}, {\"name\": \"i\", \"type\": [\"null\", \"int\"], \"default\": null, \"doc\": \"x\"},"
	"{\"name\": \"l\", \"type\": \"long\"}, {\"name\": \"f\", \"type\": \"float\"}, {\"name\": \"d\", \"type\": \"double\"},"
	"{\"name\": \"s\", \"type\": \"string\"}, {\"name\": \"y\", \"type\": \"bytes\"},"
	"{\"name\": \"n\", \"type\": {\"type\": \"bytes\", \"logicalType\": \"decimal\", \"precision\": 10, \"scale\": 2}},"
	"{\"name\": \"e\", \"type\": {\"type\": \"enum\", \"name\": \"E\", \"symbols\": [\"A\", \"B\"]}},"
	"{\"name\": \"x\", \"type\": {\"type\": \"fixed\", \"name\": \"b.F\", \"size\": 4}},"
	"{\"name\": \"a\", \"type\": {\"type\": \"array\", \"items\": \"E\"}},"
	"{\"name\": \"m\", \"type\": {\"type\": \"map\", \"values\": [\"null\", \"b.F\"]}},"
	"{\"name\": \"r\", \"type\": {\"type\": \"array\", \"items\": \"R\"}}]}",
	"\"long\"",
	"{\"type\": \"record\", \"name\": \"List\", \"fields\": [{\"name\": \"next\", \"type\": [\"null\", \"List\"], \"default\": null}]}",
	"{\"type\": \"array\", \"items\": \"null\"}",
	"{\"type\": \"array\", \"items\": {\"type\": \"record\", \"name\": \"Nothing\", \"fields\": []}}",
	"{\"type\": \"array\", \"items\": {\"type\": \"array\", \"items\": {\"type\": \"map\", \"values\": \"string\"}}}",
	"[\"null\", \"string\", {\"type\": \"int\", \"logicalType\": \"date\"}, {\"type\": \"long\", \"logicalType\": \"timestamp-micros\"}]",
	"{\"type\": \"record\", \"name\": \"n.A\", \"aliases\": [\"B\", \"o.C\"], \"fields\": [{\"name\": \"x\", \"aliases\": [\"y\"], \"default\": 1, \"type\": \"long\"},"
	"{\"name\": \"e\", \"type\": {\"type\": \"enum\", \"name\": \"E\", \"symbols\": [\"A\", \"Z\"], \"default\": \"Z\"}},"
	"{\"name\": \"u\", \"type\": [\"null\", \"A\", {\"type\": \"record\", \"name\": \"m.A\", \"fields\": [{\"name\": \"u\", \"type\": [\"n.A\", \"A\", \"n.E\"]}]}]},"
	"{\"name\": \"d\", \"type\": {\"type\": \"fixed\", \"name\": \"D\", \"size\": 9, \"logicalType\": \"decimal\", \"precision\": 20, \"scale\": 2}}]}",
	"{\"type\": \"map\", \"values\": [\"double\", \"float\", {\"type\": \"enum\", \"name\": \"x.y.Z\", \"symbols\": [\"_1\"]}]}"};
const int fuzz_schema_count = sizeof(fuzz_schemas) / sizeof(fuzz_schemas[0]);

/* A value is seen as the running sum of its parts, in order. */
typedef struct Seen
{
	uint64_t sum;
	int open;
} Seen;

static void
see(Seen *seen, int kind, const void *bytes, size_t length)
{
	const unsigned char *p = bytes;
	size_t i;

	seen->sum = (seen->sum ^ (uint64_t) kind) * UINT64_C(1099511628211);
	for (i = 0; i < length; i++)
		seen->sum = (seen->sum ^ p[i]) * UINT64_C(1099511628211);
}

static bool
see_scalar(void *state, const AvroNode *node, const AvroScalar *value)
{
	Seen *seen = state;

	switch (node->kind)
	{
		case AVRO_KIND_BOOLEAN:
			see(seen, node->kind, &value->boolean, sizeof(bool));
			break;
		case AVRO_KIND_ENUM:
			REQUIRE(value->integer >= 0 && value->integer < node->count);
			/* FALLTHROUGH */
		case AVRO_KIND_INT:
		case AVRO_KIND_LONG:
			see(seen, node->kind, &value->integer, sizeof(int64_t));
			break;
		case AVRO_KIND_FLOAT:
			see(seen, node->kind, &value->single, sizeof(float));
			break;
		case AVRO_KIND_DOUBLE:
			see(seen, node->kind, &value->number, sizeof(double));
			break;
		case AVRO_KIND_STRING:
			REQUIRE(AvroIsUtf8(value->bytes, value->length));
			/* FALLTHROUGH */
		default:
			see(seen, node->kind, value->bytes, value->length);
			break;
	}
	return true;
}

static bool
see_begin(void *state, const AvroNode *node)
{
	see(state, node->kind, "(", 1);
	((Seen *) state)->open++;
	return true;
}

static bool
see_member(void *state, const AvroNode *node, const char *name, size_t length)
{
	see(state, node->kind, name, length);
	return true;
}

static bool
see_end(void *state, const AvroNode *node)
{
	see(state, node->kind, ")", 1);
	((Seen *) state)->open--;
	return true;
}

static bool
see_branch(void *state, const AvroNode *node, int index)
{
	see(state, node->kind, &index, sizeof(index));
	return true;
}

static const AvroVisitor seer = {
	.scalar = see_scalar,
	.begin = see_begin,
	.member = see_member,
	.end = see_end,
	.branch = see_branch};

/* Decodes a copy of exact size, so that a read beyond it is caught. */
static bool
decodes(const AvroNode *schema, const void *bytes, size_t length, Seen *seen)
{
	char *copy = malloc(length > 0 ? length : 1);
	AvroFault fault;
	bool result;

	memcpy(copy, bytes, length);
	memset(seen, 0, sizeof(*seen));
	result = AvroDecode(schema, copy, length, &seer, seen, &fault);
	REQUIRE(result ? seen->open == 0 : fault.text[0] != '\0');
	free(copy);
	return result;
}

static AvroNode *
parse(Memory *memory, const void *text, size_t length)
{
	AvroArena arena = {.alloc = memory_alloc, .context = memory};
	AvroFault fault = {""};
	char *copy = malloc(length > 0 ? length : 1);
	AvroNode *schema;

	memcpy(copy, text, length);
	schema = AvroParseSchema(&arena, copy, length, &fault);
	free(copy);
	REQUIRE(schema != NULL || fault.text[0] != '\0');
	return schema;
}

/* What is accepted is written as a text that means the same, and is written the same again. */
void
fuzz_schema(const uint8_t *data, size_t size)
{
	Memory memory = {.left = -1};
	AvroArena arena = {.alloc = memory_alloc, .context = &memory};
	AvroFault fault;
	AvroNode *schema = parse(&memory, data, size);

	if (schema != NULL)
	{
		char *text = AvroSchemaText(&arena, schema, &fault);
		char *form = AvroCanonicalForm(&arena, schema, &fault);
		AvroNode *again;
		AvroNode *canonical;

		REQUIRE(text != NULL && form != NULL);
		again = parse(&memory, text, strlen(text));
		canonical = parse(&memory, form, strlen(form));
		REQUIRE(again != NULL && canonical != NULL);
		REQUIRE(strcmp(text, AvroSchemaText(&arena, again, &fault)) == 0);
		REQUIRE(strcmp(form, AvroCanonicalForm(&arena, again, &fault)) == 0);
		REQUIRE(strcmp(form, AvroCanonicalForm(&arena, canonical, &fault)) == 0);
		REQUIRE(schema->min_size == again->min_size);
	}
	memory_free(&memory);
}

/* A schema, from the input up to a zero byte or one of ours, and a payload of no meaning. */
void
fuzz_payload(const uint8_t *data, size_t size)
{
	Memory memory = {.left = -1};
	const uint8_t *zero = memchr(data, 0, size);
	AvroNode *schema;
	Seen seen;

	if (size == 0)
		return;
	if (zero != NULL && zero - data > 4)
		schema = parse(&memory, data, (size_t) (zero - data));
	else
	{
		const char *text = fuzz_schemas[data[0] % fuzz_schema_count];

		schema = parse(&memory, text, strlen(text));
		zero = data;
	}
	if (schema != NULL)
		decodes(schema, zero + 1, size - (size_t) (zero + 1 - data), &seen);
	memory_free(&memory);
}

/* A value in the making: what is written, and what a reader must see of it. */
typedef struct Value
{
	Choices choices;
	char bytes[64 * 1024];
	char *end;
	int depth;
	Seen seen;
} Value;

static bool write_value(Value *value, const AvroNode *node);

/* Bytes of a length that fits; letters where a string is wanted. */
static bool
write_bytes(Value *value, const AvroNode *node, size_t length, bool with_length, bool letters)
{
	char *start;
	size_t i;

	if (length + AVRO_LONG_BYTES + 64 > (size_t) (value->bytes + sizeof(value->bytes) - value->end))
		return false;
	if (with_length)
		value->end = AvroPutLong(value->end, (int64_t) length);
	start = value->end;
	for (i = 0; i < length; i++)
		*value->end++ = (char) (letters ? choose_byte(&value->choices) & 0x7f : choose_byte(&value->choices));
	see(&value->seen, node->kind, start, length);
	return true;
}

static void
write_integer(Value *value, const AvroNode *node, int64_t number)
{
	value->end = AvroPutLong(value->end, number);
	see(&value->seen, node->kind, &number, sizeof(number));
}

static bool
write_scalar(Value *value, const AvroNode *node)
{
	uint64_t number = choose_number(&value->choices);

	switch (node->kind)
	{
		case AVRO_KIND_NULL:
			see(&value->seen, node->kind, NULL, 0);
			return true;
		case AVRO_KIND_BOOLEAN:
			*value->end++ = (char) (number & 1);
			see(&value->seen, node->kind, value->end - 1, 1);
			return true;
		case AVRO_KIND_INT:
			write_integer(value, node, (int32_t) number);
			return true;
		case AVRO_KIND_LONG:
			write_integer(value, node, (int64_t) number);
			return true;
		case AVRO_KIND_ENUM:
			write_integer(value, node, (int64_t) (number % (uint64_t) node->count));
			return true;
		case AVRO_KIND_FLOAT:
		{
			uint32_t bits = (uint32_t) number;
			float single;

			memcpy(&single, &bits, sizeof(single));
			value->end = AvroPutFloat(value->end, single);
			see(&value->seen, node->kind, &bits, sizeof(bits));
			return true;
		}
		case AVRO_KIND_DOUBLE:
		{
			double pair;

			memcpy(&pair, &number, sizeof(pair));
			value->end = AvroPutDouble(value->end, pair);
			see(&value->seen, node->kind, &number, sizeof(number));
			return true;
		}
		case AVRO_KIND_FIXED:
			return node->size < 4096 && write_bytes(value, node, (size_t) node->size, false, false);
		default:
			return write_bytes(value, node, number % 300, true, node->kind == AVRO_KIND_STRING);
	}
}

/* Blocks with and without their size in front. */
static bool
write_blocks(Value *value, const AvroNode *node)
{
	int blocks = choose_byte(&value->choices) % 3;

	see_begin(&value->seen, node);
	while (blocks-- > 0 && choices_left(&value->choices) > 0)
	{
		int count = choose_byte(&value->choices) % 5 + 1;

		if (choose_byte(&value->choices) % 2 == 0)
			value->end = AvroPutLong(value->end, count);
		else
		{
			value->end = AvroPutLong(value->end, -count);
			value->end = AvroPutLong(value->end, (int64_t) (choose_number(&value->choices) >> 1));
		}
		while (count-- > 0)
		{
			if (node->kind == AVRO_KIND_MAP && !write_bytes(value, node, choose_byte(&value->choices) % 9, true, true))
				return false;
			if (!write_value(value, node->items))
				return false;
		}
	}
	value->end = AvroPutLong(value->end, 0);
	see_end(&value->seen, node);
	return true;
}

/* False when the value gets too large or too deep, which a recursive schema may always do. */
static bool
write_value(Value *value, const AvroNode *node)
{
	bool done = true;
	int i;

	if (value->depth >= AVRO_MAX_VALUE_DEPTH || value->bytes + sizeof(value->bytes) - value->end < 64)
		return false;
	value->depth++;
	switch (node->kind)
	{
		case AVRO_KIND_RECORD:
			see_begin(&value->seen, node);
			for (i = 0; done && i < node->count; i++)
			{
				see_member(&value->seen, node, node->fields[i].name, strlen(node->fields[i].name));
				done = write_value(value, node->fields[i].type);
			}
			see_end(&value->seen, node);
			break;
		case AVRO_KIND_ARRAY:
		case AVRO_KIND_MAP:
			done = write_blocks(value, node);
			break;
		case AVRO_KIND_UNION:
			i = choose_byte(&value->choices) % (node->count > 0 ? node->count : 1);
			value->end = AvroPutLong(value->end, i);
			see_branch(&value->seen, node, i);
			done = node->count > 0 && write_value(value, node->branches[i]);
			break;
		default:
			done = write_scalar(value, node);
			break;
	}
	value->depth--;
	return done;
}

/* A value that is written is read as it was; one byte less or more is refused. */
void
fuzz_round_trip(const uint8_t *data, size_t size)
{
	static Value value;
	Memory memory = {.left = -1};
	const char *text;
	AvroNode *schema;
	Seen seen;

	value.choices.next = data;
	value.choices.end = data + size;
	value.end = value.bytes;
	value.depth = 0;
	memset(&value.seen, 0, sizeof(value.seen));
	text = fuzz_schemas[choose_byte(&value.choices) % fuzz_schema_count];
	schema = parse(&memory, text, strlen(text));
	if (write_value(&value, schema))
	{
		size_t length = (size_t) (value.end - value.bytes);

		REQUIRE(length >= schema->min_size);
		REQUIRE(decodes(schema, value.bytes, length, &seen));
		REQUIRE(seen.sum == value.seen.sum);
		REQUIRE(length == 0 || !decodes(schema, value.bytes, length - 1, &seen));
		*value.end = 0;
		REQUIRE(!decodes(schema, value.bytes, length + 1, &seen));
	}
	memory_free(&memory);
}

/* The first byte says which target. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const targets[FUZZ_TARGETS])(const uint8_t *, size_t) = {
		fuzz_schema, fuzz_payload, fuzz_round_trip, fuzz_decimal, fuzz_decimal_bytes, [FUZZ_COMPATIBLE] = fuzz_compatible};

	if (size > 0)
		targets[data[0] % FUZZ_TARGETS](data + 1, size - 1);
	return 0;
}
