/*-------------------------------------------------------------------------
 *
 * schema_parse.c
 *	  Reads an Avro schema from JSON text and refuses what is not one.
 *
 * The reader is the lint: what comes out of it can be walked, decoded and
 * handed to other libraries without further checks.  Beyond the specification
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

#include <jansson.h>

#include "avro/schema_model.h"

typedef struct ParseState
{
	AvroArena  *arena;
	AvroFault  *fault;
	AvroNode   *nodes;			/* all nodes so far, newest first */
} ParseState;

static AvroNode *parse_type(ParseState *state, json_t *json, const char *space, int depth);

static AvroNode *
new_node(ParseState *state, AvroKind kind)
{
	AvroNode   *node = AvroAlloc(state->arena, 1, sizeof(AvroNode), state->fault);

	if (node == NULL)
		return NULL;
	node->kind = kind;
	node->previous = state->nodes;
	state->nodes = node;
	return node;
}

/* NULL when there is no such text attribute; copies it into the arena. */
static bool
copy_attribute(ParseState *state, json_t *json, const char *key, const char **value)
{
	json_t	   *attribute = json_object_get(json, key);

	*value = NULL;
	if (attribute == NULL)
		return true;
	if (!json_is_string(attribute))
		return AvroFail(state->fault, "attribute \"%s\" is not a string", key);
	*value = AvroCopyText(state->arena, json_string_value(attribute),
						  json_string_length(attribute), state->fault);
	return *value != NULL;
}

static int
primitive_kind(const char *name)
{
	int			i;

	for (i = 0; i < AVRO_PRIMITIVE_KINDS; i++)
	{
		if (strcmp(name, avro_primitive_names[i]) == 0)
			return i;
	}
	return -1;
}

/* space.name, or name when it is a full name already or space is empty. */
static char *
full_name(ParseState *state, const char *name, const char *space)
{
	size_t		space_length = strlen(space);
	size_t		length = strlen(name);
	char	   *result;

	if (space_length == 0 || strchr(name, '.') != NULL)
		return AvroCopyText(state->arena, name, length, state->fault);
	result = AvroAlloc(state->arena, space_length + length + 2, 1, state->fault);
	if (result == NULL)
		return NULL;
	memcpy(result, space, space_length);
	result[space_length] = '.';
	memcpy(result + space_length + 1, name, length);
	return result;
}

static AvroNode *
find_named(ParseState *state, const char *name)
{
	AvroNode   *node;

	for (node = state->nodes; node != NULL; node = node->previous)
	{
		if (node->name != NULL && strcmp(node->name, name) == 0)
			return node;
	}
	return NULL;
}

/* A type given by a JSON string: a primitive, or a name defined before. */
static AvroNode *
parse_reference(ParseState *state, const char *name, const char *space)
{
	int			kind = primitive_kind(name);
	AvroNode   *node;
	char	   *fullname;

	if (kind >= 0)
		return new_node(state, (AvroKind) kind);
	if (!AvroIsFullName(name, strlen(name)))
	{
		AvroFail(state->fault, "\"%.100s\" is not the name of a type", name);
		return NULL;
	}
	fullname = full_name(state, name, space);
	if (fullname == NULL)
		return NULL;
	node = find_named(state, fullname);
	if (node == NULL)
		AvroFail(state->fault, "type \"%.100s\" is not defined before it is used", fullname);
	return node;
}

/*
 * Names a record, enum or fixed and returns its namespace, in which the types
 * inside are resolved; NULL with a fault.
 */
static const char *
name_node(ParseState *state, AvroNode *node, json_t *json, const char *space)
{
	const char *name;
	const char *own_space;
	char	   *fullname;

	if (!copy_attribute(state, json, "name", &name) ||
		!copy_attribute(state, json, "namespace", &own_space) ||
		!copy_attribute(state, json, "doc", &node->doc))
		return NULL;
	if (name == NULL || !AvroIsFullName(name, strlen(name)))
	{
		AvroFail(state->fault, "a named type has no valid name (\"%.100s\")", name != NULL ? name : "");
		return NULL;
	}
	if (own_space != NULL && own_space[0] != '\0' && !AvroIsFullName(own_space, strlen(own_space)))
	{
		AvroFail(state->fault, "\"%.100s\" is not a valid namespace", own_space);
		return NULL;
	}
	fullname = full_name(state, name, own_space != NULL ? own_space : space);
	if (fullname == NULL)
		return NULL;
	if (primitive_kind(fullname) >= 0)
	{
		AvroFail(state->fault, "\"%s\" is a primitive type and cannot be defined", fullname);
		return NULL;
	}
	if (find_named(state, fullname) != NULL)
	{
		AvroFail(state->fault, "type \"%.100s\" is defined twice", fullname);
		return NULL;
	}
	node->name = fullname;
	return AvroCopyText(state->arena, fullname, AvroNamespaceLength(fullname), state->fault);
}

