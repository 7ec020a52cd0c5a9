/*-------------------------------------------------------------------------
 *
 * encoder_compile.c
 *	  From a pinned schema and the columns that feed it to operations.
 *
 * All catalog lookups of the encoder happen here.  A column may be narrower
 * than its field (int4 for a long, numeric(8,2) for a decimal(10,2)); anything
 * else that differs from the pinned schema is an error, because readers hold on
 * to the schema, not to the view.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "avro/encode/encoder_private.h"
#include "avro/schema/schema.h"
#include "avro/types/type_shape.h"
#include "avro/values/decimal.h"
#include "avro/values/numeric_digits.h"

typedef struct Compile
{
	OutboxAvroEncoder *encoder;
	OutboxAvroError *error;
} Compile;

static bool compile_op(Compile *compile, OutboxOp *op, const char *path,
					   const AvroNode *node, const OutboxShape *shape);

static bool
compile_fail(Compile *compile, const char *path, int sqlerrcode, char *message, char *detail)
{
	compile->error->sqlerrcode = sqlerrcode;
	compile->error->field = pstrdup(path);
	compile->error->message = message;
	compile->error->detail = detail;
	return false;
}

static const char *
node_words(const AvroNode *node)
{
	static const char *const compound[] = {"record", "enum", "fixed", "array", "map", "union"};

	if (node->logical == AVRO_LOGICAL_DECIMAL)
		return psprintf("decimal(%d,%d)", node->precision, node->scale);
	if (node->logical != AVRO_LOGICAL_NONE)
		return avro_logical_names[node->logical];
	if (node->kind < AVRO_PRIMITIVE_KINDS)
		return avro_primitive_names[node->kind];
	return compound[node->kind - AVRO_PRIMITIVE_KINDS];
}

static bool
misfit(Compile *compile, const char *path, const AvroNode *node, const OutboxShape *shape)
{
	char *type = shape->kind == SHAPE_NUMERIC ? psprintf("numeric(%d,%d)", shape->precision, shape->scale) : format_type_be(shape->type);

	return compile_fail(compile, path, ERRCODE_DATATYPE_MISMATCH,
						psprintf("column \"%s\" no longer fits the pinned schema", path),
						psprintf("The column has type %s, the schema has %s.", type, node_words(node)));
}

static bool
compile_decimal(Compile *compile, OutboxOp *op, const char *path,
				const AvroNode *node, const OutboxShape *shape)
{
	if (node->kind != AVRO_KIND_BYTES || node->logical != AVRO_LOGICAL_DECIMAL ||
		node->precision > OUTBOX_DECIMAL_MAX_PRECISION || node->scale < shape->scale ||
		node->precision - node->scale < shape->precision - shape->scale)
		return misfit(compile, path, node, shape);
	op->code = OutboxNumericLayoutKnown() ? OP_DECIMAL : OP_DECIMAL_PORTABLE;
	op->u.decimal.precision = node->precision;
	op->u.decimal.scale = node->scale;
	return true;
}

static int
compare_entries(const void *a, const void *b)
{
	Oid x = ((const OutboxEnumEntry *) a)->label;
	Oid y = ((const OutboxEnumEntry *) b)->label;

	return x < y ? -1 : x > y ? 1
							  : 0;
}

static int
symbol_index(const AvroNode *node, const char *label)
{
	int i;

	for (i = 0; i < node->count; i++)
	{
		if (strcmp(node->symbols[i], label) == 0)
			return i;
	}
	return -1;
}

/* Compiles an enum. A label that the schema does not have is an error only when a row has it. */
static bool
compile_enum(Compile *compile, OutboxOp *op, const char *path,
			 const AvroNode *node, const OutboxShape *shape)
{
	OutboxEnumMap *map;
	int i;

	if (node->kind != AVRO_KIND_ENUM)
		return misfit(compile, path, node, shape);
	op->code = OP_ENUM;
	op->u.labels = map = palloc0(sizeof(OutboxEnumMap));
	map->nsymbols = node->count;
	map->symbols = node->symbols;
	map->count = shape->nlabels;
	map->entries = palloc(sizeof(OutboxEnumEntry) * shape->nlabels);
	for (i = 0; i < shape->nlabels; i++)
	{
		map->entries[i].label = shape->labels[i].oid;
		map->entries[i].index = symbol_index(node, shape->labels[i].name);
	}
	qsort(map->entries, map->count, sizeof(OutboxEnumEntry), compare_entries);
	return true;
}

