/*-------------------------------------------------------------------------
 *
 * guard.c
 *	  Running what may raise inside a customer's transaction.
 *
 * Which errors are ours to swallow, and the rights and settings with which
 * expressions of a contract run. What is guarded writes nothing, so that its
 * subtransaction (util/catch.c) never gets a transaction id.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "contract/guard.h"

static bool ends_transaction(const ErrorData *error);
static void pin_setting(const char *name, const char *value);

volatile bool OutboxOwnCancel = false;

ErrorData *
OutboxRunGuarded(OutboxGuardedStep step, void *arg, MemoryContext context)
{
	return OutboxCatch(step, arg, context, OutboxMustRethrow);
}

ErrorData *
OutboxRunIsolated(OutboxGuardedStep step, void *arg, MemoryContext context)
{
	return OutboxCatch(step, arg, context, ends_transaction);
}

/*
 * Going on would be of no use, or is not wished.  A serialization failure of a transaction whose snapshots are new
 * with each command is not the server's: a function raised it, and would do so again.
 */
static bool
ends_transaction(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_DISK_FULL || error->sqlerrcode == ERRCODE_ASSERT_FAILURE ||
		(error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE && IsolationUsesXactSnapshot()) ||
		ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION;
}

/*
 * The writer asked for it (cancel, shutdown), must retry it (serialization),
 * or the server is in trouble that hiding would make worse.
 */
bool
OutboxMustRethrow(const ErrorData *error)
{
	switch (error->sqlerrcode)
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
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
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
