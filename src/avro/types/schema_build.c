/*-------------------------------------------------------------------------
 *
 * schema_build.c
 *	  Makes the schema of an event from the columns of its contract's view.
 *
 * Shapes of types become nodes of a schema, and the nodes become text. Our own
 * parser and libavro read the text before anybody else sees it: so a pinned schema
 * can be read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "avro/outbox_avro.h"
#include "avro/schema/schema.h"
#include "avro/types/type_shape.h"

/*
 * An enum that has this label says with it what it does not know. So it is the
 * symbol that a reader takes for one which its schema does not have (Avro 1.9).
 */
#define LABEL_OF_UNKNOWN "UNKNOWN"

/* A record or enum that has a name in the schema, and the type it stands for. */
typedef struct NamedType
{
	Oid type;
	AvroNode *node;
} NamedType;

typedef struct SchemaBuild
{
	const char *relation;
	const char *name_space;
	OutboxTextRule text;
	List *named; /* of NamedType */
} SchemaBuild;

static AvroNode *node_of_shape(SchemaBuild *build, const char *path, const OutboxShape *shape, const List *required);

static void
raise_refusal(const OutboxRefusal *refusal)
{
	ereport(ERROR,
			(errcode(refusal->sqlerrcode),
			 errmsg("%s", refusal->message),
			 refusal->detail != NULL ? errdetail("%s", refusal->detail) : 0,
			 refusal->hint != NULL ? errhint("%s", refusal->hint) : 0));
}

static AvroNode *
make_node(AvroKind kind, AvroLogical logical)
{
	AvroNode *node = palloc0(sizeof(AvroNode));

	node->kind = kind;
	node->logical = logical;
	return node;
}

/* Schema texts are UTF-8 until the end. */
static const char *
utf8_doc(SchemaBuild *build, const char *name, const char *doc)
{
	Size length;
	const char *utf8;

	if (doc == NULL)
		return NULL;
	length = strlen(doc);
	utf8 = OutboxTextToUtf8(&build->text, doc, &length);
	if (utf8 == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
				 errmsg("the comment of \"%s\" cannot be converted to UTF-8", name),
				 errdetail("It becomes the documentation in the schema of view \"%s\".", build->relation),
				 errhint("Write the comment in ASCII.")));
	return utf8;
}

static char *
qualified_name(const SchemaBuild *build, const char *name)
{
	if (build->name_space == NULL || build->name_space[0] == '\0')
		return pstrdup(name);
	return psprintf("%s.%s", build->name_space, name);
}

/*
 * The node of a named type if it was met before; otherwise a new one of that
 * name. Raises when another type already has the name.
 */
static AvroNode *
named_node(SchemaBuild *build, const char *path, const OutboxShape *shape, AvroKind kind, bool *found)
{
	char *name = qualified_name(build, shape->name);
	NamedType *named;
	ListCell *lc;

	*found = true;
	foreach (lc, build->named)
	{
		named = lfirst(lc);
		if (strcmp(named->node->name, name) != 0)
			continue;
		if (named->type == shape->type)
			return named->node;
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("column \"%s\" of view \"%s\" has type %s, whose name \"%s\" is already used in the schema",
						path, build->relation, format_type_be_qualified(shape->type), name),
				 OidIsValid(named->type) ? errdetail("It stands for type %s.", format_type_be_qualified(named->type)) : errdetail("It is the name of the event's own record."),
				 errhint("Rename one of them: the name of a nested record or enum is the name of its type, without the schema.")));
	}
	if (AvroPrimitiveKind(shape->name) >= 0)
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("column \"%s\" of view \"%s\" has type %s, whose name Avro reserves",
						path, build->relation, format_type_be_qualified(shape->type)),
				 errdetail("The name of a nested record or enum is the name of its type, and \"%s\" is a type of Avro's own.", shape->name),
				 errhint("Rename the type, or the view whose rows they are.")));
	*found = false;
	named = palloc0(sizeof(NamedType));
	named->type = shape->type;
	named->node = make_node(kind, AVRO_LOGICAL_NONE);
	named->node->name = name;
	named->node->doc = utf8_doc(build, shape->name, shape->doc);
	build->named = lappend(build->named, named);
	return named->node;
}

/* A field: plain when required, otherwise a union with null. */
static void
set_field(AvroField *field, const char *name, const char *doc, AvroNode *type, bool required)
{
	field->name = name;
	field->doc = doc;
	field->type = type;
	if (required)
		return;
	field->type = make_node(AVRO_KIND_UNION, AVRO_LOGICAL_NONE);
	field->type->count = 2;
	field->type->branches = palloc(sizeof(AvroNode *) * 2);
	field->type->branches[0] = make_node(AVRO_KIND_NULL, AVRO_LOGICAL_NONE);
	field->type->branches[1] = type;
	field->null_default = true;
}