/* A field's type without its union with null; NULL when the union is another one. */
static const AvroNode *
unwrap_union(const AvroNode *node, OutboxOp *op)
{
	int null_index;

	op->nullable = false;
	if (node->kind != AVRO_KIND_UNION)
		return node;
	if (node->count != 2)
		return NULL;
	if (node->branches[0]->kind == AVRO_KIND_NULL)
		null_index = 0;
	else if (node->branches[1]->kind == AVRO_KIND_NULL)
		null_index = 1;
	else
		return NULL;
	op->nullable = true;
	op->null_branch = (char) (null_index << 1);
	op->value_branch = (char) ((1 - null_index) << 1);
	return node->branches[1 - null_index];
}

static bool
compile_array(Compile *compile, OutboxOp *op, const char *path,
			  const AvroNode *node, const OutboxShape *shape)
{
	OutboxArrayOp *array = palloc0(sizeof(OutboxArrayOp));
	OutboxOp *item = palloc0(sizeof(OutboxOp));
	const AvroNode *items;

	if (node->kind != AVRO_KIND_ARRAY)
		return misfit(compile, path, node, shape);
	op->code = OP_ARRAY;
	op->u.array = array;
	items = unwrap_union(node->items, item);
	if (items == NULL || item->nullable)
		return misfit(compile, path, node->items, shape->element);
	if (!compile_op(compile, item, path, items, shape->element))
		return false;
	array->item.nops = 1;
	array->item.ops = item;
	array->item.reserve = OutboxOpReserve(item);
	array->element_type = get_element_type(shape->type);
	get_typlenbyvalalign(array->element_type, &array->typlen, &array->typbyval, &array->typalign);
	return true;
}

static const OutboxShapeField *
find_shape_field(const OutboxShape *shape, const char *name)
{
	int i;

	for (i = 0; i < shape->nfields; i++)
	{
		if (strcmp(shape->fields[i].name, name) == 0)
			return &shape->fields[i];
	}
	return NULL;
}

static bool
compile_record(Compile *compile, OutboxOp *op, const char *path,
			   const AvroNode *node, const OutboxShape *shape)
{
	OutboxRecordOp *record = palloc0(sizeof(OutboxRecordOp));
	int i;

	if (node->kind != AVRO_KIND_RECORD)
		return misfit(compile, path, node, shape);
	op->code = OP_RECORD;
	op->u.record = record;
	record->type = shape->type;
	record->tupdesc = shape->tupdesc;
	record->entry = lookup_type_cache(shape->type, TYPECACHE_TUPDESC);
	record->tupdesc_id = record->entry->tupDesc_identifier;
	record->program.nops = node->count;
	record->program.ops = palloc0(sizeof(OutboxOp) * Max(node->count, 1));
	for (i = 0; i < node->count; i++)
	{
		OutboxOp *member = &record->program.ops[i];
		const AvroNode *type = unwrap_union(node->fields[i].type, member);
		const OutboxShapeField *field = find_shape_field(shape, node->fields[i].name);
		char *member_path = psprintf("%s.%s", path, node->fields[i].name);

		if (field == NULL)
			return compile_fail(compile, member_path, ERRCODE_UNDEFINED_COLUMN,
								psprintf("column \"%s\" does not exist", member_path),
								pstrdup("The pinned schema has a field of this name."));
		if (type == NULL)
			return misfit(compile, member_path, node->fields[i].type, field->shape);
		member->column = field->attnum - 1;
		if (!compile_op(compile, member, member_path, type, field->shape))
			return false;
		record->program.reserve += OutboxOpReserve(member);
	}
	return true;
}

