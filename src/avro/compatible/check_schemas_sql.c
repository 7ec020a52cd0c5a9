/*-------------------------------------------------------------------------
 *
 * check_schemas_sql.c
 *	  SQL function outbox.check_schemas: where a reader's schema does not fit
 *	  what a writer's schema wrote.
 *
 * The texts may come from anybody. So their size is bounded, and so are the steps
 * of a comparison (compatible.h), which can be interrupted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "avro/compatible/compatible.h"
#include "avro/schema/schema.h"

/* Some checks of the parser look at all pairs of names, and it cannot be interrupted: this keeps it below a second. */
#define MAX_SCHEMA_SIZE (256 * 1024)

PG_FUNCTION_INFO_V1(outbox_check_schemas);

/* The columns of the result */
enum
{
	CHECK_SEVERITY,
	CHECK_RULE,
	CHECK_PATH,
	CHECK_DETAIL,
	CHECK_MESSAGE,
	CHECK_COLUMNS
};

/* Parses an argument into CurrentMemoryContext. */
static AvroNode *
schema_argument(FunctionCallInfo fcinfo, int argument, const char *name)
{
	AvroFault fault;
	AvroNode *schema;

	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the schema of the %s is null", name),
				 errhint("Give both schemas as JSON text.")));
	if (toast_raw_datum_size(PG_GETARG_DATUM(argument)) - VARHDRSZ > MAX_SCHEMA_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the schema of the %s is larger than %d kB", name, MAX_SCHEMA_SIZE / 1024),
				 errhint("Compare its types one by one.")));
	schema = OutboxLoadSchema(text_to_cstring(PG_GETARG_TEXT_PP(argument)), &fault);
	if (schema == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_SCHEMA_DEFINITION),
				 errmsg("the schema of the %s is not a valid Avro schema", name),
				 errdetail("%s.", fault.text),
				 errhint("A schema is JSON text as the Avro specification says, with every type defined where it is first used.")));
	return schema;
}

static void
put_row(void *context, const AvroDifference *difference)
{
	ReturnSetInfo *result = context;
	Datum values[CHECK_COLUMNS];
	bool nulls[CHECK_COLUMNS] = {0};
	int i;

	values[CHECK_SEVERITY] = CStringGetTextDatum(avro_severity_names[difference->severity]);
	values[CHECK_RULE] = CStringGetTextDatum(avro_rule_names[difference->rule]);
	values[CHECK_PATH] = CStringGetTextDatum(difference->path);
	values[CHECK_DETAIL] = CStringGetTextDatum(difference->pointer);
	values[CHECK_MESSAGE] = CStringGetTextDatum(difference->message);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	for (i = 0; i < CHECK_COLUMNS; i++)
		pfree(DatumGetPointer(values[i]));
}

static void
allow_interrupts(void *context)
{
	CHECK_FOR_INTERRUPTS();
}

/*
 * check_schemas(reader text, writer text): a row for each difference that
 * matters, none if all that is written is read as it was. Raises
 * null_value_not_allowed, invalid_schema_definition, program_limit_exceeded.
 */
Datum
outbox_check_schemas(PG_FUNCTION_ARGS)
{
	MemoryContext scratch;
	MemoryContext caller;
	AvroDifferenceSink sink = {.take = put_row, .step = allow_interrupts, .context = fcinfo->resultinfo};
	AvroNode *reader;
	AvroNode *writer;
	AvroArena arena;
	AvroFault fault;
	bool compatible;

	InitMaterializedSRF(fcinfo, 0);
	scratch = AllocSetContextCreate(CurrentMemoryContext, "outbox schema comparison", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(scratch);
	reader = schema_argument(fcinfo, 0, "reader");
	CHECK_FOR_INTERRUPTS();
	writer = schema_argument(fcinfo, 1, "writer");
	arena = OutboxSchemaArena(scratch);
	if (!AvroCompatible(&arena, reader, writer, &sink, &compatible, &fault))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the schemas cannot be compared"),
				 errdetail("%s.", fault.text),
				 errhint("Compare their types one by one.")));
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
	return (Datum) 0;
}
