/*-------------------------------------------------------------------------
 *
 * fault_list.c
 *	  All faults of something that is checked, in one error.
 *
 * The author of a view wants to hear everything that is wrong with it at once.
 * Each check runs in a subtransaction of its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "contract/prove/prove_private.h"

static void append_line(StringInfo lines, int number, const char *text, const char *more);

/* Runs a check. False: it raised, and the error is in the list, in the current memory context. */
bool
OutboxTryCheck(OutboxFaultList *faults, OutboxGuardedStep check, void *arg)
{
	ErrorData *error = OutboxRunGuarded(check, arg, CurrentMemoryContext);
	ListCell *lc;

	if (error == NULL)
		return true;
	foreach (lc, faults->errors)
	{
		if (strcmp(((ErrorData *) lfirst(lc))->message, error->message) == 0)
			return false;
	}
	faults->errors = lappend(faults->errors, error);
	return false;
}

/* Raises the faults, if there are any: a single one as it is, several as one error about the subject ("the view \"x\""). */
void
OutboxRaiseFaults(const OutboxFaultList *faults, const char *subject)
{
	StringInfoData details;
	StringInfoData hints;
	ListCell *lc;

	if (faults->errors == NIL)
		return;
	if (list_length(faults->errors) == 1)
		ReThrowError(linitial(faults->errors));
	initStringInfo(&details);
	initStringInfo(&hints);
	foreach (lc, faults->errors)
	{
		ErrorData *error = lfirst(lc);

		append_line(&details, foreach_current_index(lc) + 1, error->message, error->detail);
		if (error->hint)
			append_line(&hints, foreach_current_index(lc) + 1, error->hint, NULL);
	}
	ereport(ERROR,
			(errcode(((ErrorData *) linitial(faults->errors))->sqlerrcode),
			 errmsg("%s has %d faults", subject, list_length(faults->errors)),
			 errdetail_internal("%s", details.data),
			 hints.len ? errhint("%s", hints.data) : 0));
}

static void
append_line(StringInfo lines, int number, const char *text, const char *more)
{
	appendStringInfo(lines, "%s%d. %s", lines->len ? "\n" : "", number, text);
	if (more)
		appendStringInfo(lines, ". %s", more);
}
