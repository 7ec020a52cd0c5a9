/*-------------------------------------------------------------------------
 *
 * shared_sql.c
 *	  SQL functions on the shared memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "shared/shared_private.h"

PG_FUNCTION_INFO_V1(outbox_commit_queue);
PG_FUNCTION_INFO_V1(outbox_preloaded);
PG_FUNCTION_INFO_V1(outbox_library_version);

/* outbox_internal.preloaded(): was the library loaded with the server? */
Datum
outbox_preloaded(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(OutboxSharedAvailable());
}

/* outbox_internal.library_version() */
Datum
outbox_library_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(OUTBOX_VERSION));
}

/* outbox.commit_queue(): who reads keys at commit, and who waits for them, in the order in which they came. */
Datum
outbox_commit_queue(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	OutboxTicketInfo *list;
	int n;

	InitMaterializedSRF(fcinfo, 0);
	list = OutboxTicketsList(&n);
	for (int i = 0; i < n; i++)
	{
		Datum values[] = {
			Int32GetDatum(list[i].pid),
			CStringGetTextDatum(list[i].waits ? "waiting" : list[i].reads ? "reading"
																		  : "committing"),
			Int32GetDatum(list[i].nkeys), Int32GetDatum(list[i].blocking_pid)};
		bool nulls[] = {false, false, list[i].nkeys < 0, list[i].blocking_pid == 0};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