/* A type has one definition in a schema, so its fields are required everywhere or nowhere. */
static void
check_same_required(SchemaBuild *build, const char *path, const OutboxShape *shape,
					const AvroNode *node, const List *required)
{

	for (int i = 0; i < node->count; i++)
	{
		const OutboxShapeField *field = &shape->fields[i];
		List *inner;

		if (OutboxSplitRequired(required, field->name, &inner) != (node->fields[i].type->kind != AVRO_KIND_UNION))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("field \"%s\" of type \"%s\" is required in one place and not in another",
							field->name, node->name),
					 errdetail("Column \"%s\" of view \"%s\" uses the type again.", path, build->relation),
					 errhint("Require the field wherever the type is used, or use two types.")));
		/* For its checks: types further inside were met before as well. */
		(void) node_of_shape(build, psprintf("%s.%s", path, field->name), field->shape, inner);
	}
}

static AvroNode *
node_of_composite(SchemaBuild *build, const char *path, const OutboxShape *shape, const List *required)
{
	bool found;
	AvroNode *node = named_node(build, path, shape, AVRO_KIND_RECORD, &found);

	OutboxCheckRequiredFields(build->relation, path, shape, required);
	if (found)
	{
		check_same_required(build, path, shape, node, required);
		return node;
	}
	node->fields = palloc0(sizeof(AvroField) * Max(shape->nfields, 1));
	for (int i = 0; i < shape->nfields; i++)
	{
		const OutboxShapeField *field = &shape->fields[i];
		char *field_path = psprintf("%s.%s", path, field->name);
		List *inner;
		bool is_required = OutboxSplitRequired(required, field->name, &inner);

		set_field(&node->fields[i], field->name, utf8_doc(build, field_path, field->doc),
				  node_of_shape(build, field_path, field->shape, inner), is_required);
		node->count++;
	}
	return node;
}

static AvroNode *
node_of_enum(SchemaBuild *build, const char *path, const OutboxShape *shape)
{
	bool found;
	AvroNode *node = named_node(build, path, shape, AVRO_KIND_ENUM, &found);

	if (found)
		return node;
	node->symbols = palloc0(sizeof(const char *) * shape->nlabels);
	node->count = shape->nlabels;
	for (int i = 0; i < shape->nlabels; i++)
	{
		node->symbols[i] = shape->labels[i].name;
		if (strcmp(node->symbols[i], LABEL_OF_UNKNOWN) == 0)
			node->default_symbol = node->symbols[i];
	}
	return node;
}

static AvroNode *
node_of_shape(SchemaBuild *build, const char *path, const OutboxShape *shape, const List *required)
{
	AvroNode *node;

	if (shape->kind != SHAPE_ARRAY && shape->kind != SHAPE_COMPOSITE)
		OutboxCheckRequiredFields(build->relation, path, NULL, required);
	switch (shape->kind)
	{
		case SHAPE_BOOL:
			return make_node(AVRO_KIND_BOOLEAN, AVRO_LOGICAL_NONE);
		case SHAPE_INT2:
		case SHAPE_INT4:
			return make_node(AVRO_KIND_INT, AVRO_LOGICAL_NONE);
		case SHAPE_INT8:
			return make_node(AVRO_KIND_LONG, AVRO_LOGICAL_NONE);
		case SHAPE_FLOAT4:
			return make_node(AVRO_KIND_FLOAT, AVRO_LOGICAL_NONE);
		case SHAPE_FLOAT8:
			return make_node(AVRO_KIND_DOUBLE, AVRO_LOGICAL_NONE);
		case SHAPE_TEXT:
		case SHAPE_BPCHAR:
		case SHAPE_NAME:
		case SHAPE_JSONB:
		case SHAPE_OUTPUT:
			return make_node(AVRO_KIND_STRING, AVRO_LOGICAL_NONE);
		case SHAPE_BYTEA:
			return make_node(AVRO_KIND_BYTES, AVRO_LOGICAL_NONE);
		case SHAPE_NUMERIC:
			node = make_node(AVRO_KIND_BYTES, AVRO_LOGICAL_DECIMAL);
			node->precision = shape->precision;
			node->scale = shape->scale;
			return node;
		case SHAPE_DATE:
			return make_node(AVRO_KIND_INT, AVRO_LOGICAL_DATE);
		case SHAPE_TIME:
			return make_node(AVRO_KIND_LONG, AVRO_LOGICAL_TIME_MICROS);
		case SHAPE_TIMESTAMPTZ:
			return make_node(AVRO_KIND_LONG, AVRO_LOGICAL_TIMESTAMP_MICROS);
		case SHAPE_UUID:
			return make_node(AVRO_KIND_STRING, AVRO_LOGICAL_UUID);
		case SHAPE_STRING_MAP:
			node = make_node(AVRO_KIND_MAP, AVRO_LOGICAL_NONE);
			node->items = make_node(AVRO_KIND_STRING, AVRO_LOGICAL_NONE);
			return node;
		case SHAPE_ARRAY:
			node = make_node(AVRO_KIND_ARRAY, AVRO_LOGICAL_NONE);
			node->items = node_of_shape(build, path, shape->element, required);
			return node;
		case SHAPE_ENUM:
			return node_of_enum(build, path, shape);
		case SHAPE_COMPOSITE:
			return node_of_composite(build, path, shape, required);
	}
	elog(ERROR, "unknown shape %d", (int) shape->kind);
}

