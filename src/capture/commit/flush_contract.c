/*-------------------------------------------------------------------------
 *
 * flush_contract.c
 *	  A contract during a flush: compiled, locked, or the reason why not.
 *
 * Compiling locks the tables behind the view in the usual way, which may wait.
 * So they are locked before, one by one and without waiting, from the list
 * that was remembered when the contract was compiled for the trigger.
 *
 * These locks end with the flush, and not with the transaction: rows that were
 * read are written as events by then, values out of line included. The events
 * stay true, because nobody commits a change of these keys before us. DDL may
 * come between the flush and the end of the commit. DDL that makes rows come or
 * go (TRUNCATE, partitions) leaves a gap of its own, as after our commit.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "capture/commit/commit_private.h"
#include "capture/transition/transition.h"
#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/compile/compile.h"
#include "guc.h"
#include "letters/letters.h"

static List *known_relations(const OutboxQueuedContract *queued, int32 line);
static const List *relations_of(const OutboxFlushContract *contract);
static void note_relations(OutboxFlushContract *contract);
static bool is_told_by_first(const OutboxFlushContract *contract);
static bool is_told_by_later(const OutboxFlushContract *contract);
static bool lock(OutboxFlushContract *contract, ResourceOwner parent);
static bool take(OutboxFlushContract *contract);
static bool is_rewritten(Oid relation, bool *replaced);
static ErrorData *key_changed_error(const char *contract);
static ErrorData *rewrite_error(Oid relation);

/* Are there keys for this version of the contract? All versions have the same. */
bool
OutboxFlushContractHasKeys(const OutboxFlushContract *contract)
{
	return contract->first ? contract->first->locks != NULL : contract->locks != NULL;
}

/* The later versions of a contract, in elements of their own. */
void
OutboxFlushContractAddVersions(OutboxFlushContract *contract, OutboxFlushContract *free)
{
	OutboxQueuedContract *queued = contract->queued;
	OutboxFlushContract *last = contract;

	contract->version = queued->versions[0].version;
	for (int i = 1; i < queued->nversions; i++, free++)
	{
		free->queued = queued;
		free->version = queued->versions[i].version;
		free->line = queued->versions[i].line;
		free->first = contract;
		free->relations = known_relations(queued, free->line);
		last->next = free;
		last = free;
	}
}

/* What a version reads, when it is compiled already; otherwise the first version's relations are a guess. */
static List *
known_relations(const OutboxQueuedContract *queued, int32 line)
{
	OutboxCachedContract *cached;
	List *relations = queued->relations;

	if (!OutboxContractIsCurrent(queued->name, line))
		return relations;
	cached = OutboxContractAcquireLineByName(queued->name, line);
	if (cached->state == OUTBOX_CONTRACT_READY && cached->compiled->query)
		relations = list_copy(cached->compiled->query->relations);
	OutboxContractRelease(cached);
	return relations;
}

static const List *
relations_of(const OutboxFlushContract *contract)
{
	return contract->first ? contract->relations : contract->queued->relations;
}

/* The contract turned out to read other relations. */
static void
note_relations(OutboxFlushContract *contract)
{
	const OutboxCompiledContract *compiled = contract->compiled;

	if (contract->first)
		contract->relations = list_copy(compiled->query->relations);
	else
		OutboxKeyQueueNoteRelations(contract->queued, compiled->owner, compiled->query->relations);
}

/*
 * Locks the relations that the contract reads, without waiting, and keeps the
 * contract compiled. False: a lock was not free, and none is kept; try again.
 * Needs an active snapshot. The locks belong to a child of `parent`, also when the
 * present subtransaction ends. May raise.
 */
bool
OutboxFlushContractOpen(OutboxFlushContract *contract, ResourceOwner parent)
{
	OutboxQueuedContract *queued = contract->queued;

	while (contract->cached == NULL)
	{
		if (!lock(contract, parent))
			return false;
		contract->cached = OutboxContractAcquireLineByName(queued->name, contract->line);
		if (take(contract))
			break;
		if (contract->compiled == NULL)
		{
			OutboxFlushContractClose(contract);
			return false;
		}
		/* it reads other relations than when it was last looked at */
		note_relations(contract);
		OutboxFlushContractClose(contract);
		OutboxFlushContractUnlock(contract);
	}
	return true;
}

/* All of them or none. */
static bool
lock(OutboxFlushContract *contract, ResourceOwner parent)
{
	const List *relations = relations_of(contract);
	bool locked;

	/* an attempt before this one may have failed on its way */
	OutboxLookClose(&contract->look);
	OutboxLookEnter(&contract->look, parent);
	locked = OutboxLookHasRoom(list_length(relations)) && OutboxLockWithoutWait(relations);
	OutboxLookLeave(&contract->look);
	if (!locked)
		OutboxLookClose(&contract->look);
	return locked;
}

