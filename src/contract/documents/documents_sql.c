/*-------------------------------------------------------------------------
 *
 * documents_sql.c
 *	  SQL functions that write documents: outbox.json_schema().
 *
 * A document is a query over our tables (sql/65_documents.sql). It runs as the
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
