/*-------------------------------------------------------------------------
 *
 * server_error_test.c
 *	  A function that only tests create: an error as a file of the server raises it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(outbox_test_raise);

/* (sqlstate text, file text): raises that SQLSTATE, the source file being this one. */
Datum
outbox_test_raise(PG_FUNCTION_ARGS)
{
	const char *state = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const char *file = text_to_cstring(PG_GETARG_TEXT_PP(1));

	if (strlen(state) != 5)
		elog(ERROR, "\"%s\" is no SQLSTATE", state);
	if (errstart(ERROR, TEXTDOMAIN))
	{
		errcode(MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4]));
		errmsg("raised in %s", file);
		errfinish(file, 1, "test");
	}
	pg_unreachable();
}
