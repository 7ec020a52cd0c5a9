/*-------------------------------------------------------------------------
 *
 * second_opinion.c
 *	  Asks libavro, an independent implementation, about our schemas and bytes.
 *
 * The only file that includes <avro.h>.  Never on the path of capture or relay.
 * What to know about libavro 1.11.1:
 * - a fixed of negative size and a record that directly contains itself crash
 *	 it, and it is not safe with hostile bytes: our own parser and decoder, which
 *	 are, come first;
 * - after a failed parse the schema pointer is dangling;
 * - its memory is malloc'd, so nothing between its first and its last call may
 *	 raise: the comparison below allocates nothing;
 * - the functions that make JSON out of values call jansson's json_object(),
 *	 which inside the server binds to the SQL function of that name: values
 *	 are compared piece by piece instead.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <avro.h>

#include "mb/pg_wchar.h"

#include "avro/decode/wire_decode.h"
#include "avro/outbox_avro.h"
#include "avro/schema/schema.h"
#include "avro/types/type_shape.h"

/* A record, array or map of libavro that is being walked through. */
typedef struct Level
{
	avro_value_t value;
	size_t next; /* members seen */
} Level;

typedef struct Comparison
{
	avro_value_t current; /* the value that the next callback is about */
	Level levels[AVRO_MAX_VALUE_DEPTH + 1];
	int depth;
	const char *field; /* of the outermost record; not NUL-terminated in general */
	size_t field_length;
	AvroFault difference;
} Comparison;

/* A schema as both sides know it. libavro's handles are malloc'd and freed with the memory context. */
struct OutboxAvroReader
{
	AvroNode *schema;
	avro_schema_t libavro_schema;
	avro_value_iface_t *libavro_class;
	AvroFault fault; /* why there is no schema or class */
	MemoryContextCallback release;
};

static bool
differs(Comparison *comparison, const char *what)
{
	if (comparison->depth == 0)
		return AvroFail(&comparison->difference, "libavro reads another %s", what);
	return AvroFail(&comparison->difference, "libavro reads another %s in field %.*s", what,
					(int) Min(comparison->field_length, 200), comparison->field);
}

static bool
same_string(avro_value_t *value, const AvroScalar *scalar)
{
	const char *bytes;
	size_t size;

	/* libavro counts the NUL at the end. */
	return avro_value_get_string(value, &bytes, &size) == 0 && size == scalar->length + 1 &&
		memcmp(bytes, scalar->bytes, scalar->length) == 0;
}

static bool
same_bytes(avro_value_t *value, const AvroScalar *scalar, bool fixed)
{
	const void *bytes;
	size_t size;
	int result;

	if (fixed)
		result = avro_value_get_fixed(value, &bytes, &size);
	else
		result = avro_value_get_bytes(value, &bytes, &size);
	return result == 0 && size == scalar->length &&
		(size == 0 || memcmp(bytes, scalar->bytes, size) == 0);
}

static bool
same_number(avro_value_t *value, const AvroNode *node, const AvroScalar *scalar)
{
	int boolean;
	int symbol;
	int32_t i32;
	int64_t i64;
	float single;
	double number;

	switch (node->kind)
	{
		case AVRO_KIND_BOOLEAN:
			return avro_value_get_boolean(value, &boolean) == 0 && (boolean != 0) == scalar->boolean;
		case AVRO_KIND_INT:
			return avro_value_get_int(value, &i32) == 0 && i32 == scalar->integer;
		case AVRO_KIND_LONG:
			return avro_value_get_long(value, &i64) == 0 && i64 == scalar->integer;
		case AVRO_KIND_ENUM:
			return avro_value_get_enum(value, &symbol) == 0 && symbol == scalar->integer;
		case AVRO_KIND_FLOAT:
			return avro_value_get_float(value, &single) == 0 &&
				memcmp(&single, &scalar->single, sizeof(single)) == 0;
		case AVRO_KIND_DOUBLE:
			return avro_value_get_double(value, &number) == 0 &&
				memcmp(&number, &scalar->number, sizeof(number)) == 0;
		default:
			return avro_value_get_null(value) == 0;
	}
}

