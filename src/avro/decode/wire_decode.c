/*-------------------------------------------------------------------------
 *
 * wire_decode.c
 *	  Walks over one encoded value, driven by its schema.
 *
 * Plain C, see wire_decode.h.  The schema's nodes are the table: each value is
 * one switch on its kind, nothing is allocated.
 *
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>

#include "avro/decode/wire_decode.h"
#include "avro/values/wire.h"

typedef struct Walk
{
	AvroInput in;
	const char *start;
	const AvroVisitor *visitor;
	void *state;
	AvroFault *fault;
	int depth;
	int values;
} Walk;

static bool decode_value(Walk *walk, const AvroNode *node);

static bool
ends_early(Walk *walk, const AvroNode *node)
{
	static const char *const compound[] = {"record", "enum", "fixed", "array", "map", "union"};

	return AvroFail(walk->fault, "no valid %s at byte %zu",
					node->kind < AVRO_PRIMITIVE_KINDS ? avro_primitive_names[node->kind] : compound[node->kind - AVRO_PRIMITIVE_KINDS],
					(size_t) (walk->in.next - walk->start));
}

/* Bytes with their length in front. */
static bool
get_bytes(Walk *walk, const AvroNode *node, const char **bytes, size_t *length)
{
	int64_t n;

	*bytes = NULL;
	*length = 0;
	if (!AvroGetLong(&walk->in, &n) || n < 0 || (uint64_t) n > AvroLeft(&walk->in))
		return ends_early(walk, node);
	*bytes = walk->in.next;
	*length = (size_t) n;
	walk->in.next += n;
	return true;
}

static bool
get_string(Walk *walk, const AvroNode *node, const char **bytes, size_t *length)
{
	if (!get_bytes(walk, node, bytes, length))
		return false;
	if (!AvroIsUtf8(*bytes, *length))
		return AvroFail(walk->fault, "the string that ends at byte %zu is not valid UTF-8",
						(size_t) (walk->in.next - walk->start));
	return true;
}

static bool
decode_scalar(Walk *walk, const AvroNode *node)
{
	AvroScalar value = {0};
	bool read = true;

	switch (node->kind)
	{
		case AVRO_KIND_BOOLEAN:
			read = AvroLeft(&walk->in) >= 1 && (*walk->in.next & 0xfe) == 0;
			if (read)
				value.boolean = *walk->in.next++ != 0;
			break;
		case AVRO_KIND_INT:
			read = AvroGetLong(&walk->in, &value.integer) &&
				value.integer >= INT32_MIN && value.integer <= INT32_MAX;
			break;
		case AVRO_KIND_LONG:
			read = AvroGetLong(&walk->in, &value.integer);
			break;
		case AVRO_KIND_ENUM:
			read = AvroGetLong(&walk->in, &value.integer) &&
				value.integer >= 0 && value.integer < node->count;
			break;
		case AVRO_KIND_FLOAT:
			read = AvroGetFloat(&walk->in, &value.single);
			break;
		case AVRO_KIND_DOUBLE:
			read = AvroGetDouble(&walk->in, &value.number);
			break;
		case AVRO_KIND_FIXED:
			read = AvroLeft(&walk->in) >= (size_t) node->size;
			if (read)
			{
				value.bytes = walk->in.next;
				value.length = (size_t) node->size;
				walk->in.next += node->size;
			}
			break;
		case AVRO_KIND_BYTES:
			if (!get_bytes(walk, node, &value.bytes, &value.length))
				return false;
			break;
		case AVRO_KIND_STRING:
			if (!get_string(walk, node, &value.bytes, &value.length))
				return false;
			break;
		default: /* null */
			break;
	}
	if (!read)
		return ends_early(walk, node);
	return walk->visitor->scalar(walk->state, node, &value);
}

static bool
decode_record(Walk *walk, const AvroNode *node)
{
	const AvroVisitor *visitor = walk->visitor;
	int i;

	if (!visitor->begin(walk->state, node))
		return false;
	for (i = 0; i < node->count; i++)
	{
		const AvroField *field = &node->fields[i];

		if (!visitor->member(walk->state, node, field->name, strlen(field->name)) ||
			!decode_value(walk, field->type))
			return false;
	}
	return visitor->end(walk->state, node);
}

/* One block of an array or map. */
static bool
decode_items(Walk *walk, const AvroNode *node, int64_t count)
{
	const AvroVisitor *visitor = walk->visitor;

	/* Refuse counts that the remaining bytes cannot hold before looping. */
	if (node->items->min_size > 0 && (uint64_t) count > AvroLeft(&walk->in) / node->items->min_size)
		return ends_early(walk, node);
	for (; count > 0; count--)
	{
		if (node->kind == AVRO_KIND_MAP)
		{
			const char *key = NULL;
			size_t length = 0;

			if (!get_string(walk, node, &key, &length) ||
				!visitor->member(walk->state, node, key, length))
				return false;
		}
		else if (visitor->item != NULL && !visitor->item(walk->state, node))
			return false;
		if (!decode_value(walk, node->items))
			return false;
	}
	return true;
}

static bool
decode_blocks(Walk *walk, const AvroNode *node)
{
	if (!walk->visitor->begin(walk->state, node))
		return false;
	for (;;)
	{
		int64_t count;
		int64_t size;

		if (!AvroGetLong(&walk->in, &count) || count == INT64_MIN)
			return ends_early(walk, node);
		if (count == 0)
			return walk->visitor->end(walk->state, node);
		if (count < 0)
		{
			/* The block's size in bytes follows, for readers that skip it. */
			if (!AvroGetLong(&walk->in, &size) || size < 0)
				return ends_early(walk, node);
			count = -count;
		}
		if (!decode_items(walk, node, count))
			return false;
	}
}

static bool
decode_union(Walk *walk, const AvroNode *node)
{
	int64_t index;

	if (!AvroGetLong(&walk->in, &index) || index < 0 || index >= node->count)
		return ends_early(walk, node);
	if (walk->visitor->branch != NULL && !walk->visitor->branch(walk->state, node, (int) index))
		return false;
	return decode_value(walk, node->branches[index]);
}

static bool
decode_value(Walk *walk, const AvroNode *node)
{
	bool result;

	if (++walk->values > AVRO_MAX_VALUES)
		return AvroFail(walk->fault, "more than %d values", AVRO_MAX_VALUES);
	if (walk->depth >= AVRO_MAX_VALUE_DEPTH)
		return AvroFail(walk->fault, "values are nested deeper than %d", AVRO_MAX_VALUE_DEPTH);
	walk->depth++;
	switch (node->kind)
	{
		case AVRO_KIND_RECORD:
			result = decode_record(walk, node);
			break;
		case AVRO_KIND_ARRAY:
		case AVRO_KIND_MAP:
			result = decode_blocks(walk, node);
			break;
		case AVRO_KIND_UNION:
			result = decode_union(walk, node);
			break;
		default:
			result = decode_scalar(walk, node);
			break;
	}
	walk->depth--;
	return result;
}

bool
AvroDecode(const AvroNode *schema, const char *bytes, size_t length,
		   const AvroVisitor *visitor, void *state, AvroFault *fault)
{
	Walk walk = {
		.in = {.next = bytes, .end = bytes + length},
		.start = bytes,
		.visitor = visitor,
		.state = state,
		.fault = fault};

	fault->text[0] = '\0';
	if (!decode_value(&walk, schema))
		return false;
	if (AvroLeft(&walk.in) > 0)
		return AvroFail(fault, "%zu bytes are left after the value", AvroLeft(&walk.in));
	return true;
}
