/*-------------------------------------------------------------------------
 *
 * fill_watch.c
 *	  What changed in the catalogs while a contract was compiled.
 *
 * Whose code a contract would run is asked before it is planned. Planning runs
 * functions, which may take their time, and accepts invalidations; meanwhile
 * somebody may have put other code in the place of what was asked about. What
 * was compiled while anything that it rests on changed is not used, not once.
 *
 * Changes of anything else are many on a busy server, and do not matter.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/plannodes.h"

#include "contract/fill_watch.h"

static OutboxFillWatch *current = NULL; /* on the stack of who compiles */

void
OutboxFillWatchBegin(OutboxFillWatch *watch)
{
	watch->outer = current;
	watch->all = false;
	watch->nchanges = 0;
	current = watch;
}

void
OutboxFillWatchEnd(OutboxFillWatch *watch)
{
	current = watch->outer;
}

void
OutboxFillWatchNote(int cacheid, uint32 value)
{
	for (OutboxFillWatch *watch = current; watch; watch = watch->outer)
	{
		if (value == 0 || watch->nchanges == OUTBOX_WATCHED_CHANGES)
			watch->all = true;
		else
			watch->changes[watch->nchanges++] = (OutboxWatchedChange){cacheid, value};
	}
}

bool
OutboxFillWatchConcerns(const OutboxFillWatch *watch, const List *relations, const List *objects)
{
	if (watch->all)
		return true;
	for (int i = 0; i < watch->nchanges; i++)
	{
		const OutboxWatchedChange *change = &watch->changes[i];
		ListCell *lc;

		if (change->cacheid == 0 && (relations == NIL || list_member_oid(relations, change->value)))
			return true;
		foreach (lc, objects)
		{
			const PlanInvalItem *item = lfirst(lc);

			if (change->cacheid != 0 && item->cacheId == change->cacheid && item->hashValue == change->value)
				return true;
		}
	}
	return false;
}
