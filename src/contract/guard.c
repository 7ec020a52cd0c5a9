/*-------------------------------------------------------------------------
 *
 * guard.c
 *	  Running what may raise inside a customer's transaction.
 *
 * An error can only be caught safely by rolling a subtransaction back:
 * otherwise locks, buffer pins and snapshots of the failed code stay behind.
 * The subtransaction writes nothing, so it never gets a transaction id.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "contract/guard.h"

static bool ends_transaction(int sqlerrcode);
static void pin_setting(const char *name, const char *value);

volatile bool OutboxOwnCancel = false;

ErrorData *
OutboxRunGuarded(OutboxGuardedStep step, void *arg, MemoryContext context)
{
	return OutboxRunCatching(step, arg, context, OutboxMustRethrow);
}

ErrorData *
OutboxRunIsolated(OutboxGuardedStep step, void *arg, MemoryContext context)
{
	return OutboxRunCatching(step, arg, context, ends_transaction);
}

ErrorData *
OutboxRunCatching(OutboxGuardedStep step, void *arg, MemoryContext context, bool (*must_rethrow)(int sqlerrcode))
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		step(arg);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(caller);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(caller);
		CurrentResourceOwner = owner;
	}
	PG_END_TRY();
	/* Only now: whoever catches it up there rolls back its own subtransaction, not ours. */
	if (error && must_rethrow(error->sqlerrcode))
		ReThrowError(error);
	return error;
}

/*
 * Going on would be of no use, or is not wished.  A serialization failure of a transaction whose snapshots are new
 * with each command is not the server's: a function raised it, and would do so again.
 */
static bool
ends_transaction(int sqlerrcode)
{
	return sqlerrcode == ERRCODE_DISK_FULL || sqlerrcode == ERRCODE_ASSERT_FAILURE ||
		(sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE && IsolationUsesXactSnapshot()) ||
		ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION;
}

/*
 * The writer asked for it (cancel, shutdown), must retry it (serialization),
 * or the server is in trouble that hiding would make worse.
 */
bool
OutboxMustRethrow(int sqlerrcode)
{
	switch (sqlerrcode)
	{
		case ERRCODE_QUERY_CANCELED:
			return !OutboxOwnCancel;
		case ERRCODE_T_R_SERIALIZATION_FAILURE:
		case ERRCODE_DISK_FULL:
		case ERRCODE_DATA_CORRUPTED:
		case ERRCODE_INDEX_CORRUPTED:
		case ERRCODE_ASSERT_FAILURE:
			return true;
		default:
			break;
	}
	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case ERRCODE_OPERATOR_INTERVENTION: /* 57: cancelled, shut down, dropped */
		case ERRCODE_SYSTEM_ERROR:          /* 58: input and output */
			return true;
		default:
			return false;
	}
}

void
OutboxEvaluationBegin(OutboxEvaluationScope *scope, Oid owner, bool pin_settings)
{
	GetUserIdAndSecContext(&scope->user, &scope->sec_context);
	SetUserIdAndSecContext(owner, scope->sec_context | SECURITY_RESTRICTED_OPERATION);
	scope->guc_nest_level = 0;
	if (!pin_settings)
		return;
	scope->guc_nest_level = NewGUCNestLevel();
	pin_setting("search_path", "pg_catalog, pg_temp");
	pin_setting("DateStyle", "ISO, YMD");
	pin_setting("IntervalStyle", "iso_8601");
	pin_setting("TimeZone", "UTC");
	pin_setting("extra_float_digits", "1");
	pin_setting("bytea_output", "hex");
	/* a function's messages would reach the writer, and old drivers take them for errors */
	pin_setting("client_min_messages", "error");
}

void
OutboxEvaluationEnd(const OutboxEvaluationScope *scope)
{
	if (scope->guc_nest_level > 0)
		AtEOXact_GUC(false, scope->guc_nest_level);
	SetUserIdAndSecContext(scope->user, scope->sec_context);
}

static void
pin_setting(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}
