/*-------------------------------------------------------------------------
 *
 * documents_sql.c
 *	  SQL functions that write documents: outbox.json_schema(), outbox.asyncapi(),
 *	  outbox.catalog_markdown(), outbox.odcs().
 *
 * A document is a query over our tables (sql/65_documents.sql, sql/66_exports.sql). It runs as the
 * extension's owner, because nobody else may use schema outbox_internal; whom the
 * function is granted to may read all of it by the catalog's views.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "catalog/outbox_catalog.h"

PG_FUNCTION_INFO_V1(outbox_json_schema);
PG_FUNCTION_INFO_V1(outbox_asyncapi);
PG_FUNCTION_INFO_V1(outbox_catalog_markdown);
PG_FUNCTION_INFO_V1(outbox_odcs);

/* A text in JSON as jsonb. */
static Datum
jsonb_of(const char *text)
{
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(text));
}

/* json_schema(event_type text, version int): raises undefined_object, null_value_not_allowed. */
Datum
outbox_json_schema(PG_FUNCTION_ARGS)
{
	const char *args[] = {OutboxRequiredTextArg(fcinfo, 0, "event_type"), PG_ARGISNULL(1) ? NULL : psprintf("%d", PG_GETARG_INT32(1))};

	PG_RETURN_DATUM(jsonb_of(OutboxExecute("SELECT outbox_internal.json_schema($1, $2::int)", lengthof(args), args)));
}

/* asyncapi(servers jsonb): raises invalid_parameter_value. */
Datum
outbox_asyncapi(PG_FUNCTION_ARGS)
{
	Jsonb *servers = PG_ARGISNULL(0) ? NULL : PG_GETARG_JSONB_P(0);
	const char *args[] = {servers ? JsonbToCString(NULL, &servers->root, VARSIZE(servers)) : "{}"};

	OutboxRequireVersion();
	if (servers && !JB_ROOT_IS_OBJECT(servers))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("servers are not a JSON object"),
				 errhint("Write them as AsyncAPI has them: {\"production\": {\"host\": ..., \"protocol\": ...}}.")));
	PG_RETURN_DATUM(jsonb_of(OutboxExecute("SELECT outbox_internal.asyncapi($1::jsonb)", lengthof(args), args)));
}

/* catalog_markdown() */
Datum
outbox_catalog_markdown(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(OutboxExecute("SELECT outbox_internal.catalog_markdown()", 0, NULL)));
}

/* odcs(contract text): raises undefined_object, null_value_not_allowed. */
Datum
outbox_odcs(PG_FUNCTION_ARGS)
{
	OutboxContractConfig *config;
	const char *args[1];

	OutboxRequireVersion();
	config = OutboxContractGet(OutboxRequiredTextArg(fcinfo, 0, "contract"));
	args[0] = config->name;
	PG_RETURN_DATUM(jsonb_of(OutboxExecute("SELECT outbox_internal.odcs($1)", lengthof(args), args)));
}
