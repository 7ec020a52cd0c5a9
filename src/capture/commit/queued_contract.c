/*-------------------------------------------------------------------------
 *
 * queued_contract.c
 *	  What the key queue remembers of a contract for the flush.
 *
 * It lives as long as the contract's place in the queue, and in the same
 * memory (key_queue.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "capture/commit/commit_private.h"

static bool has_versions(const OutboxQueuedContract *contract, const OutboxContractConfig *config);

/* Remembers which versions of the contract want its keys. */
void
OutboxKeyQueueNoteVersions(OutboxQueuedContract *contract, const OutboxContractConfig *config)
{
	MemoryContext caller;
	int n = 0;
	ListCell *lc;

	if (contract->versions && has_versions(contract, config))
		return;
	caller = MemoryContextSwitchTo(GetMemoryChunkContext(contract));
	contract->versions = palloc(sizeof(OutboxQueuedVersion) * list_length(config->versions));
	contract->versions[n++] = (OutboxQueuedVersion){.version = config->version};
	foreach (lc, config->versions)
	{
		const OutboxContractConfig *version = lfirst(lc);

		if (version->state == OUTBOX_VERSION_ACTIVE && version->line > config->line)
			contract->versions[n++] = (OutboxQueuedVersion){.version = version->version, .line = version->line};
	}
	contract->nversions = n;
	MemoryContextSwitchTo(caller);
}

/* Are they those that were noted last? */
static bool
has_versions(const OutboxQueuedContract *contract, const OutboxContractConfig *config)
{
	int n = 1;
	ListCell *lc;

	if (contract->versions[0].version != config->version)
		return false;
	foreach (lc, config->versions)
	{
		const OutboxContractConfig *version = lfirst(lc);

		if (version->state != OUTBOX_VERSION_ACTIVE || version->line <= config->line)
			continue;
		if (n >= contract->nversions || contract->versions[n++].version != version->version)
			return false;
	}
	return n == contract->nversions;
}

/* Remembers what the flush needs to know of the compiled contract before it can compile again. */
void
OutboxKeyQueueNoteRelations(OutboxQueuedContract *contract, Oid owner, const List *relations)
{
	MemoryContext caller = MemoryContextSwitchTo(GetMemoryChunkContext(contract));
	List *former = contract->relations;

	contract->relations = list_copy(relations);
	contract->owner = owner;
	list_free(former);
	MemoryContextSwitchTo(caller);
}
