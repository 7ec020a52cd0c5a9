/*-------------------------------------------------------------------------
 *
 * definer.c
 *	  Functions that may be called because they are SECURITY DEFINER.
 *
 * Such a function runs as its own owner, so anybody may own it (trust.c). The owner
 * can make it SECURITY INVOKER at any time, also between the check of the view's
 * functions and the call: planning runs other functions, which take their time, and
 * so does each row. The call would then run with the rights of the view's owner.
 *
 * So the function is checked again when an expression with it is made ready, and
 * when it is called: only at the first call the server looks up whether it switches
 * the user. Outside of evaluations the hooks cost nothing, except for calls of
 * functions that the server wraps anyway.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/regproc.h"

#include "compat.h"
#include "contract/environment/environment_private.h"
#include "contract/reach/reach.h"

static fmgr_hook_type next_hook = NULL;

static void meet_call(FmgrHookEventType event, FmgrInfo *function, Datum *arg);
static bool is_of(Oid function, Oid role);
static bool runs_as_owner(Oid function);
OUTBOX_NORETURN static void refuse(Oid function);

void
OutboxDefinerInit(void)
{
	next_hook = fmgr_hook;
	fmgr_hook = meet_call;
}

/*
 * Raises when a function that was accepted because it runs as its own owner runs as
 * its caller by now. Called when the function is about to be made ready.
 */
void
OutboxCheckDefiner(Oid function)
{
	/* the last check before the server itself reads the function's row */
	if (OutboxTookForDefiner(function) && !is_of(function, GetUserId()) && !runs_as_owner(function))
		refuse(function);
}

/* A hook: a function with SECURITY DEFINER or SET is called, and the user has been switched already. */
static void
meet_call(FmgrHookEventType event, FmgrInfo *function, Datum *arg)
{
	if (event == FHET_START && OutboxTookForDefiner(function->fn_oid) && OutboxEvaluatesForeignCode() &&
		!is_of(function->fn_oid, GetUserId()))
		refuse(function->fn_oid);
	if (next_hook)
		next_hook(event, function, arg);
}

/* May the function run with the role's rights? */
static bool
is_of(Oid function, Oid role)
{
	Oid owner;
	bool as_owner;

	return !OutboxFunctionOwner(function, &owner, &as_owner) || OutboxTrustsRole(role, owner);
}

static bool
runs_as_owner(Oid function)
{
	Oid owner;
	bool as_owner;

	return !OutboxFunctionOwner(function, &owner, &as_owner) || as_owner;
}

static void
refuse(Oid function)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("the function %s is not SECURITY DEFINER any more", format_procedure_qualified(function)),
			 errdetail("It was when the contract was checked. It would now run with the rights of %s.",
					   quote_identifier(GetUserNameFromId(GetUserId(), false))),
			 errhint("Make it SECURITY DEFINER again, or let it belong to the owner of the view.")));
}
