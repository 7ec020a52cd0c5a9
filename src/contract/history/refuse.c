/*-------------------------------------------------------------------------
 *
 * refuse.c
 *	  The error that says which consumers a change of a contract would surprise.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "contract/history/history_private.h"

/* So many are named; check_compatibility() shows all. */
#define MAX_NAMED 5

/*
 * Raises when one of these is an error; warnings are for check_compatibility(). It
 * shows them all, if the contract stays as it is (`lasting`) although this raises.
 */
void
OutboxRefuseViolations(const OutboxContractConfig *config, const List *violations, bool lasting)
{
	const OutboxViolation *first = NULL;
	StringInfoData detail;
	int errors = 0;
	ListCell *lc;

	initStringInfo(&detail);
	foreach (lc, violations)
	{
		const OutboxViolation *violation = lfirst(lc);

		if (strcmp(violation->severity, "error") != 0)
			continue;
		if (first == NULL)
			first = violation;
		if (++errors > MAX_NAMED)
			continue;
		appendStringInfo(&detail, "%s%s%s%s: %s (%s, %s version %d)", errors > 1 ? "\n" : "", violation->event_type,
						 violation->path[0] ? "." : "", violation->path, violation->message, violation->rule,
						 violation->direction ? violation->direction : "against", violation->against);
	}
	if (errors > MAX_NAMED)
		appendStringInfo(&detail, "\nand %d more", errors - MAX_NAMED);
	if (errors == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("contract \"%s\" would not be compatible with what it has published (%s)", config->name, OutboxCompatibility(config)),
			 errdetail_internal("%s", detail.data),
			 errhint("%s Or give the event types another topic; or, where nobody reads what was published, SELECT outbox.forget_schema_history(%s, reason => '...');%s",
					 OutboxBesideRemedy(config), quote_literal_cstr(first->event_type),
					 lasting ? psprintf(" SELECT * FROM outbox.check_compatibility(%s); shows all.", quote_literal_cstr(config->name)) : "")));
}
