/*-------------------------------------------------------------------------
 *
 * schema_parse_named.c
 *	  Reads the types of a schema that have names: records, enums, fixed.
 *
 * Plain C, see schema_model.h and schema_parse.c.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "avro/schema/schema_parser.h"

/* NULL when there is no such text attribute; copies it into the arena. */
static bool
copy_attribute(AvroParser *state, json_t *json, const char *key, const char **value)
{
	json_t *attribute = json_object_get(json, key);

	*value = NULL;
	if (attribute == NULL)
		return true;
	if (!json_is_string(attribute))
		return AvroFail(state->fault, "attribute \"%s\" is not a string", key);
	*value = AvroCopyText(state->arena, json_string_value(attribute),
						  json_string_length(attribute), state->fault);
	return *value != NULL;
}

char *
AvroQualifyName(AvroParser *state, const char *name, const char *space)
{
	size_t space_length = strlen(space);
	size_t length = strlen(name);
	char *result;

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

AvroNode *
AvroFindNamed(AvroParser *state, const char *name)
{
	AvroNode *node;

	for (node = state->nodes; node != NULL; node = node->previous)
	{
		if (node->name != NULL && strcmp(node->name, name) == 0)
			return node;
	}
	return NULL;
}

/*
 * The aliases of a type (in its namespace) or of a field (space is NULL).
 * Only the comparison of schemas uses them.
 */
static bool
parse_aliases(AvroParser *state, json_t *json, const char *space, AvroAliases *aliases)
{
	json_t *array = json_object_get(json, "aliases");
	size_t i;

	if (array == NULL)
		return true;
	if (!json_is_array(array))
		return AvroFail(state->fault, "attribute \"aliases\" is not an array");
	aliases->names = AvroAlloc(state->arena, json_array_size(array), sizeof(char *), state->fault);
	if (aliases->names == NULL)
		return false;
	for (i = 0; i < json_array_size(array); i++)
	{
		json_t *item = json_array_get(array, i);
		const char *name = json_string_value(item);

		if (name == NULL || !(space != NULL ? AvroIsFullName : AvroIsName)(name, json_string_length(item)))
			return AvroFail(state->fault, "an alias is not a name (\"%.100s\")", name != NULL ? name : "");
		aliases->names[i] = AvroQualifyName(state, name, space != NULL ? space : "");
		if (aliases->names[i] == NULL)
			return false;
		aliases->count++;
	}
	return true;
}

/*
 * Names a record, enum or fixed and returns its namespace, in which the types
 * inside are resolved; NULL with a fault.
 */
static const char *
name_node(AvroParser *state, AvroNode *node, json_t *json, const char *space)
{
	const char *name;
	const char *own_space;
	char *fullname;

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
	fullname = AvroQualifyName(state, name, own_space != NULL ? own_space : space);
	if (fullname == NULL)
		return NULL;
	if (AvroPrimitiveKind(fullname) >= 0)
	{
		AvroFail(state->fault, "\"%s\" is a primitive type and cannot be defined", fullname);
		return NULL;
	}
	if (AvroFindNamed(state, fullname) != NULL)
	{
		AvroFail(state->fault, "type \"%.100s\" is defined twice", fullname);
		return NULL;
	}
	node->name = fullname;
	space = AvroCopyText(state->arena, fullname, AvroNamespaceLength(fullname), state->fault);
	return space != NULL && parse_aliases(state, json, space, &node->aliases) ? space : NULL;
}

static AvroDefault
default_kind(const json_t *value)
{
	if (value == NULL)
		return AVRO_DEFAULT_NONE;
	switch (json_typeof(value))
	{
		case JSON_NULL:
			return AVRO_DEFAULT_NULL;
		case JSON_TRUE:
		case JSON_FALSE:
			return AVRO_DEFAULT_BOOLEAN;
		case JSON_INTEGER:
			return AVRO_DEFAULT_INTEGER;
		case JSON_REAL:
			return AVRO_DEFAULT_NUMBER;
		case JSON_STRING:
			return AVRO_DEFAULT_STRING;
		case JSON_ARRAY:
			return AVRO_DEFAULT_ARRAY;
		default:
			return AVRO_DEFAULT_OBJECT;
	}
}

static bool
parse_field(AvroParser *state, AvroNode *record, json_t *json, const char *space, int depth)
{
	AvroField *field = &record->fields[record->count];
	json_t *value;
	int i;

	if (!json_is_object(json))
		return AvroFail(state->fault, "a field of \"%.100s\" is not an object", record->name);
	if (!copy_attribute(state, json, "name", &field->name) ||
		!copy_attribute(state, json, "doc", &field->doc) ||
		!parse_aliases(state, json, NULL, &field->aliases))
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
	field->type = AvroParseType(state, value, space, depth);
	if (field->type == NULL)
		return false;
	value = json_object_get(json, "default");
	field->default_kind = default_kind(value);
	field->null_default = field->default_kind == AVRO_DEFAULT_NULL;
	if (field->null_default && field->type->kind != AVRO_KIND_NULL &&
		(field->type->kind != AVRO_KIND_UNION || field->type->branches[0]->kind != AVRO_KIND_NULL))
		return AvroFail(state->fault, "the default of field \"%.100s\" of \"%.100s\" is null, but its first type is not",
						field->name, record->name);
	record->count++;
	return true;
}

AvroNode *
AvroParseRecord(AvroParser *state, json_t *json, const char *space, int depth)
{
	AvroNode *node = AvroNewNode(state, AVRO_KIND_RECORD);
	json_t *fields = json_object_get(json, "fields");
	size_t i;

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
parse_symbol(AvroParser *state, AvroNode *node, json_t *json)
{
	const char *symbol = json_string_value(json);
	int i;

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

/* What a reader takes for symbols that it does not know (Avro 1.9). */
static bool
parse_default_symbol(AvroParser *state, AvroNode *node, json_t *json)
{
	json_t *value = json_object_get(json, "default");
	int i;

	if (value == NULL)
		return true;
	for (i = 0; json_is_string(value) && i < node->count; i++)
	{
		if (strcmp(node->symbols[i], json_string_value(value)) == 0)
			node->default_symbol = node->symbols[i];
	}
	return node->default_symbol != NULL ||
		AvroFail(state->fault, "the default of enum \"%.100s\" is none of its symbols", node->name);
}

AvroNode *
AvroParseEnum(AvroParser *state, json_t *json, const char *space)
{
	AvroNode *node = AvroNewNode(state, AVRO_KIND_ENUM);
	json_t *symbols = json_object_get(json, "symbols");
	size_t i;

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
	return parse_default_symbol(state, node, json) ? node : NULL;
}

AvroNode *
AvroParseFixed(AvroParser *state, json_t *json, const char *space)
{
	AvroNode *node = AvroNewNode(state, AVRO_KIND_FIXED);
	json_t *size = json_object_get(json, "size");

	if (node == NULL || name_node(state, node, json, space) == NULL)
		return NULL;
	if (!json_is_integer(size) || json_integer_value(size) < 0 || json_integer_value(size) > INT32_MAX)
	{
		AvroFail(state->fault, "the size of fixed \"%.100s\" is not a number from 0 to 2147483647", node->name);
		return NULL;
	}
	node->size = json_integer_value(size);
	return AvroParseLogical(state, node, json) ? node : NULL;
}
