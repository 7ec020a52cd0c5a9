/*-------------------------------------------------------------------------
 *
 * schema_parse.c
 *	  Reads an Avro schema from JSON text and refuses any other text.
 *
 * The parser is the lint: its result can be walked, decoded with and handed to
 * other libraries without further checks.  Beyond the specification
 * it refuses logical types of ours with parameters that make no sense (other
 * readers would silently ignore the annotation) and nesting without bound.
 *
 * Plain C, see schema_model.h.  JSON is read by jansson; its json_object() is
 * never called, since the server's executable has a function of that name,
 * which the dynamic linker would take instead.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "avro/schema/schema_parser.h"

AvroNode *
AvroNewNode(AvroParser *state, AvroKind kind)
{
	AvroNode *node = AvroAlloc(state->arena, 1, sizeof(AvroNode), state->fault);

	if (node == NULL)
		return NULL;
	node->kind = kind;
	node->previous = state->nodes;
	state->nodes = node;
	return node;
}

/* A type given by a JSON string: a primitive, or a name defined before. */
static AvroNode *
parse_reference(AvroParser *state, const char *name, const char *space)
{
	int kind = AvroPrimitiveKind(name);
	AvroNode *node;
	char *fullname;

	if (kind >= 0)
		return AvroNewNode(state, (AvroKind) kind);
	if (!AvroIsFullName(name, strlen(name)))
	{
		AvroFail(state->fault, "\"%.100s\" is not the name of a type", name);
		return NULL;
	}
	fullname = AvroQualifyName(state, name, space);
	if (fullname == NULL)
		return NULL;
	node = AvroFindNamed(state, fullname);
	if (node == NULL)
		AvroFail(state->fault, "type \"%.100s\" is not defined before it is used", fullname);
	return node;
}

static AvroNode *
parse_items(AvroParser *state, AvroKind kind, json_t *json, const char *space, int depth)
{
	const char *key = kind == AVRO_KIND_ARRAY ? "items" : "values";
	json_t *items = json_object_get(json, key);
	AvroNode *node = AvroNewNode(state, kind);

	if (node == NULL)
		return NULL;
	if (items == NULL)
	{
		AvroFail(state->fault, "an array or map has no attribute \"%s\"", key);
		return NULL;
	}
	node->items = AvroParseType(state, items, space, depth + 1);
	return node->items != NULL ? node : NULL;
}

/* Two branches that a reader could not tell apart. */
static bool
same_branch(const AvroNode *a, const AvroNode *b)
{
	if (a->name != NULL || b->name != NULL)
		return a == b;
	return a->kind == b->kind;
}

static AvroNode *
parse_union(AvroParser *state, json_t *json, const char *space, int depth)
{
	AvroNode *node = AvroNewNode(state, AVRO_KIND_UNION);
	size_t n = json_array_size(json);
	size_t i;
	int j;

	if (node == NULL)
		return NULL;
	if (n == 0)
	{
		AvroFail(state->fault, "a union has no branches");
		return NULL;
	}
	node->branches = AvroAlloc(state->arena, n, sizeof(AvroNode *), state->fault);
	if (node->branches == NULL)
		return NULL;
	for (i = 0; i < n; i++)
	{
		AvroNode *branch = AvroParseType(state, json_array_get(json, i), space, depth + 1);

		if (branch == NULL)
			return NULL;
		if (branch->kind == AVRO_KIND_UNION)
		{
			AvroFail(state->fault, "a union contains a union");
			return NULL;
		}
		for (j = 0; j < node->count; j++)
		{
			if (same_branch(node->branches[j], branch))
			{
				AvroFail(state->fault, "a union has the same type twice");
				return NULL;
			}
		}
		node->branches[node->count++] = branch;
	}
	return node;
}

static bool
parse_decimal(AvroNode *node, json_t *json, AvroFault *fault)
{
	json_t *precision = json_object_get(json, "precision");
	json_t *scale = json_object_get(json, "scale");

	if (!json_is_integer(precision) || json_integer_value(precision) < 1 ||
		json_integer_value(precision) > 100000)
		return AvroFail(fault, "a decimal has no precision from 1 to 100000");
	if (scale != NULL && (!json_is_integer(scale) || json_integer_value(scale) < 0 || json_integer_value(scale) > json_integer_value(precision)))
		return AvroFail(fault, "the scale of a decimal is not between 0 and its precision");
	node->precision = (int) json_integer_value(precision);
	node->scale = scale != NULL ? (int) json_integer_value(scale) : 0;
	return true;
}

