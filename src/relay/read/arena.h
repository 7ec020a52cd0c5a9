/*-------------------------------------------------------------------------
 *
 * arena.h
 *	  Memory for one chunk of messages: handed out in sequence, taken back
 *	  whole, kept for the next chunk.
 *
 * A message costs a few allocations and a chunk has thousands; a memory
 * context would round each size up and keep a header for each.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_ARENA_H
#define OUTBOX_ARENA_H

typedef struct OutboxArenaBlock
{
	struct OutboxArenaBlock *next;
	Size size;
	Size used;
	char data[FLEXIBLE_ARRAY_MEMBER];
} OutboxArenaBlock;

typedef struct OutboxArena
{
	MemoryContext context; /* where blocks come from */
	OutboxArenaBlock *first;
	OutboxArenaBlock *current;
} OutboxArena;

extern void OutboxArenaInit(OutboxArena *arena, MemoryContext context);
extern void OutboxArenaReset(OutboxArena *arena);
extern void *OutboxArenaAllocSlow(OutboxArena *arena, Size size);

/* Aligned for any type; lives until the arena is reset. */
static inline void *
OutboxArenaAlloc(OutboxArena *arena, Size size)
{
	OutboxArenaBlock *block = arena->current;
	Size aligned = MAXALIGN(size);

	if (likely(block != NULL && block->size - block->used >= aligned))
	{
		void *result = block->data + block->used;

		block->used += aligned;
		return result;
	}
	return OutboxArenaAllocSlow(arena, aligned);
}

#endif /* OUTBOX_ARENA_H */
