/*-------------------------------------------------------------------------
 *
 * describe_sql.c
 *	  What the catalog and the documents say of a schema: its fields as rows, and
 *	  the JSON Schema of its values.
 *
 * Internal functions: SQL adds what only the tables know (sql/65_documents.sql).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/tuplestore.h"

#include "avro/schema/schema.h"

/* A type that is used again is described again, as its fields have other places. This many say enough. */
#define MAX_FIELDS 20000

PG_FUNCTION_INFO_V1(outbox_schema_fields);
PG_FUNCTION_INFO_V1(outbox_schema_json);

/* The columns of outbox_internal.schema_fields() */
enum
{
	FIELD_PLACE,
	FIELD_PATH,
	FIELD_RECORD,
	FIELD_NAME,
	FIELD_TYPE,
	FIELD_NULLABLE,
	FIELD_DOC,
	FIELD_COLUMNS
};

typedef struct FieldRows
{
	ReturnSetInfo *result;
	int n;
} FieldRows;

typedef struct WordSource
{
	Jsonb *words;
} WordSource;

static void put_record(FieldRows *rows, const AvroNode *record, const char *path, int depth);

/* A schema that we pinned, or one like it. */
static AvroNode *
load(text *schema_text)
{
	AvroFault fault;
	AvroNode *schema = OutboxLoadSchema(text_to_cstring(schema_text), &fault);

	if (schema == NULL || schema->kind != AVRO_KIND_RECORD)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_SCHEMA_DEFINITION),
				 errmsg("the text is not a valid Avro schema of an event"),
				 schema == NULL ? errdetail("%s.", fault.text) : 0,
				 errhint("Schemas are written by outbox.enable(); restore the text that it pinned.")));
	return schema;
}

/* UTF-8 in the server's encoding. */
static Datum
text_datum(const char *utf8)
{
	return CStringGetTextDatum(pg_any_to_server(utf8, strlen(utf8), PG_UTF8));
}

static const AvroNode *
without_null(const AvroNode *node)
{
	if (node->kind == AVRO_KIND_UNION && node->count == 2 && node->branches[0]->kind == AVRO_KIND_NULL)
		return node->branches[1];
	return node;
}

/* A type in a few words: decimal(12,2), array<shop.Line>. */
static void
describe(StringInfo out, const AvroNode *node)
{
	const AvroNode *inner = without_null(node);

	switch (inner->kind)
	{
		case AVRO_KIND_RECORD:
		case AVRO_KIND_ENUM:
		case AVRO_KIND_FIXED:
			appendStringInfoString(out, inner->name);
			break;
		case AVRO_KIND_ARRAY:
		case AVRO_KIND_MAP:
			appendStringInfoString(out, inner->kind == AVRO_KIND_ARRAY ? "array<" : "map<");
			describe(out, inner->items);
			appendStringInfoChar(out, '>');
			break;
		case AVRO_KIND_UNION:
			for (int i = 0; i < inner->count; i++)
			{
				appendStringInfoString(out, i > 0 ? " | " : "");
				describe(out, inner->branches[i]);
			}
			break;
		default:
			if (inner->logical == AVRO_LOGICAL_DECIMAL)
				appendStringInfo(out, "decimal(%d,%d)", inner->precision, inner->scale);
			else if (inner->logical != AVRO_LOGICAL_NONE)
				appendStringInfoString(out, avro_logical_names[inner->logical]);
			else
				appendStringInfoString(out, avro_primitive_names[inner->kind]);
			break;
	}
}

static void
put_field(FieldRows *rows, const AvroNode *record, const AvroField *field, const char *path)
{
	Datum values[FIELD_COLUMNS];
	bool nulls[FIELD_COLUMNS] = {0};
	StringInfoData type;

	CHECK_FOR_INTERRUPTS();
	initStringInfo(&type);
	describe(&type, field->type);
	values[FIELD_PLACE] = Int32GetDatum(++rows->n);
	values[FIELD_PATH] = text_datum(path);
	values[FIELD_RECORD] = text_datum(record->name);
	values[FIELD_NAME] = text_datum(field->name);
	values[FIELD_TYPE] = text_datum(type.data);
	values[FIELD_NULLABLE] = BoolGetDatum(field->type->kind == AVRO_KIND_UNION);
	nulls[FIELD_DOC] = field->doc == NULL;
	values[FIELD_DOC] = field->doc != NULL ? text_datum(field->doc) : (Datum) 0;
	tuplestore_putvalues(rows->result->setResult, rows->result->setDesc, values, nulls);
}

/* The fields of a record, and behind each those that are inside it. The path is that of the record, "" for the event. */
static void
put_record(FieldRows *rows, const AvroNode *record, const char *path, int depth)
{
	for (int i = 0; i < record->count && rows->n < MAX_FIELDS; i++)
	{
		const AvroField *field = &record->fields[i];
		const AvroNode *type = without_null(field->type);
		char *own = psprintf("%s%s%s", path, path[0] != '\0' ? "." : "", field->name);

		put_field(rows, record, field, own);
		while (type->kind == AVRO_KIND_ARRAY || type->kind == AVRO_KIND_MAP)
		{
			own = psprintf("%s%s", own, type->kind == AVRO_KIND_ARRAY ? "[]" : "{}");
			type = without_null(type->items);
		}
		/* only a schema that is not ours contains itself */
		if (type->kind == AVRO_KIND_RECORD && depth < AVRO_MAX_SCHEMA_DEPTH)
			put_record(rows, type, own, depth + 1);
	}
}

/* schema_fields(schema text): raises invalid_schema_definition. */
Datum
outbox_schema_fields(PG_FUNCTION_ARGS)
{
	FieldRows rows = {.result = (ReturnSetInfo *) fcinfo->resultinfo};

	InitMaterializedSRF(fcinfo, 0);
	put_record(&rows, load(PG_GETARG_TEXT_PP(0)), "", 0);
	return (Datum) 0;
}

/* The words of member "<record> <field>", which is an array of texts. */
static const char *
find_words(void *context, const char *record, const char *field)
{
	WordSource *source = context;
	char *key = psprintf("%s %s", record, field);
	JsonbValue buffer;
	JsonbValue *array;
	StringInfoData out;

	key = pg_any_to_server(key, strlen(key), PG_UTF8);
	array = getKeyJsonValueFromContainer(&source->words->root, key, strlen(key), &buffer);
	if (array == NULL || array->type != jbvBinary)
		return NULL;
	initStringInfo(&out);
	for (uint32 i = 0; i < JsonContainerSize(array->val.binary.data); i++)
	{
		JsonbValue *word = getIthJsonbValueFromContainer(array->val.binary.data, i);

		if (word->type != jbvString)
			return NULL;
		appendStringInfoString(&out, i > 0 ? ", " : "");
		escape_json(&out, pnstrdup(word->val.string.val, word->val.string.len));
	}
	return pg_server_to_any(out.data, out.len, PG_UTF8);
}

/* schema_json(schema text, words jsonb): raises invalid_schema_definition. */
Datum
outbox_schema_json(PG_FUNCTION_ARGS)
{
	WordSource source = {.words = PG_GETARG_JSONB_P(1)};
	AvroWords words = {.find = find_words, .context = &source};
	AvroArena arena = OutboxSchemaArena(CurrentMemoryContext);
	AvroFault fault;
	char *json;

	json = AvroSchemaJson(&arena, load(PG_GETARG_TEXT_PP(0)), &words, &fault);
	if (json == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the JSON Schema cannot be written"),
				 errdetail("%s.", fault.text)));
	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(pg_any_to_server(json, strlen(json), PG_UTF8))));
}
