/*-------------------------------------------------------------------------
 *
 * export_sql.c
 *	  outbox.export_config(): the configuration as a migration file, or as JSON.
 *
 * The text is made in SQL (sql/67_export.sql), with the rights of the extension's
 * owner: a reader may not look into our tables.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "catalog/outbox_catalog.h"

PG_FUNCTION_INFO_V1(outbox_export_config);

/* export_config(format): 'sql' or 'json' */
Datum
outbox_export_config(PG_FUNCTION_ARGS)
{
	char *format;

	OutboxRequireVersion();
	format = OutboxRequiredTextArg(fcinfo, 0, "format");
	if (strcmp(format, "sql") == 0)
		PG_RETURN_TEXT_P(cstring_to_text(OutboxExecute("SELECT outbox_internal.config_as_sql()", 0, NULL)));
	if (strcmp(format, "json") == 0)
		PG_RETURN_TEXT_P(cstring_to_text(OutboxExecute("SELECT outbox_internal.config_as_json()", 0, NULL)));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown format of export_config(): \"%s\"", format),
			 errhint("Give 'sql', for a migration file, or 'json', for comparing.")));
}