static bool
parse_field(ParseState *state, AvroNode *record, json_t *json, const char *space, int depth)
{
	AvroField  *field = &record->fields[record->count];
	json_t	   *value;
	int			i;

	if (!json_is_object(json))
		return AvroFail(state->fault, "a field of \"%.100s\" is not an object", record->name);
	if (!copy_attribute(state, json, "name", &field->name) ||
		!copy_attribute(state, json, "doc", &field->doc))
		return false;
	if (field->name == NULL || !AvroIsName(field->name, strlen(field->name)))
		return AvroFail(state->fault, "a field of \"%.100s\" has no valid name (\"%.100s\")",
						record->name, field->name != NULL ? field->name : "");
	for (i = 0; i < record->count; i++)
	{
		if (strcmp(record->fields[i].name, field->name) == 0)
			return AvroFail(state->fault, "field \"%.100s\" of \"%.100s\" is defined twice",
							field->name, record->name);
	}
	value = json_object_get(json, "type");
	if (value == NULL)
		return AvroFail(state->fault, "field \"%.100s\" of \"%.100s\" has no type", field->name, record->name);
	field->type = parse_type(state, value, space, depth);
	if (field->type == NULL)
		return false;
	value = json_object_get(json, "default");
	field->null_default = value != NULL && json_is_null(value);
	if (field->null_default && field->type->kind != AVRO_KIND_NULL &&
		(field->type->kind != AVRO_KIND_UNION || field->type->branches[0]->kind != AVRO_KIND_NULL))
		return AvroFail(state->fault, "the default of field \"%.100s\" of \"%.100s\" is null, but its first type is not",
						field->name, record->name);
	record->count++;
	return true;
}

static AvroNode *
parse_record(ParseState *state, json_t *json, const char *space, int depth)
{
	AvroNode   *node = new_node(state, AVRO_KIND_RECORD);
	json_t	   *fields = json_object_get(json, "fields");
	size_t		i;

	if (node == NULL)
		return NULL;
	space = name_node(state, node, json, space);
	if (space == NULL)
		return NULL;
	if (!json_is_array(fields))
	{
		AvroFail(state->fault, "record \"%.100s\" has no fields array", node->name);
		return NULL;
	}
	node->fields = AvroAlloc(state->arena, json_array_size(fields), sizeof(AvroField), state->fault);
	if (node->fields == NULL)
		return NULL;
	for (i = 0; i < json_array_size(fields); i++)
	{
		if (!parse_field(state, node, json_array_get(fields, i), space, depth + 1))
			return NULL;
	}
	return node;
}

static bool
parse_symbol(ParseState *state, AvroNode *node, json_t *json)
{
	const char *symbol = json_string_value(json);
	int			i;

	if (symbol == NULL || !AvroIsName(symbol, json_string_length(json)))
		return AvroFail(state->fault, "enum \"%.100s\" has a symbol that is not a name (\"%.100s\")",
						node->name, symbol != NULL ? symbol : "");
	for (i = 0; i < node->count; i++)
	{
		if (strcmp(node->symbols[i], symbol) == 0)
			return AvroFail(state->fault, "enum \"%.100s\" has symbol \"%.100s\" twice", node->name, symbol);
	}
	symbol = AvroCopyText(state->arena, symbol, strlen(symbol), state->fault);
	if (symbol == NULL)
		return false;
	node->symbols[node->count++] = symbol;
	return true;
}

static AvroNode *
parse_enum(ParseState *state, json_t *json, const char *space)
{
	AvroNode   *node = new_node(state, AVRO_KIND_ENUM);
	json_t	   *symbols = json_object_get(json, "symbols");
	size_t		i;

	if (node == NULL || name_node(state, node, json, space) == NULL)
		return NULL;
	if (!json_is_array(symbols) || json_array_size(symbols) == 0 || json_array_size(symbols) > INT32_MAX)
	{
		AvroFail(state->fault, "enum \"%.100s\" has no symbols", node->name);
		return NULL;
	}
	node->symbols = AvroAlloc(state->arena, json_array_size(symbols), sizeof(char *), state->fault);
	if (node->symbols == NULL)
		return NULL;
	for (i = 0; i < json_array_size(symbols); i++)
	{
		if (!parse_symbol(state, node, json_array_get(symbols, i)))
			return NULL;
	}
	return node;
}

static AvroNode *
parse_fixed(ParseState *state, json_t *json, const char *space)
{
	AvroNode   *node = new_node(state, AVRO_KIND_FIXED);
	json_t	   *size = json_object_get(json, "size");

	if (node == NULL || name_node(state, node, json, space) == NULL)
		return NULL;
	if (!json_is_integer(size) || json_integer_value(size) < 0 || json_integer_value(size) > INT32_MAX)
	{
		AvroFail(state->fault, "the size of fixed \"%.100s\" is not a number from 0 to 2147483647", node->name);
		return NULL;
	}
	node->size = json_integer_value(size);
	return node;
}

