/*-------------------------------------------------------------------------
 *
 * flush_test.c
 *	  Functions that only tests create: another library's pre-commit work, a
 *	  cancel while a flush walks over its keys, looks that leave no room for more.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "capture/commit/commit_private.h"
#include "capture/write/write_private.h"
#include "util/util.h"

PG_FUNCTION_INFO_V1(outbox_test_execute_late);
PG_FUNCTION_INFO_V1(outbox_test_cancelled_walk);
PG_FUNCTION_INFO_V1(outbox_test_take_room);

static char *late_command = NULL;
static char *undone_command = NULL;

static void
execute(void *command)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	SPI_execute(command, false, 0);
	SPI_finish();
	PopActiveSnapshot();
}

static void
execute_late(XactEvent event, void *arg)
{
	char *command = late_command;
	char *undone = undone_command;

	late_command = undone_command = NULL;
	if (event != XACT_EVENT_PRE_COMMIT || command == NULL)
		return;
	if (undone)
		(void) OutboxCatchAndUndo(execute, undone, CurrentMemoryContext);
	execute(command);
}

/*
 * (command text [, undone text]): executes it in a pre-commit callback that runs after the flush and the writer; the
 * second command comes before, in a subtransaction that is rolled back. PL/pgSQL cannot do that there: a server with
 * assertions ends at an EXCEPTION block of a deferred trigger, too.
 */
Datum
outbox_test_execute_late(PG_FUNCTION_ARGS)
{
	/* callbacks run last-registered first */
	UnregisterXactCallback(execute_late, NULL);
	RegisterXactCallback(execute_late, NULL);
	OutboxEventWriterInit();
	OutboxFlushRegister();
	late_command = MemoryContextStrdup(TopTransactionContext, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	undone_command = PG_NARGS() > 1 ? MemoryContextStrdup(TopTransactionContext, text_to_cstring(PG_GETARG_TEXT_PP(1))) : NULL;
	PG_RETURN_VOID();
}

/* Walks over the keys of the transaction with a cancel pending; returns how many there are if nobody cared. */
Datum
outbox_test_cancelled_walk(PG_FUNCTION_ARGS)
{
	OutboxQueuedKey key;
	int32 keys = 0;

	OutboxKeyQueueScan();
	QueryCancelPending = true;
	InterruptPending = true;
	while (OutboxKeyQueueNext(&key))
		keys++;
	QueryCancelPending = false;
	PG_RETURN_INT32(keys);
}

/* Looks at very many tables, to the end of the transaction: no other one is admitted. False: another was there. */
Datum
outbox_test_take_room(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(OutboxLookHasRoom(1000000));
}