/* Decides what becomes of the keys. False: locks are missing, or without a compiled contract the time is over. */
static bool
take(OutboxFlushContract *contract)
{
	OutboxCachedContract *cached = contract->cached;
	OutboxCompiledContract *compiled = cached->compiled;

	if (is_told_by_later(contract))
		return true;
	/* what our own timer interrupted is not broken, and is told of by who set the timer */
	if (cached->state == OUTBOX_CONTRACT_BROKEN && OutboxCommitGuardExpired())
		return false;
	if (cached->state == OUTBOX_CONTRACT_BROKEN)
	{
		contract->late = cached->error;
		if (cached->owner_changed)
			contract->queued->abort_on_invalid = false;
	}
	else if (cached->state == OUTBOX_CONTRACT_DETACHED && !is_told_by_first(contract))
		OutboxGapInsert(contract->queued->name, cached->config->root, "detached", OUTBOX_VIEWS_AWAY);
	if (cached->state != OUTBOX_CONTRACT_READY || compiled->query == NULL || compiled->ntypes == 0)
		return true;
	if (!OutboxKeyShapeFits(contract->queued->shape, compiled->query->lookup_desc))
	{
		contract->late = key_changed_error(contract->queued->name);
		return true;
	}
	contract->compiled = compiled;
	return list_difference_oid(compiled->query->relations, relations_of(contract)) == NIL;
}

/* Has the first version recorded the gap of a later one? They are opened in their order. */
static bool
is_told_by_first(const OutboxFlushContract *contract)
{
	return contract->first && contract->first->cached && contract->first->cached->state == OUTBOX_CONTRACT_DETACHED;
}

/*
 * Was the version that was the first one retired since the keys were queued? What is the first one now has an element of
 * its own, and makes its events once.
 */
static bool
is_told_by_later(const OutboxFlushContract *contract)
{
	const OutboxContractConfig *config = contract->cached->config;

	if (contract->first || config == NULL)
		return false;
	for (const OutboxFlushContract *later = contract->next; later; later = later->next)
	{
		if (later->line == config->line)
			return true;
	}
	return false;
}

/* Why the keys are late. The letter has the key as text, which still finds the row. */
static ErrorData *
key_changed_error(const char *contract)
{
	ErrorData *error = palloc0(sizeof(ErrorData));

	error->sqlerrcode = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
	error->message = psprintf("the transaction changed the type of the key by which contract \"%s\" is read", contract);
	return error;
}

/* Looks for tables that this transaction rewrote: their rows before are gone. */
void
OutboxFlushContractCheckRewritten(OutboxFlushContract *contract)
{
	ListCell *lc;

	if (contract->compiled == NULL)
		return;
	foreach (lc, contract->compiled->query->relations)
	{
		Oid relation = lfirst_oid(lc);
		bool replaced;

		if (!is_rewritten(relation, &replaced))
			continue;
		if (contract->unknown == NULL)
			contract->unknown = rewrite_error(relation);
		if (relation == contract->compiled->config->root && replaced)
			contract->root_rewritten = true;
		contract->rewritten = lappend_oid(contract->rewritten, relation);
	}
}

/* Records a gap for each of them, once. */
void
OutboxFlushContractRecordGaps(OutboxFlushContract *contract)
{
	ListCell *lc;

	foreach (lc, contract->rewritten)
	{
		const OutboxCompiledContract *first = contract->first ? contract->first->compiled : NULL;

		if (first == NULL || !list_member_oid(first->query->relations, lfirst_oid(lc)))
			OutboxGapInsert(contract->queued->name, lfirst_oid(lc), "rewrite", NULL);
	}
	contract->rewritten = NIL;
}

/*
 * Did this transaction give the table new storage? A table that it created counts,
 * too: rows that were loaded frozen show in every snapshot.
 */
static bool
is_rewritten(Oid relation, bool *replaced)
{
	Relation rel = RelationIdGetRelation(relation);
	bool created;

	if (rel == NULL)
		return false;
	created = rel->rd_createSubid != InvalidSubTransactionId && RELKIND_HAS_STORAGE(rel->rd_rel->relkind) &&
		!outbox_test_mode;
	*replaced = OutboxRelationRewritten(rel);
	RelationClose(rel);
	return created || *replaced;
}

static ErrorData *
rewrite_error(Oid relation)
{
	ErrorData *error = palloc0(sizeof(ErrorData));

	error->sqlerrcode = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
	error->message = psprintf("the row before is not known: the transaction rewrote the table \"%s\"",
							  get_rel_name(relation));
	error->hint = pstrdup("Compare what consumers have with the contract's view.");
	return error;
}

/* Gives the compiled contract back, also after an error. Never raises. */
void
OutboxFlushContractClose(OutboxFlushContract *contract)
{
	if (contract->cached)
		OutboxContractRelease(contract->cached);
	contract->cached = NULL;
	contract->compiled = NULL;
}

/* Gives the locks back, when the flush has read everything and has written the events. */
void
OutboxFlushContractUnlock(OutboxFlushContract *contract)
{
	OutboxLookClose(&contract->look);
}
