/*-------------------------------------------------------------------------
 *
 * rules.c
 *	  How two types fit without a look inside: names, promotions, symbols, sizes,
 *	  and logical types.
 *
 * Plain C, see schema_model.h.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "avro/compatible/comparison.h"

/* The logical types of the specification; ours are in AvroNode.logical. */
static const struct
{
	const char *name;
	AvroKind base;
	int64_t size; /* of a fixed, 0: any */
} known_logicals[] = {
	{"time-millis", AVRO_KIND_INT, 0},
	{"timestamp-millis", AVRO_KIND_LONG, 0},
	{"timestamp-nanos", AVRO_KIND_LONG, 0},
	{"local-timestamp-millis", AVRO_KIND_LONG, 0},
	{"local-timestamp-micros", AVRO_KIND_LONG, 0},
	{"local-timestamp-nanos", AVRO_KIND_LONG, 0},
	{"big-decimal", AVRO_KIND_BYTES, 0},
	{"duration", AVRO_KIND_FIXED, 12},
	{"uuid", AVRO_KIND_FIXED, 16},
	{"decimal", AVRO_KIND_FIXED, 0}};
#define KNOWN_LOGICALS (sizeof(known_logicals) / sizeof(known_logicals[0]))

/* How a logical type binds its reader. */
typedef enum Meaning
{
	MEANING_NONE,
	MEANING_CUSTOM, /* a name of somebody's own: readers that do not know it see the plain type */
	MEANING_UUID,   /* a form of text: nobody sees another value without it */
	MEANING_VALUE   /* the plain type is another value */
} Meaning;

/* Has it numbers, and do they fit into its size? */
static bool
is_decimal(const AvroNode *node)
{
	if (node->precision == 0)
		return false;
	/* 2^(8n-1) has about 0.30103 (8n-1) digits. */
	return node->kind != AVRO_KIND_FIXED || node->precision <= (8 * node->size - 1) * 30103 / 100000;
}

static Meaning
logical_meaning(const AvroNode *node, const char **name)
{
	const char *logical = node->logical != AVRO_LOGICAL_NONE ? avro_logical_names[node->logical] : node->other_logical;
	bool known = node->logical != AVRO_LOGICAL_NONE;
	bool is_name = known;
	size_t i;

	*name = NULL;
	if (logical == NULL)
		return MEANING_NONE;
	for (i = 0; !known && i < KNOWN_LOGICALS; i++)
	{
		if (strcmp(logical, known_logicals[i].name) != 0)
			continue;
		is_name = true;
		known = node->kind == known_logicals[i].base && (known_logicals[i].size == 0 || known_logicals[i].size == node->size);
	}
	for (i = 1; !is_name && i < AVRO_LOGICAL_KINDS; i++)
		is_name = strcmp(logical, avro_logical_names[i]) == 0;
	/* On another base, or without its numbers, a logical type is ignored. */
	if ((is_name && !known) || (strcmp(logical, "decimal") == 0 && !is_decimal(node)))
		return MEANING_NONE;
	*name = logical;
	if (!is_name)
		return MEANING_CUSTOM;
	return strcmp(logical, "uuid") == 0 ? MEANING_UUID : MEANING_VALUE;
}

const char *
AvroKindName(AvroKind kind)
{
	static const char *const names[] = {"record", "enum", "fixed", "array", "map", "union"};

	return kind < AVRO_PRIMITIVE_KINDS ? avro_primitive_names[kind] : names[kind - AVRO_PRIMITIVE_KINDS];
}

/* Can a reader of one kind read values that were written as another kind? */
bool
AvroPromotes(AvroKind reader, AvroKind writer)
{
	switch (reader)
	{
		case AVRO_KIND_LONG:
			return writer == AVRO_KIND_INT;
		case AVRO_KIND_FLOAT:
			return writer == AVRO_KIND_INT || writer == AVRO_KIND_LONG;
		case AVRO_KIND_DOUBLE:
			return writer == AVRO_KIND_INT || writer == AVRO_KIND_LONG || writer == AVRO_KIND_FLOAT;
		case AVRO_KIND_STRING:
			return writer == AVRO_KIND_BYTES;
		case AVRO_KIND_BYTES:
			return writer == AVRO_KIND_STRING;
		default:
			return false;
	}
}