static bool
compare_scalar(void *state, const AvroNode *node, const AvroScalar *scalar)
{
	Comparison *comparison = state;
	bool same;

	switch (node->kind)
	{
		case AVRO_KIND_STRING:
			same = same_string(&comparison->current, scalar);
			break;
		case AVRO_KIND_BYTES:
		case AVRO_KIND_FIXED:
			same = same_bytes(&comparison->current, scalar, node->kind == AVRO_KIND_FIXED);
			break;
		default:
			same = same_number(&comparison->current, node, scalar);
			break;
	}
	return same || differs(comparison, "value");
}

static bool
compare_begin(void *state, const AvroNode *node)
{
	Comparison *comparison = state;
	avro_type_t expected = node->kind == AVRO_KIND_RECORD ? AVRO_RECORD : node->kind == AVRO_KIND_ARRAY ? AVRO_ARRAY
																										: AVRO_MAP;
	Level *level;

	if (avro_value_get_type(&comparison->current) != expected)
		return differs(comparison, "type");
	level = &comparison->levels[++comparison->depth];
	level->value = comparison->current;
	level->next = 0;
	return true;
}

/* Steps to the next part of the innermost record, array or map; *name is its field or key. */
static bool
next_part(Comparison *comparison, const char **name)
{
	Level *level = &comparison->levels[comparison->depth];

	return avro_value_get_by_index(&level->value, level->next++, &comparison->current, name) == 0;
}

static bool
compare_member(void *state, const AvroNode *node, const char *name, size_t length)
{
	Comparison *comparison = state;
	const char *other = NULL;

	if (comparison->depth == 1)
	{
		comparison->field = name;
		comparison->field_length = length;
	}
	if (!next_part(comparison, &other) || other == NULL ||
		strlen(other) != length || memcmp(other, name, length) != 0)
		return differs(comparison, "member");
	return true;
}

static bool
compare_item(void *state, const AvroNode *node)
{
	Comparison *comparison = state;

	return next_part(comparison, NULL) || differs(comparison, "number of items");
}

static bool
compare_end(void *state, const AvroNode *node)
{
	Comparison *comparison = state;
	Level *level = &comparison->levels[comparison->depth];
	size_t size;

	if (avro_value_get_size(&level->value, &size) != 0 || size != level->next)
		return differs(comparison, "number of items");
	comparison->depth--;
	return true;
}

static bool
compare_branch(void *state, const AvroNode *node, int index)
{
	Comparison *comparison = state;
	avro_value_t branch;
	int discriminant;

	if (avro_value_get_discriminant(&comparison->current, &discriminant) != 0 || discriminant != index ||
		avro_value_get_current_branch(&comparison->current, &branch) != 0)
		return differs(comparison, "branch of a union");
	comparison->current = branch;
	return true;
}

static bool
parse_by_libavro(const char *schema_utf8, avro_schema_t *schema, AvroFault *fault)
{
	if (avro_schema_from_json_length(schema_utf8, strlen(schema_utf8), schema) == 0)
		return true;
	*schema = NULL;
	return AvroFail(fault, "libavro does not read the schema: %.300s", avro_strerror());
}

static void
release_reader(void *arg)
{
	OutboxAvroReader *reader = arg;

	if (reader->libavro_class != NULL)
		avro_value_iface_decref(reader->libavro_class);
	if (reader->libavro_schema != NULL)
		avro_schema_decref(reader->libavro_schema);
}

