/*-------------------------------------------------------------------------
 *
 * key_level.c
 *	  What the rollback of a subtransaction does to the queue of keys.
 *
 * A stack: each open subtransaction that queued or flushed keys has a level,
 * with the end of the records before it and what a flush of its own replaced.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "capture/commit/commit_private.h"

/*
 * The level of the present subtransaction, made when it first needs one; NULL at
 * the top. `end` and `count` say what is queued now. Memory is taken in `context`.
 * May raise, before anything is changed.
 */
OutboxKeyLevel *
OutboxKeyLevelNow(OutboxKeyLevels *levels, MemoryContext context, uint64 end, uint64 count)
{
	int nest_level = GetCurrentTransactionNestLevel();
	OutboxKeyLevel *level;

	if (nest_level <= 1)
		return NULL;
	if (levels->n > 0 && levels->level[levels->n - 1].nest_level == nest_level)
		return &levels->level[levels->n - 1];
	if (levels->n == levels->max)
	{
		int max = Max(levels->max * 2, 8);

		if (levels->level == NULL)
			levels->level = MemoryContextAlloc(context, sizeof(OutboxKeyLevel) * max);
		else
			levels->level = repalloc_huge(levels->level, sizeof(OutboxKeyLevel) * max);
		levels->max = max;
	}
	level = &levels->level[levels->n++];
	memset(level, 0, sizeof(OutboxKeyLevel));
	level->nest_level = nest_level;
	level->end = end;
	level->count = count;
	return level;
}

/* The subtransaction at this nest level commits: its level becomes its parent's, or part of it. Never raises. */
void
OutboxKeyLevelsPromote(OutboxKeyLevels *levels, int nest_level)
{
	OutboxKeyLevel *level;
	OutboxKeyLevel *parent;

	if (levels->n == 0)
		return;
	level = &levels->level[levels->n - 1];
	if (level->nest_level < nest_level)
		return;
	level->nest_level = nest_level - 1;
	if (level->nest_level == 1)
	{
		levels->n--;
		return;
	}
	if (levels->n == 1)
		return;
	parent = level - 1;
	if (parent->nest_level < level->nest_level)
		return;
	/* the parent goes back further than we do; what a flush of ours replaced was the parent's too */
	if (level->flushed && !parent->flushed)
	{
		parent->flushed = true;
		parent->head = level->head;
		parent->head_count = level->head_count;
		parent->before = level->before;
	}
	levels->n--;
}
