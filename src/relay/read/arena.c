/*-------------------------------------------------------------------------
 *
 * arena.c
 *	  Memory for one chunk of messages.
 *
 * A message costs a few allocations and a chunk has thousands; a memory
 * context would round each size up and keep a header for each.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "relay/read/read_private.h"

#define ARENA_BLOCK_SIZE ((Size) 256 * 1024)

StaticAssertDecl(offsetof(OutboxArenaBlock, data) == MAXALIGN(offsetof(OutboxArenaBlock, data)),
				 "arena blocks hand out aligned memory");

void
OutboxArenaInit(OutboxArena *arena, MemoryContext context)
{
	arena->context = context;
	arena->first = NULL;
	arena->current = NULL;
}

/* Keeps the ordinary blocks; one that was made for a single large value goes back. */
void
OutboxArenaReset(OutboxArena *arena)
{
	OutboxArenaBlock **link = &arena->first;

	while (*link != NULL)
	{
		OutboxArenaBlock *block = *link;

		if (block->size > ARENA_BLOCK_SIZE)
		{
			*link = block->next;
			pfree(block);
			continue;
		}
		block->used = 0;
		link = &block->next;
	}
	arena->current = arena->first;
}

/* The current block is full: the next one that was kept, or a new one. */
void *
OutboxArenaAllocSlow(OutboxArena *arena, Size size)
{
	OutboxArenaBlock *block = arena->current;
	Size wanted = Max(size, ARENA_BLOCK_SIZE);

	if (block != NULL && block->next != NULL && block->next->size >= size)
	{
		arena->current = block->next;
		return OutboxArenaAlloc(arena, size);
	}

	block = MemoryContextAllocHuge(arena->context, offsetof(OutboxArenaBlock, data) + wanted);
	block->size = wanted;
	block->used = size;
	if (arena->current == NULL)
	{
		block->next = NULL;
		arena->first = block;
	}
	else
	{
		block->next = arena->current->next;
		arena->current->next = block;
	}
	arena->current = block;
	return block->data;
}
