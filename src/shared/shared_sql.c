/*-------------------------------------------------------------------------
 *
 * shared_sql.c
 *	  SQL functions on the shared memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "shared/outbox_shared.h"

PG_FUNCTION_INFO_V1(outbox_preloaded);
PG_FUNCTION_INFO_V1(outbox_library_version);

/* outbox.preloaded(): was the library loaded with the server? */
Datum
outbox_preloaded(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(OutboxSharedAvailable());
}

/* outbox.library_version() */
Datum
outbox_library_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(OUTBOX_VERSION));
}