static AvroNode *
parse_items(ParseState *state, AvroKind kind, json_t *json, const char *space, int depth)
{
	const char *key = kind == AVRO_KIND_ARRAY ? "items" : "values";
	json_t	   *items = json_object_get(json, key);
	AvroNode   *node = new_node(state, kind);

	if (node == NULL)
		return NULL;
	if (items == NULL)
	{
		AvroFail(state->fault, "an array or map has no attribute \"%s\"", key);
		return NULL;
	}
	node->items = parse_type(state, items, space, depth + 1);
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
parse_union(ParseState *state, json_t *json, const char *space, int depth)
{
	AvroNode   *node = new_node(state, AVRO_KIND_UNION);
	size_t		n = json_array_size(json);
	size_t		i;
	int			j;

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
		AvroNode   *branch = parse_type(state, json_array_get(json, i), space, depth + 1);

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
parse_decimal(ParseState *state, AvroNode *node, json_t *json)
{
	json_t	   *precision = json_object_get(json, "precision");
	json_t	   *scale = json_object_get(json, "scale");

	if (!json_is_integer(precision) || json_integer_value(precision) < 1 ||
		json_integer_value(precision) > 100000)
		return AvroFail(state->fault, "a decimal has no precision from 1 to 100000");
	if (scale != NULL && (!json_is_integer(scale) || json_integer_value(scale) < 0 ||
						  json_integer_value(scale) > json_integer_value(precision)))
		return AvroFail(state->fault, "the scale of a decimal is not between 0 and its precision");
	node->precision = (int) json_integer_value(precision);
	node->scale = scale != NULL ? (int) json_integer_value(scale) : 0;
	return true;
}

/* An annotation on a base type it does not fit is ignored, as the specification asks. */
static bool
parse_logical(ParseState *state, AvroNode *node, json_t *json)
{
	static const AvroKind base[AVRO_LOGICAL_KINDS] = {
		[AVRO_LOGICAL_DECIMAL] = AVRO_KIND_BYTES,
		[AVRO_LOGICAL_UUID] = AVRO_KIND_STRING,
		[AVRO_LOGICAL_DATE] = AVRO_KIND_INT,
		[AVRO_LOGICAL_TIME_MICROS] = AVRO_KIND_LONG,
		[AVRO_LOGICAL_TIMESTAMP_MICROS] = AVRO_KIND_LONG
	};
	const char *name = json_string_value(json_object_get(json, "logicalType"));
	int			i;

	for (i = 1; name != NULL && i < AVRO_LOGICAL_KINDS; i++)
	{
		if (strcmp(name, avro_logical_names[i]) == 0 && node->kind == base[i])
			node->logical = (AvroLogical) i;
	}
	return node->logical != AVRO_LOGICAL_DECIMAL || parse_decimal(state, node, json);
}

static AvroNode *
parse_object(ParseState *state, json_t *json, const char *space, int depth)
{
	json_t	   *type = json_object_get(json, "type");
	const char *name = json_string_value(type);
	AvroNode   *node;
	int			kind;

	if (json_is_object(type) || json_is_array(type))
		return parse_type(state, type, space, depth + 1);
	if (name == NULL)
	{
		AvroFail(state->fault, "a type is an object without the attribute \"type\"");
		return NULL;
	}
	if (strcmp(name, "record") == 0)
		return parse_record(state, json, space, depth);
	if (strcmp(name, "enum") == 0)
		return parse_enum(state, json, space);
	if (strcmp(name, "fixed") == 0)
		return parse_fixed(state, json, space);
	if (strcmp(name, "array") == 0)
		return parse_items(state, AVRO_KIND_ARRAY, json, space, depth);
	if (strcmp(name, "map") == 0)
		return parse_items(state, AVRO_KIND_MAP, json, space, depth);
	kind = primitive_kind(name);
	if (kind < 0)
		return parse_reference(state, name, space);
	node = new_node(state, (AvroKind) kind);
	if (node == NULL || !parse_logical(state, node, json))
		return NULL;
	return node;
}

static AvroNode *
parse_type(ParseState *state, json_t *json, const char *space, int depth)
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
	ParseState	state = {.arena = arena, .fault = fault};
	json_error_t error;
	AvroNode   *node;
	json_t	   *json = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);

	if (json == NULL)
	{
		AvroFail(fault, "the schema is not JSON: %s (line %d, column %d)",
				 error.text, error.line, error.column);
		return NULL;
	}
	node = parse_type(&state, json, "", 0);
	json_decref(json);
	if (node == NULL || !AvroMeasure(state.nodes, fault))
		return NULL;
	return node;
}