OutboxAvroReader *
OutboxAvroReaderCreate(const char *schema_text)
{
	OutboxAvroReader *reader = palloc0(sizeof(OutboxAvroReader));
	char *schema_utf8 = pg_server_to_any(schema_text, strlen(schema_text), PG_UTF8);

	reader->schema = OutboxLoadSchema(schema_text, &reader->fault);
	if (reader->schema == NULL)
		return reader;
	reader->release.func = release_reader;
	reader->release.arg = reader;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &reader->release);
	if (!parse_by_libavro(schema_utf8, &reader->libavro_schema, &reader->fault))
		return reader;
	reader->libavro_class = avro_generic_class_from_schema(reader->libavro_schema);
	if (reader->libavro_class == NULL)
		(void) AvroFail(&reader->fault, "libavro makes no value of the schema: %.300s", avro_strerror());
	return reader;
}

/* Lets libavro read the bytes into a value of the schema; raises nothing. */
static bool
read_by_libavro(avro_value_t *value, const char *bytes, Size len, AvroFault *fault)
{
	avro_reader_t input = avro_reader_memory(bytes, (int64_t) len);
	bool well = true;
	char next;

	if (input == NULL || avro_value_read(input, value) != 0)
		well = AvroFail(fault, "libavro does not read the record: %.300s", avro_strerror());
	/* avro_reader_is_eof() is for files only. */
	else if (avro_read(input, &next, 1) == 0)
		well = AvroFail(fault, "libavro reads less than the whole record");
	if (input != NULL)
		avro_reader_free(input);
	return well;
}

/*
 * NULL when libavro reads the schema (UTF-8), else its reason, palloc'd. Only for
 * texts that AvroParseSchema has accepted: others may crash libavro.
 */
char *
OutboxLibavroRefuses(const char *schema_utf8)
{
	avro_schema_t schema;
	AvroFault fault;

	if (!parse_by_libavro(schema_utf8, &schema, &fault))
		return pstrdup(fault.text);
	avro_schema_decref(schema);
	return NULL;
}

/* What our own reader does without an audience. */
static bool
ignore_scalar(void *state, const AvroNode *node, const AvroScalar *scalar)
{
	return true;
}

static bool
ignore_node(void *state, const AvroNode *node)
{
	return true;
}

static bool
ignore_member(void *state, const AvroNode *node, const char *name, size_t length)
{
	return true;
}

/* Does libavro read the same values? Between its first and its last call nothing may raise. */
static bool
libavro_agrees(const OutboxAvroReader *reader, const char *bytes, Size len, Comparison *comparison, AvroFault *fault)
{
	static const AvroVisitor compare = {
		.scalar = compare_scalar,
		.begin = compare_begin,
		.member = compare_member,
		.end = compare_end,
		.branch = compare_branch,
		.item = compare_item};
	avro_value_t value;
	bool agreed;

	if (avro_generic_value_new(reader->libavro_class, &value) != 0)
		return AvroFail(fault, "libavro makes no value of the schema: %.300s", avro_strerror());
	agreed = read_by_libavro(&value, bytes, len, fault);
	if (agreed)
	{
		comparison->current = value;
		agreed = AvroDecode(reader->schema, bytes, len, &compare, comparison, fault);
		if (!agreed)
			*fault = comparison->difference;
	}
	avro_value_decref(&value);
	return agreed;
}

char *
OutboxAvroSecondOpinion(const OutboxAvroReader *reader, const char *bytes, Size len)
{
	static const AvroVisitor ignore = {
		.scalar = ignore_scalar,
		.begin = ignore_node,
		.member = ignore_member,
		.end = ignore_node};
	Comparison *comparison;
	AvroFault fault;
	bool agreed;

	if (reader->schema == NULL)
		return psprintf("our own decoder does not read the record: %s", reader->fault.text);
	if (!AvroDecode(reader->schema, bytes, len, &ignore, NULL, &fault))
		return psprintf("our own decoder does not read the record: %s", fault.text);
	if (reader->libavro_class == NULL)
		return pstrdup(reader->fault.text);
	comparison = palloc0(sizeof(Comparison));
	agreed = libavro_agrees(reader, bytes, len, comparison, &fault);
	pfree(comparison);
	return agreed ? NULL : pstrdup(fault.text);
}
