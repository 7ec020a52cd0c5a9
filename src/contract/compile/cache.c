/*-------------------------------------------------------------------------
 *
 * cache.c
 *	  Compiled contracts of this backend, by trigger and relation or by name.
 *
 * Callbacks only flag; an entry is compiled again at its next use (cache_fill.c).
 * A contract that is missing or broken is looked at again in every transaction
 * and after every invalidation, because nothing tells what would mend it.
 *
 * Compiling looks at views and tables, and keeps no lock on any. A compiled
 * contract is right as long as no callback says otherwise. The executor needs
 * more than that: before a query of a compiled contract is run, its relations
 * are locked, and the contract is acquired after that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "nodes/plannodes.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/compile/compile_private.h"
#include "util/util.h"

/*
 * How many entries are kept. There is one per contract and partition, of about
 * 50 kB each. The running transaction may have more: compiling costs as much as
 * capturing a thousand rows, and a statement may write to all partitions in turn.
 */
#define MAX_ENTRIES 1024

static HTAB *cache = NULL;
static OutboxCacheEntry *last = NULL; /* used last; entries stay where they are until they are swept */
static uint64 uses = 0;

static OutboxCacheEntry *find_entry_by_name(const char *name, int32 line);
static OutboxCacheEntry *entry_of(OutboxCachedContract *contract);
static void create_cache(void);
static uint32 hash_key(const void *key, Size size);
static OutboxCacheEntry *find_free_entry(OutboxCacheKey *key);
static OutboxCachedContract *use_entry(OutboxCacheEntry *entry);
static void sweep_entries(void);
static uint64 oldest_quarter(void);
static int compare_uses(const void *a, const void *b);
static bool entry_is_current(const OutboxCacheEntry *entry);
static void relation_changed(Datum arg, Oid relation);
static void anything_changed(Datum arg, int cacheid, uint32 hashvalue);
static void object_changed(Datum arg, int cacheid, uint32 hashvalue);

/*
 * The contract behind a trigger, compiled for this relation. A contract that is
 * evaluated per row is compiled whole. Of one that is evaluated at commit only
 * `touch` is there, which maps the relation's rows to lookup keys.
 *
 * Never raises for trouble with the contract: `state` tells it. The result is
 * reserved for the caller until OutboxContractRelease(), which must be called on
 * every path. A re-entrant change of the same source gets another copy.
 */
OutboxCachedContract *
OutboxContractAcquire(const Trigger *trigger, Relation rel)
{
	OutboxCacheEntry *entry = last;
	OutboxCacheKey key;

	if (entry == NULL || entry->key.trigger != trigger->tgoid ||
		entry->key.relation != RelationGetRelid(rel) || entry->in_use)
	{
		memset(&key, 0, sizeof(key));
		key.trigger = trigger->tgoid;
		key.relation = RelationGetRelid(rel);
		entry = find_free_entry(&key);
		if (key.depth == 0)
			last = entry;
	}
	if (!entry_is_current(entry))
		OutboxFillEntry(entry, OutboxTriggerContract(trigger));
	return use_entry(entry);
}

/*
 * A later version of the contract behind a trigger: `next_line` of the version before it names its line. DISABLED when
 * no version of that line is published any more. Otherwise as OutboxContractAcquire.
 */
OutboxCachedContract *
OutboxContractAcquireLine(const Trigger *trigger, Relation rel, int32 line)
{
	OutboxCacheEntry *entry;
	OutboxCacheKey key;

	memset(&key, 0, sizeof(key));
	key.trigger = trigger->tgoid;
	key.relation = RelationGetRelid(rel);
	key.line = line;
	entry = find_free_entry(&key);
	if (!entry_is_current(entry))
		OutboxFillEntry(entry, OutboxTriggerContract(trigger));
	return use_entry(entry);
}

static OutboxCacheEntry *
find_entry_by_name(const char *name, int32 line)
{
	OutboxCacheKey key;

	memset(&key, 0, sizeof(key));
	key.line = line;
	strlcpy(key.name, name, sizeof(key.name));
	return find_free_entry(&key);
}

/* Is the version of that line (0: the first one) of the contract of that name compiled and current? Then acquiring it by name compiles nothing, and waits for nobody. */
bool
OutboxContractIsCurrent(const char *name, int32 line)
{
	return entry_is_current(find_entry_by_name(name, line));
}