/* Promotions that may lose digits, or that fail for bytes that are no UTF-8. */
static bool
promotion_loses(AvroKind reader, AvroKind writer)
{
	if (reader == AVRO_KIND_FLOAT)
		return writer == AVRO_KIND_INT || writer == AVRO_KIND_LONG;
	if (reader == AVRO_KIND_DOUBLE)
		return writer == AVRO_KIND_LONG;
	return reader == AVRO_KIND_STRING || reader == AVRO_KIND_BYTES;
}

/* Named types match by the name without its namespace. */
bool
AvroSameShortName(const AvroNode *reader, const AvroNode *writer)
{
	size_t skip = AvroNamespaceLength(reader->name);
	size_t writer_skip = AvroNamespaceLength(writer->name);

	return strcmp(reader->name + skip + (skip > 0), writer->name + writer_skip + (writer_skip > 0)) == 0;
}

bool
AvroHasAlias(AvroComparison *comparison, const AvroAliases *aliases, const char *name)
{
	int i;

	if (!AvroCountSteps(comparison, aliases->count))
		return false;
	for (i = 0; i < aliases->count; i++)
	{
		if (strcmp(aliases->names[i], name) == 0)
			return true;
	}
	return false;
}

/* Is a default of this kind of JSON a value of the type, of any branch if it is a union? */
bool
AvroDefaultFits(const AvroNode *type, AvroDefault kind)
{
	int i;

	switch (type->kind)
	{
		case AVRO_KIND_NULL:
			return kind == AVRO_DEFAULT_NULL;
		case AVRO_KIND_BOOLEAN:
			return kind == AVRO_DEFAULT_BOOLEAN;
		case AVRO_KIND_INT:
		case AVRO_KIND_LONG:
			return kind == AVRO_DEFAULT_INTEGER;
		case AVRO_KIND_FLOAT:
		case AVRO_KIND_DOUBLE:
			return kind == AVRO_DEFAULT_INTEGER || kind == AVRO_DEFAULT_NUMBER;
		case AVRO_KIND_BYTES:
		case AVRO_KIND_STRING:
		case AVRO_KIND_FIXED:
		case AVRO_KIND_ENUM:
			return kind == AVRO_DEFAULT_STRING;
		case AVRO_KIND_ARRAY:
			return kind == AVRO_DEFAULT_ARRAY;
		case AVRO_KIND_MAP:
		case AVRO_KIND_RECORD:
			return kind == AVRO_DEFAULT_OBJECT;
		case AVRO_KIND_UNION:
			for (i = 0; i < type->count; i++)
			{
				if (AvroDefaultFits(type->branches[i], kind))
					return true;
			}
			return false;
	}
	return false;
}

AvroOutcome
AvroCompareNames(AvroComparison *comparison, const AvroNode *reader, const AvroNode *writer)
{
	if (AvroSameShortName(reader, writer) || AvroHasAlias(comparison, &reader->aliases, writer->name))
		return AVRO_OUTCOME_CLEAN;
	return AvroReport(comparison, AVRO_SEVERITY_ERROR, AVRO_RULE_NAME, "written as %s \"%.100s\", read as \"%.100s\", which has no such alias",
					  AvroKindName(writer->kind), writer->name, reader->name);
}

static AvroOutcome
compare_symbols(AvroComparison *comparison, const AvroNode *reader, const AvroNode *writer)
{
	AvroOutcome outcome = AVRO_OUTCOME_CLEAN;
	int next = 0; /* symbols mostly stand in the same order */
	int i;
	int j;

	if (reader->default_symbol != NULL)
		return outcome;
	for (i = 0; i < writer->count; i++)
	{
		for (j = 0; j < reader->count; j++)
		{
			if (strcmp(reader->symbols[next], writer->symbols[i]) == 0)
				break;
			next = (next + 1) % reader->count;
		}
		if (!AvroCountSteps(comparison, j + 1))
			return AVRO_OUTCOME_BREAKS;
		if (j == reader->count)
			outcome = AvroReport(comparison, AVRO_SEVERITY_ERROR, AVRO_RULE_ENUM_SYMBOL,
								 "symbol \"%.100s\" may be written, and the reader's enum has neither it nor a default",
								 writer->symbols[i]);
		else
			next = (next + 1) % reader->count;
	}
	return outcome;
}

