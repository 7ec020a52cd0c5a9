/*-------------------------------------------------------------------------
 *
 * ticket_keys.c
 *	  Which keys a ticket stands for, and what a transaction asked for.
 *
 * A ticket has room for a certain number of keys and parts. Keys without room
 * stand for their whole class, and classes without room for everything: a ticket
 * may stand for more than it means, never for less.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "shared/shared_private.h"

static bool parts_in_common(const TicketKeys *a, const TicketPart *left, const TicketKeys *b, const TicketPart *right);
static bool key_in_common(const uint64 *left, int nleft, const uint64 *right, int nright);
static void merge_part(Claim *into, const OutboxTicketPart *part);
static int compare_keys(const void *a, const void *b);

/* No keys, of MyDatabaseId. */
void
OutboxTicketKeysClear(TicketKeys *keys)
{
	keys->dboid = MyDatabaseId;
	keys->everything = keys->any_whole = false;
	keys->mask = 0;
	keys->nparts = keys->nkeys = 0;
}

/* Adds a part; without room for it, more than the part. */
void
OutboxTicketKeysAdd(TicketKeys *keys, const OutboxTicketPart *part)
{
	TicketPart *mine = &keys->parts[keys->nparts];

	if (keys->nparts == OUTBOX_TICKET_PARTS)
	{
		keys->everything = keys->any_whole = true;
		return;
	}
	keys->nparts++;
	mine->lock_class = part->lock_class;
	mine->whole = part->whole || keys->nkeys + part->nkeys > OUTBOX_TICKET_KEYS;
	mine->filter = part->whole ? part->filter : -1;
	mine->first = keys->nkeys;
	mine->nkeys = mine->whole ? 0 : part->nkeys;
	keys->any_whole |= mine->whole;
	for (int i = 0; i < mine->nkeys; i++)
	{
		keys->keys[keys->nkeys++] = part->keys[i];
		keys->mask |= UINT64CONST(1) << (part->keys[i] % 64);
	}
}

bool
OutboxTicketKeysInCommon(const TicketKeys *a, const TicketKeys *b)
{
	if (a->dboid != b->dboid)
		return false;
	if (a->everything || b->everything)
		return true;
	if (!a->any_whole && !b->any_whole && (a->mask & b->mask) == 0)
		return false;
	for (int i = 0; i < a->nparts; i++)
	{
		for (int j = 0; j < b->nparts; j++)
		{
			if (a->parts[i].lock_class == b->parts[j].lock_class && parts_in_common(a, &a->parts[i], b, &b->parts[j]))
				return true;
		}
	}
	return false;
}

/* Do parts of one class have a key in common? Two filters cannot be compared: then yes. */
static bool
parts_in_common(const TicketKeys *a, const TicketPart *left, const TicketKeys *b, const TicketPart *right)
{
	if (left->whole && right->whole)
		return true;
	if (left->whole)
		return left->filter < 0 || OutboxBulkFilterMayHave(left->filter, b->keys + right->first, right->nkeys);
	if (right->whole)
		return right->filter < 0 || OutboxBulkFilterMayHave(right->filter, a->keys + left->first, left->nkeys);
	return key_in_common(a->keys + left->first, left->nkeys, b->keys + right->first, right->nkeys);
}

static bool
key_in_common(const uint64 *left, int nleft, const uint64 *right, int nright)
{
	for (int i = 0, j = 0; i < nleft && j < nright;)
	{
		if (left[i] == right[j])
			return true;
		if (left[i] < right[j])
			i++;
		else
			j++;
	}
	return false;
}

/* ---- what a transaction asked for ----------------------------------------------- */

/* A copy of the parts, at the present nest level, in front of the others. */
Claim *
OutboxClaimMake(const OutboxTicketPart *parts, int nparts, Claim *next)
{
	MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
	Claim *claim = palloc(sizeof(Claim));

	claim->next = next;
	claim->nest_level = GetCurrentTransactionNestLevel();
	claim->waits = true;
	claim->nparts = nparts;
	claim->parts = palloc(sizeof(OutboxTicketPart) * Max(nparts, 1));
	for (int i = 0; i < nparts; i++)
	{
		claim->parts[i] = parts[i];
		claim->parts[i].keys = palloc(sizeof(uint64) * Max(parts[i].nkeys, 1));
		memcpy(claim->parts[i].keys, parts[i].keys, sizeof(uint64) * parts[i].nkeys);
	}
	MemoryContextSwitchTo(caller);
	return claim;
}

/*
 * Makes claims of one nest level one; returns the first that is left. A transaction may draw again very often, and a
 * ticket has few parts. May raise, when there is no memory.
 */
Claim *
OutboxClaimsMerge(Claim *claims)
{
	MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);

	while (claims && claims->next && claims->nest_level == claims->next->nest_level)
	{
		Claim *newer = claims;
		Claim *older = newer->next;

		older->parts = repalloc(older->parts, sizeof(OutboxTicketPart) * (older->nparts + newer->nparts + 1));
		for (int i = 0; i < newer->nparts; i++)
			merge_part(older, &newer->parts[i]);
		claims = older;
	}
	MemoryContextSwitchTo(caller);
	return claims;
}

static void
merge_part(Claim *into, const OutboxTicketPart *part)
{
	OutboxTicketPart *found = NULL;

	for (int i = 0; i < into->nparts && !part->whole; i++)
	{
		if (!into->parts[i].whole && into->parts[i].lock_class == part->lock_class)
			found = &into->parts[i];
	}
	if (found == NULL)
	{
		into->parts[into->nparts++] = *part;
		return;
	}
	found->keys = repalloc(found->keys, sizeof(uint64) * (found->nkeys + part->nkeys + 1));
	memcpy(found->keys + found->nkeys, part->keys, sizeof(uint64) * part->nkeys);
	found->nkeys = OutboxSortKeys(found->keys, found->nkeys + part->nkeys);
}

static int
compare_keys(const void *a, const void *b)
{
	uint64 left = *(const uint64 *) a;
	uint64 right = *(const uint64 *) b;

	return left < right ? -1 : left > right;
}

/* Sorts keys and removes duplicates; returns how many are left. */
int
OutboxSortKeys(uint64 *keys, int nkeys)
{
	int kept = 0;

	qsort(keys, nkeys, sizeof(uint64), compare_keys);
	for (int i = 0; i < nkeys; i++)
	{
		if (kept == 0 || keys[kept - 1] != keys[i])
			keys[kept++] = keys[i];
	}
	return kept;
}