/*
 * The contract of that name compiled whole, for the flush. `compiled->query` is
 * set when it is evaluated at commit. The state is never FOREIGN. Needs no active
 * snapshot.
 *
 * A contract that was dropped and created again under its name is the new one:
 * compare its lookup columns with those of the keys that were queued.
 *
 * Never raises for trouble with the contract. Reserved for the caller until
 * OutboxContractRelease(), which must be called on every path.
 */
OutboxCachedContract *
OutboxContractAcquireByName(const char *name)
{
	return OutboxContractAcquireLineByName(name, 0);
}

/* The active version of a line (0: the first one) of the contract of that name, otherwise as OutboxContractAcquireByName. */
OutboxCachedContract *
OutboxContractAcquireLineByName(const char *name, int32 line)
{
	OutboxCacheEntry *entry = find_entry_by_name(name, line);

	if (!entry_is_current(entry))
		OutboxFillEntry(entry, entry->key.name);
	return use_entry(entry);
}

static OutboxCachedContract *
use_entry(OutboxCacheEntry *entry)
{
	entry->in_use = true;
	entry->used = ++uses;
	entry->user = OutboxLocalTransactionId();
	return &entry->contract;
}

/* Gives back what OutboxContractAcquire() or OutboxContractAcquireByName() returned. Never raises. */
void
OutboxContractRelease(OutboxCachedContract *contract)
{
	entry_of(contract)->in_use = false;
}

/* The contract's name in the name of a trigger. Of a trigger that was renamed: the trigger's name. Allocates nothing. */
const char *
OutboxTriggerContract(const Trigger *trigger)
{
	const char *prefixes[] = {OUTBOX_TRIGGER_PREFIX, OUTBOX_TRUNCATE_TRIGGER_PREFIX};

	for (int i = 0; i < lengthof(prefixes); i++)
	{
		if (strncmp(trigger->tgname, prefixes[i], strlen(prefixes[i])) == 0)
			return trigger->tgname + strlen(prefixes[i]);
	}
	return trigger->tgname;
}

/*
 * True at the first call for an entry in a transaction: a missing contract leaves
 * one gap. True again when the savepoint of that call was rolled back. Assigns a
 * transaction id.
 */
bool
OutboxContractFirstGap(OutboxCachedContract *contract)
{
	OutboxCacheEntry *entry = entry_of(contract);

	/* a gap that was rolled back with its savepoint does not count */
	if (entry->gap_transaction == OutboxLocalTransactionId() &&
		TransactionIdIsCurrentTransactionId(entry->gap_xid))
		return false;
	entry->gap_transaction = OutboxLocalTransactionId();
	entry->gap_xid = GetCurrentTransactionId();
	return true;
}

static OutboxCacheEntry *
entry_of(OutboxCachedContract *contract)
{
	return (OutboxCacheEntry *) ((char *) contract - offsetof(OutboxCacheEntry, contract));
}

/* When this transaction commits, all backends compile their contracts anew. */
void
OutboxContractsChanged(void)
{
	CacheInvalidateRelcacheByRelid(OutboxRelationOid("contract"));
}