/* Kept for the comparison of schemas. A decimal on a fixed, which we never write, with bad numbers is no decimal. */
static bool
parse_other_logical(AvroParser *state, AvroNode *node, const char *name, json_t *json)
{
	AvroFault ignored;

	node->other_logical = AvroCopyText(state->arena, name, strlen(name), state->fault);
	if (node->other_logical == NULL)
		return false;
	if (node->kind == AVRO_KIND_FIXED && strcmp(name, avro_logical_names[AVRO_LOGICAL_DECIMAL]) == 0)
		parse_decimal(node, json, &ignored);
	return true;
}

/* An annotation on a base type it does not fit is ignored, as the specification asks. */
bool
AvroParseLogical(AvroParser *state, AvroNode *node, json_t *json)
{
	static const AvroKind base[AVRO_LOGICAL_KINDS] = {
		[AVRO_LOGICAL_DECIMAL] = AVRO_KIND_BYTES,
		[AVRO_LOGICAL_UUID] = AVRO_KIND_STRING,
		[AVRO_LOGICAL_DATE] = AVRO_KIND_INT,
		[AVRO_LOGICAL_TIME_MICROS] = AVRO_KIND_LONG,
		[AVRO_LOGICAL_TIMESTAMP_MICROS] = AVRO_KIND_LONG};
	const char *name = json_string_value(json_object_get(json, "logicalType"));
	int i;

	for (i = 1; name != NULL && i < AVRO_LOGICAL_KINDS; i++)
	{
		if (strcmp(name, avro_logical_names[i]) == 0 && node->kind == base[i])
			node->logical = (AvroLogical) i;
	}
	if (name != NULL && node->logical == AVRO_LOGICAL_NONE)
		return parse_other_logical(state, node, name, json);
	return node->logical != AVRO_LOGICAL_DECIMAL || parse_decimal(node, json, state->fault);
}

static AvroNode *
parse_object(AvroParser *state, json_t *json, const char *space, int depth)
{
	json_t *type = json_object_get(json, "type");
	const char *name = json_string_value(type);
	AvroNode *node;
	int kind;

	if (json_is_object(type) || json_is_array(type))
		return AvroParseType(state, type, space, depth + 1);
	if (name == NULL)
	{
		AvroFail(state->fault, "a type is an object without the attribute \"type\"");
		return NULL;
	}
	if (strcmp(name, "record") == 0)
		return AvroParseRecord(state, json, space, depth);
	if (strcmp(name, "enum") == 0)
		return AvroParseEnum(state, json, space);
	if (strcmp(name, "fixed") == 0)
		return AvroParseFixed(state, json, space);
	if (strcmp(name, "array") == 0)
		return parse_items(state, AVRO_KIND_ARRAY, json, space, depth);
	if (strcmp(name, "map") == 0)
		return parse_items(state, AVRO_KIND_MAP, json, space, depth);
	kind = AvroPrimitiveKind(name);
	if (kind < 0)
		return parse_reference(state, name, space);
	node = AvroNewNode(state, (AvroKind) kind);
	if (node == NULL || !AvroParseLogical(state, node, json))
		return NULL;
	return node;
}

AvroNode *
AvroParseType(AvroParser *state, json_t *json, const char *space, int depth)
{
	if (depth > AVRO_MAX_SCHEMA_DEPTH)
	{
		AvroFail(state->fault, "types are nested deeper than %d", AVRO_MAX_SCHEMA_DEPTH);
		return NULL;
	}
	switch (json_typeof(json))
	{
		case JSON_STRING:
			return parse_reference(state, json_string_value(json), space);
		case JSON_OBJECT:
			return parse_object(state, json, space, depth);
		case JSON_ARRAY:
			return parse_union(state, json, space, depth);
		default:
			AvroFail(state->fault, "a type is neither a name nor an object nor an array");
			return NULL;
	}
}

AvroNode *
AvroParseSchema(AvroArena *arena, const char *text, size_t length, AvroFault *fault)
{
	AvroParser state = {.arena = arena, .fault = fault};
	json_error_t error;
	AvroNode *node;
	json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);

	if (json == NULL)
	{
		AvroFail(fault, "the schema is not JSON: %s (line %d, column %d)",
				 error.text, error.line, error.column);
		return NULL;
	}
	node = AvroParseType(&state, json, "", 0);
	json_decref(json);
	if (node == NULL || !AvroMeasure(state.nodes, fault))
		return NULL;
	return node;
}