static bool
compile_op(Compile *compile, OutboxOp *op, const char *path,
		   const AvroNode *node, const OutboxShape *shape)
{
	op->field = pstrdup(path);
	switch (shape->kind)
	{
		case SHAPE_NUMERIC:
			return compile_decimal(compile, op, path, node, shape);
		case SHAPE_ENUM:
			return compile_enum(compile, op, path, node, shape);
		case SHAPE_ARRAY:
			return compile_array(compile, op, path, node, shape);
		case SHAPE_COMPOSITE:
			return compile_record(compile, op, path, node, shape);
		case SHAPE_STRING_MAP:
			op->code = OP_STRING_MAP;
			if (node->kind != AVRO_KIND_MAP || node->items->kind != AVRO_KIND_STRING)
				return misfit(compile, path, node, shape);
			return true;
		default:
			if (!OutboxFindScalarOp(node, shape, &op->code))
				return misfit(compile, path, node, shape);
			if (op->code == OP_OUTPUT)
				OutboxCompileOutput(compile->encoder, op, shape->type);
			return true;
	}
}

static int
find_column(const OutboxAvroColumn *columns, int ncolumns, const char *name)
{
	int i;

	for (i = 0; i < ncolumns; i++)
	{
		if (strcmp(columns[i].name, name) == 0)
			return i;
	}
	return -1;
}

static bool
compile_field(Compile *compile, OutboxOp *op, const AvroField *field,
			  const OutboxAvroColumn *columns, int ncolumns)
{
	int column = find_column(columns, ncolumns, field->name);
	const AvroNode *node = unwrap_union(field->type, op);
	OutboxRefusal refusal;
	OutboxShape *shape;

	if (column < 0)
		return compile_fail(compile, field->name, ERRCODE_UNDEFINED_COLUMN,
							psprintf("column \"%s\" does not exist", field->name),
							pstrdup("The pinned schema has a field of this name."));
	op->column = column;
	shape = OutboxShapeOfPinned(field->name, columns[column].type, columns[column].typmod, field->type, &refusal);
	if (shape == NULL)
		return compile_fail(compile, field->name, refusal.sqlerrcode, refusal.message, refusal.detail);
	if (node == NULL)
		return misfit(compile, field->name, field->type, shape);
	return compile_op(compile, op, field->name, node, shape);
}

OutboxAvroEncoder *
OutboxAvroCompile(const char *schema_text, const OutboxAvroColumn *columns, int ncolumns,
				  OutboxAvroError *error)
{
	OutboxAvroEncoder *encoder = palloc0(sizeof(OutboxAvroEncoder));
	Compile compile = {.encoder = encoder, .error = error};
	AvroFault fault;
	AvroNode *schema = OutboxLoadSchema(schema_text, &fault);
	int i;

	memset(error, 0, sizeof(*error));
	if (schema == NULL || schema->kind != AVRO_KIND_RECORD)
	{
		compile_fail(&compile, "", ERRCODE_INVALID_SCHEMA_DEFINITION,
					 pstrdup("the pinned schema is not a valid Avro record"),
					 schema == NULL ? psprintf("%s.", fault.text) : NULL);
		return NULL;
	}
	encoder->text = OutboxTextRuleOfDatabase();
	encoder->ncolumns = ncolumns;
	encoder->op_of_column = palloc(sizeof(int) * Max(ncolumns, 1));
	for (i = 0; i < ncolumns; i++)
		encoder->op_of_column[i] = -1;
	encoder->program.nops = schema->count;
	encoder->program.ops = palloc0(sizeof(OutboxOp) * Max(schema->count, 1));
	for (i = 0; i < schema->count; i++)
	{
		OutboxOp *op = &encoder->program.ops[i];

		if (!compile_field(&compile, op, &schema->fields[i], columns, ncolumns))
			return NULL;
		encoder->op_of_column[op->column] = i;
		encoder->program.reserve += OutboxOpReserve(op);
	}
	return encoder;
}

const List *
OutboxAvroPrintedTypes(const OutboxAvroEncoder *encoder)
{
	return encoder->printed;
}

bool
OutboxAvroHasColumn(const OutboxAvroEncoder *encoder, int column)
{
	return encoder->op_of_column[column] >= 0;
}