static void
create_cache(void)
{
	HASHCTL control = {.keysize = sizeof(OutboxCacheKey), .entrysize = sizeof(OutboxCacheEntry), .hash = hash_key, .hcxt = CacheMemoryContext};

	/* callbacks stay for good, so the table comes first: it may raise */
	cache = hash_create("outbox contracts", 32, &control, HASH_ELEM | HASH_FUNCTION | HASH_CONTEXT);
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, anything_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, anything_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(ENUMOID, anything_changed, (Datum) 0);
	/* a function looks for casts, operator classes and their functions by itself when it gets a value of the type */
	CacheRegisterSyscacheCallback(CASTSOURCETARGET, anything_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(CLAOID, anything_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AMPROCNUM, anything_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(PROCOID, object_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(TYPEOID, object_changed, (Datum) 0);
}

/* The entry of a trigger may be looked up for every row: its name is empty, and is not hashed. */
static uint32
hash_key(const void *key, Size size)
{
	const OutboxCacheKey *entry = key;
	uint32 hash = hash_bytes(key, offsetof(OutboxCacheKey, name));

	return entry->name[0] ? hash ^ hash_bytes((const unsigned char *) entry->name, strlen(entry->name)) : hash;
}

/* The first entry of the key that is not in use, made if there is none. Sets key->depth to its depth. */
static OutboxCacheEntry *
find_free_entry(OutboxCacheKey *key)
{
	if (cache == NULL)
		create_cache();
	for (;; key->depth++)
	{
		OutboxCacheEntry *entry = hash_search(cache, key, HASH_FIND, NULL);

		if (entry == NULL)
		{
			sweep_entries();
			entry = hash_search(cache, key, HASH_ENTER, NULL);
			memset((char *) entry + sizeof(OutboxCacheKey), 0, sizeof(OutboxCacheEntry) - sizeof(OutboxCacheKey));
		}
		if (!entry->in_use)
			return entry;
	}
}

/*
 * Drops outdated entries: nobody comes back for the entry of a trigger that was
 * dropped. When there are too many entries, the quarter goes that was not used
 * for the longest time.
 */
static void
sweep_entries(void)
{
	uint64 oldest = hash_get_num_entries(cache) >= MAX_ENTRIES ? oldest_quarter() : 0;
	HASH_SEQ_STATUS status;
	OutboxCacheEntry *entry;

	last = NULL;
	hash_seq_init(&status, cache);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->in_use || (entry->valid && (entry->used > oldest || entry->user == OutboxLocalTransactionId())))
			continue;
		OutboxEmptyEntry(entry);
		(void) hash_search(cache, &entry->key, HASH_REMOVE, NULL);
	}
}

/* Three quarters of the entries were used later than this. */
static uint64
oldest_quarter(void)
{
	int count = 0;
	uint64 *used = palloc(sizeof(uint64) * hash_get_num_entries(cache));
	HASH_SEQ_STATUS status;
	OutboxCacheEntry *entry;
	uint64 result;

	hash_seq_init(&status, cache);
	while ((entry = hash_seq_search(&status)) != NULL)
		used[count++] = entry->used;
	qsort(used, count, sizeof(uint64), compare_uses);
	result = used[count / 4];
	pfree(used);
	return result;
}

static int
compare_uses(const void *a, const void *b)
{
	uint64 left = *(const uint64 *) a;
	uint64 right = *(const uint64 *) b;

	return left < right ? -1 : left > right;
}

static bool
entry_is_current(const OutboxCacheEntry *entry)
{
	if (!entry->valid)
		return false;
	switch (entry->contract.state)
	{
		case OUTBOX_CONTRACT_READY:
			if (entry->contract.touch)
				return OutboxTouchIsValid(entry->contract.touch);
			/* the plan lacks an index that was too young for the transaction that made it */
			if (entry->contract.compiled->query && entry->contract.compiled->query->plan->transientPlan &&
				entry->transaction != OutboxLocalTransactionId())
				return false;
			return entry->contract.compiled->cached->is_valid;
		case OUTBOX_CONTRACT_DISABLED:
		case OUTBOX_CONTRACT_FOREIGN:
			return true;
		default:
			return entry->transaction == OutboxLocalTransactionId();
	}
}

static void
relation_changed(Datum arg, Oid relation)
{
	HASH_SEQ_STATUS status;
	OutboxCacheEntry *entry;

	OutboxFillNoteChange(0, relation);
	hash_seq_init(&status, cache);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (!OidIsValid(relation) || entry->relations == NIL || list_member_oid(entry->relations, relation))
			entry->valid = false;
	}
}

/* A function or a type changed. Of per-row expressions the plan cache tells it, too (is_valid). */
static void
object_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	HASH_SEQ_STATUS status;
	OutboxCacheEntry *entry;

	OutboxFillNoteChange(cacheid, hashvalue);
	hash_seq_init(&status, cache);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		ListCell *lc;

		foreach (lc, entry->objects)
		{
			PlanInvalItem *item = lfirst(lc);

			if (item->cacheId == cacheid && (hashvalue == 0 || item->hashValue == hashvalue))
				entry->valid = false;
		}
	}
}

/* Rights, labels, casts or operator classes changed. That is rare, and does not tell which contracts are concerned. */
static void
anything_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	relation_changed((Datum) 0, InvalidOid);
}
