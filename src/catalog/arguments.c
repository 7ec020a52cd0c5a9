/*-------------------------------------------------------------------------
 *
 * arguments.c
 *	  Arguments of the SQL functions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "catalog/arguments.h"

void
OutboxRequireArg(FunctionCallInfo fcinfo, int arg, const char *argument)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", argument),
				 errhint("Pass a value for \"%s\".", argument)));
}

char *
OutboxTextArg(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

char *
OutboxRequiredTextArg(FunctionCallInfo fcinfo, int arg, const char *argument)
{
	OutboxRequireArg(fcinfo, arg, argument);
	return OutboxTextArg(fcinfo, arg);
}
