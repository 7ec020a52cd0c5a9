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
#include "util/server_error.h"

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
 * with each command would not go away when the whole transaction is tried again.
 */
static bool
ends_transaction(const ErrorData *error)
{
	return OutboxIsDiskFull(error) || OutboxIsIntervention(error) ||
		(OutboxIsSerializationFailure(error) && IsolationUsesXactSnapshot());
}

/*
 * The writer asked for it (cancel, shutdown), must retry it (serialization),
 * or the server is in trouble that hiding would make worse.
 */
bool
OutboxMustRethrow(const ErrorData *error)
{
	if (OutboxIsCancel(error))
		return !OutboxOwnCancel;
	return OutboxIsIntervention(error) || OutboxIsSerializationFailure(error) || OutboxIsStorageTrouble(error);
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