/* Raises for a bad namespace or record name. They come from settings and configuration, not from the view. */
static void
check_names(const char *name_space, const char *record)
{
	if (name_space != NULL && name_space[0] != '\0' && !AvroIsFullName(name_space, strlen(name_space)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" is not a valid Avro namespace", name_space),
				 errdetail("A namespace consists of names of letters, digits and underscores with dots between them."),
				 errhint("Set outbox.namespace before the contract is created.")));
	/* "Primitive type names have no namespace and their names may not be defined in any namespace" (Avro 1.11) */
	if (AvroPrimitiveKind(record) >= 0)
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("\"%s\" cannot be the name of an Avro record", record),
				 errdetail("Avro reserves the name for a type of its own."),
				 errhint("Give the event type another name.")));
	if (!AvroIsName(record, strlen(record)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" is not a valid name of an Avro record", record),
				 errdetail("Names consist of letters, digits and underscores and do not start with a digit."),
				 errhint("Give the event type another name.")));
}

static AvroNode *
build_record(SchemaBuild *build, const char *record, const char *doc,
			 const OutboxAvroColumn *columns, int ncolumns)
{
	NamedType *own = palloc0(sizeof(NamedType));
	AvroNode *node = make_node(AVRO_KIND_RECORD, AVRO_LOGICAL_NONE);

	node->name = qualified_name(build, record);
	node->doc = utf8_doc(build, build->relation, doc);
	node->fields = palloc0(sizeof(AvroField) * Max(ncolumns, 1));
	node->count = ncolumns;
	own->node = node;
	build->named = list_make1(own);
	for (int i = 0; i < ncolumns; i++)
	{
		const OutboxAvroColumn *column = &columns[i];
		OutboxRefusal refusal;
		OutboxShape *shape;

		if (!OutboxShapeCheckName(build->relation, column->name, &refusal))
			raise_refusal(&refusal);
		shape = OutboxShapeOf(build->relation, column->name, column->type, column->typmod, &refusal);
		if (shape == NULL)
			raise_refusal(&refusal);
		set_field(&node->fields[i], column->name, utf8_doc(build, column->name, column->doc),
				  node_of_shape(build, column->name, shape, column->required_fields), column->required);
	}
	return node;
}

char *
OutboxAvroBuildSchema(const char *relation, const char *name_space, const char *record,
					  const char *doc, const OutboxAvroColumn *columns, int ncolumns)
{
	SchemaBuild build = {.relation = relation, .name_space = name_space};
	AvroArena arena = OutboxSchemaArena(CurrentMemoryContext);
	AvroFault fault;
	AvroNode *node;
	char *text;
	char *problem = NULL;

	check_names(name_space, record);
	build.text = OutboxTextRuleOfDatabase();
	node = build_record(&build, record, doc, columns, ncolumns);
	text = AvroSchemaText(&arena, node, &fault);
	if (text == NULL || AvroParseSchema(&arena, text, strlen(text), &fault) == NULL)
		problem = pstrdup(fault.text);
	else
		problem = OutboxLibavroRefuses(text);
	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_SCHEMA_DEFINITION),
				 errmsg("view \"%s\" gives no valid Avro schema for \"%s\"", relation, record),
				 errdetail("%s.", problem)));
	return pg_any_to_server(text, strlen(text), PG_UTF8);
}
