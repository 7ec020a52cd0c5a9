/*-------------------------------------------------------------------------
 *
 * memory.h
 *	  An arena for the unit tests: every block is one of malloc, so that a
 *	  sanitizer sees its bounds, and the last ones may be refused.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UNIT_MEMORY_H
#define UNIT_MEMORY_H

#include <stdlib.h>

/* Memory that is counted, may be refused, and is freed as a whole. */
typedef struct Block
{
	struct Block *next;
} Block;

typedef struct Memory
{
	Block *blocks;
	long left; /* allocations before it runs out; -1: endless */
} Memory;

static inline void *
memory_alloc(void *context, size_t size)
{
	Memory *memory = context;
	Block *block;

	if (memory->left == 0)
		return NULL;
	if (memory->left > 0)
		memory->left--;
	block = malloc(sizeof(Block) + size);
	if (block == NULL)
		return NULL;
	block->next = memory->blocks;
	memory->blocks = block;
	return block + 1;
}

static inline void
memory_free(Memory *memory)
{
	while (memory->blocks != NULL)
	{
		Block *next = memory->blocks->next;

		free(memory->blocks);
		memory->blocks = next;
	}
}

#endif /* UNIT_MEMORY_H */
