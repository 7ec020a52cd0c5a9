/*-------------------------------------------------------------------------
 *
 * definer.c
 *	  Functions that may be called because they are SECURITY DEFINER.
 *
 * Such a function runs as its own owner, so it may be anybody's (trust.c).
 * Whoever owns it can make it SECURITY INVOKER at any time, such as between the
 * question whose functions a view calls and the call: planning runs other
 * functions, which take their time, and so does each row. A call would then run
 * with the rights of the view's owner.
 *
 * So what such a function is is asked again when it is made ready, and when it
 * is called: the server looks up whether it switches the user only at the first
 * call. Both hooks cost nothing outside of evaluations, but for a call of
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
 * Raises when a function that was taken for harmless because it runs as its own owner is about to be made ready and runs as its caller by now.
 */
void
OutboxCheckDefiner(Oid function)
{
	/* last of all: the server reads the same row next */
	if (OutboxTookForDefiner(function) && !is_of(function, GetUserId()) && !runs_as_owner(function))
		refuse(function);
}

/* Hook: a function with SECURITY DEFINER or SET is called, the user is switched already. */
static void
meet_call(FmgrHookEventType event, FmgrInfo *function, Datum *arg)
{
	if (event == FHET_START && OutboxTookForDefiner(function->fn_oid) && OutboxEvaluatesForeignCode() &&
		!is_of(function->fn_oid, GetUserId()))
		refuse(function->fn_oid);
	if (next_hook)
		next_hook(event, function, arg);
}

/* May it run with the role's rights? */
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
			 errmsg("the function %s is SECURITY DEFINER no more", format_procedure_qualified(function)),
			 errdetail("It was when a contract was judged, and would now run with the rights of %s.",
					   quote_identifier(GetUserNameFromId(GetUserId(), false))),
			 errhint("Make it SECURITY DEFINER again, or let it belong to the owner of the view.")));
}
