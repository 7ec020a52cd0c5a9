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
 * Changes of anything else are many on a busy server, and do not matter: a bit
 * for each hash of a change tells them apart, nearly always.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "nodes/plannodes.h"

#include "contract/compile/compile_private.h"

static OutboxFillWatch *current = NULL; /* on the stack of who compiles */

static uint32 bit_of(int cacheid, uint32 value);
static bool is_noted(const OutboxFillWatch *watch, int cacheid, uint32 value);

/* From Begin to End, whatever is raised in between, changes are noted. Watches are nested as compiling is. */
void
OutboxFillWatchBegin(OutboxFillWatch *watch)
{
	memset(watch, 0, sizeof(*watch));
	watch->outer = current;
	current = watch;
}

void
OutboxFillWatchEnd(OutboxFillWatch *watch)
{
	current = watch->outer;
}

/*
 * For callbacks of invalidations: neither raises nor allocates. cacheid 0: of the relation `value`. Value 0: anything.
 */
void
OutboxFillWatchNote(int cacheid, uint32 value)
{
	uint32 bit = bit_of(cacheid, value);

	for (OutboxFillWatch *watch = current; watch; watch = watch->outer)
	{
		watch->any = true;
		watch->all |= value == 0;
		watch->changes[bit / 64] |= UINT64CONST(1) << (bit % 64);
	}
}

static uint32
bit_of(int cacheid, uint32 value)
{
	return hash_combine(murmurhash32((uint32) cacheid), murmurhash32(value)) % OUTBOX_WATCHED_CHANGES;
}

/* May a change concern one of these relations (NIL: any does) or of these PlanInvalItems? */
bool
OutboxFillWatchConcerns(const OutboxFillWatch *watch, const List *relations, const List *objects)
{
	ListCell *lc;

	if (watch->all || (watch->any && relations == NIL))
		return true;
	if (!watch->any)
		return false;
	foreach (lc, relations)
	{
		if (is_noted(watch, 0, lfirst_oid(lc)))
			return true;
	}
	foreach (lc, objects)
	{
		const PlanInvalItem *item = lfirst(lc);

		if (is_noted(watch, item->cacheId, item->hashValue))
			return true;
	}
	return false;
}

static bool
is_noted(const OutboxFillWatch *watch, int cacheid, uint32 value)
{
	uint32 bit = bit_of(cacheid, value);

	return (watch->changes[bit / 64] & (UINT64CONST(1) << (bit % 64))) != 0;
}