static AvroOutcome
compare_decimals(AvroComparison *comparison, const AvroNode *reader, const AvroNode *writer)
{
	AvroOutcome outcome = AVRO_OUTCOME_CLEAN;

	if (reader->scale != writer->scale)
		outcome = AvroReport(comparison, AVRO_SEVERITY_ERROR, AVRO_RULE_DECIMAL_SCALE,
							 "written with scale %d, read with scale %d", writer->scale, reader->scale);
	if (reader->precision != writer->precision)
		outcome = AvroWorse(outcome, AvroReport(comparison, reader->precision < writer->precision ? AVRO_SEVERITY_ERROR : AVRO_SEVERITY_WARNING, AVRO_RULE_DECIMAL_PRECISION, "written with precision %d, read with precision %d", writer->precision, reader->precision));
	return outcome;
}

/* Do logical types give the same bytes another meaning? Avro's own rules do not ask. */
static AvroOutcome
compare_logical(AvroComparison *comparison, const AvroNode *reader, const AvroNode *writer)
{
	const char *reader_name;
	const char *writer_name;
	Meaning reader_meaning = logical_meaning(reader, &reader_name);
	Meaning writer_meaning = logical_meaning(writer, &writer_name);
	bool other_value = reader_meaning == MEANING_VALUE || writer_meaning == MEANING_VALUE;

	if (reader_name == NULL && writer_name == NULL)
		return AVRO_OUTCOME_CLEAN;
	if (reader_name != NULL && writer_name != NULL && strcmp(reader_name, writer_name) == 0 && reader->kind == writer->kind)
		return strcmp(reader_name, "decimal") == 0 ? compare_decimals(comparison, reader, writer) : AVRO_OUTCOME_CLEAN;
	return AvroReport(comparison, other_value ? AVRO_SEVERITY_ERROR : AVRO_SEVERITY_WARNING, AVRO_RULE_LOGICAL,
					  "written as %s (%.100s), read as %s (%.100s)",
					  AvroKindName(writer->kind), writer_name != NULL ? writer_name : "no logical type",
					  AvroKindName(reader->kind), reader_name != NULL ? reader_name : "no logical type");
}

/* Neither is a union, and they are not both records, arrays or maps. */
AvroOutcome
AvroCompareLeaves(AvroComparison *comparison, const AvroNode *reader, const AvroNode *writer)
{
	AvroOutcome outcome = AVRO_OUTCOME_CLEAN;

	if (reader->kind != writer->kind && !AvroPromotes(reader->kind, writer->kind))
		return AvroReport(comparison, AVRO_SEVERITY_ERROR, AVRO_RULE_TYPE, "written as %s, which cannot be read as %s",
						  AvroKindName(writer->kind), AvroKindName(reader->kind));
	if (reader->kind != writer->kind && promotion_loses(reader->kind, writer->kind))
		outcome = AvroReport(comparison, AVRO_SEVERITY_WARNING, AVRO_RULE_LOSSY, "not every %s that may be written is the same as %s",
							 AvroKindName(writer->kind), AvroKindName(reader->kind));
	if (reader->name != NULL)
		outcome = AvroCompareNames(comparison, reader, writer);
	if (reader->kind == AVRO_KIND_ENUM)
		outcome = AvroWorse(outcome, compare_symbols(comparison, reader, writer));
	if (reader->kind == AVRO_KIND_FIXED && reader->size != writer->size)
		outcome = AvroWorse(outcome, AvroReport(comparison, AVRO_SEVERITY_ERROR, AVRO_RULE_FIXED_SIZE, "written with size %lld, read with size %lld", (long long) writer->size, (long long) reader->size));
	return AvroWorse(outcome, compare_logical(comparison, reader, writer));
}
