/*-------------------------------------------------------------------------
 *
 * cache.c
 *	  Compiled contracts of this backend, by trigger and relation.
 *
 * Callbacks only flag; an entry is rebuilt at its next use. An entry that was
 * filled while a callback came in is used once and rebuilt, because it may mix
 * old and new. A contract that is missing or broken is looked at again in
 * every transaction and after every invalidation: what would mend it cannot
 * be enumerated.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "commands/trigger.h"
#include "storage/proc.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/cache.h"
#include "contract/guard.h"

typedef struct CacheKey
{
	Oid			trigger;
	Oid			relation;
	int			depth;			/* 0, or how many re-entrant uses are below this one */
} CacheKey;

typedef struct CacheEntry
{
	CacheKey	key;			/* hash key, first */
	OutboxCachedContract contract;
	MemoryContext context;		/* owns config and error; the compiled contract is its child */
	bool		valid;
	bool		in_use;
	LocalTransactionId transaction; /* the one that filled it */
	LocalTransactionId gap_transaction; /* the last one that recorded a gap, */
	TransactionId gap_xid;		/* and the subtransaction that did */
} CacheEntry;

/* What filling an entry needs inside the guard. */
typedef struct FillRequest
{
	CacheEntry *entry;
	const char *contract_name;
} FillRequest;

static HTAB *cache = NULL;
static uint64 invalidations = 0;

static CacheEntry *entry_of(OutboxCachedContract *contract);
static void create_cache(void);
static CacheEntry *find_free_entry(Oid trigger, Oid relation);
static void sweep_entries(void);
static bool entry_is_current(const CacheEntry *entry);
static void fill_entry(CacheEntry *entry, const Trigger *trigger);
static void empty_entry(CacheEntry *entry);
static void fill_step(void *arg);
static void relation_changed(Datum arg, Oid relation);
static void role_or_label_changed(Datum arg, int cacheid, uint32 hashvalue);

OutboxCachedContract *
OutboxContractAcquire(const Trigger *trigger, Relation rel)
{
	CacheEntry *entry;

	if (cache == NULL)
		create_cache();
	entry = find_free_entry(trigger->tgoid, RelationGetRelid(rel));
	if (!entry_is_current(entry))
		fill_entry(entry, trigger);
	entry->in_use = true;
	return &entry->contract;
}

void
OutboxContractRelease(OutboxCachedContract *contract)
{
	entry_of(contract)->in_use = false;
}

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

bool
OutboxContractFirstGap(OutboxCachedContract *contract)
{
	CacheEntry *entry = entry_of(contract);

	/* One that a rolled-back savepoint took along does not count. */
	if (entry->gap_transaction == OutboxLocalTransactionId() &&
		TransactionIdIsCurrentTransactionId(entry->gap_xid))
		return false;
	entry->gap_transaction = OutboxLocalTransactionId();
	entry->gap_xid = GetCurrentTransactionId();
	return true;
}

static CacheEntry *
entry_of(OutboxCachedContract *contract)
{
	return (CacheEntry *) ((char *) contract - offsetof(CacheEntry, contract));
}

void
OutboxContractsChanged(void)
{
	CacheInvalidateRelcacheByRelid(OutboxRelationOid("contract"));
}

static void
create_cache(void)
{
	HASHCTL		control = {.keysize = sizeof(CacheKey), .entrysize = sizeof(CacheEntry),
	.hcxt = CacheMemoryContext};

	/* The callbacks stay for good, so they come last. */
	cache = hash_create("outbox contracts", 32, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, role_or_label_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, role_or_label_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(ENUMOID, role_or_label_changed, (Datum) 0);
}

static CacheEntry *
find_free_entry(Oid trigger, Oid relation)
{
	static CacheEntry *last = NULL; /* entries stay where they are */
	CacheKey	key;

	if (last && last->key.trigger == trigger && last->key.relation == relation && !last->in_use)
		return last;
	memset(&key, 0, sizeof(key));
	key.trigger = trigger;
	key.relation = relation;
	for (;; key.depth++)
	{
		CacheEntry *entry = hash_search(cache, &key, HASH_FIND, NULL);

		if (entry == NULL)
		{
			sweep_entries();
			entry = hash_search(cache, &key, HASH_ENTER, NULL);
			memset((char *) entry + sizeof(CacheKey), 0, sizeof(CacheEntry) - sizeof(CacheKey));
		}
		if (!entry->in_use)
		{
			if (key.depth == 0)
				last = entry;
			return entry;
		}
	}
}

/* Drops what is outdated: a trigger that was dropped never comes back for its entry. */
static void
sweep_entries(void)
{
	HASH_SEQ_STATUS status;
	CacheEntry *entry;

	hash_seq_init(&status, cache);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->valid || entry->in_use)
			continue;
		empty_entry(entry);
		(void) hash_search(cache, &entry->key, HASH_REMOVE, NULL);
	}
}

static bool
entry_is_current(const CacheEntry *entry)
{
	if (!entry->valid)
		return false;
	switch (entry->contract.state)
	{
		case OUTBOX_CONTRACT_READY:
			return entry->contract.compiled->cached->is_valid;
		case OUTBOX_CONTRACT_DISABLED:
		case OUTBOX_CONTRACT_FOREIGN:
			return true;
		default:
			return entry->transaction == OutboxLocalTransactionId();
	}
}

/* Fills the entry; trouble becomes its state. */
static void
fill_entry(CacheEntry *entry, const Trigger *trigger)
{
	FillRequest request = {.entry = entry};
	uint64		seen;
	ErrorData  *error;

	empty_entry(entry);
	entry->context = AllocSetContextCreate(CacheMemoryContext, "outbox cached contract", ALLOCSET_SMALL_SIZES);
	entry->transaction = OutboxLocalTransactionId();
	request.contract_name = OutboxTriggerContract(trigger);
	seen = invalidations;
	error = OutboxRunGuarded(fill_step, &request, entry->context);
	if (error)
	{
		entry->contract.state = OUTBOX_CONTRACT_BROKEN;
		entry->contract.compiled = NULL;
		entry->contract.error = error;
	}
	entry->valid = seen == invalidations;
}

static void
empty_entry(CacheEntry *entry)
{
	if (entry->context)
		MemoryContextDelete(entry->context);
	memset(&entry->contract, 0, sizeof(entry->contract));
	entry->context = NULL;
	entry->valid = false;
}

static void
fill_step(void *arg)
{
	FillRequest *request = arg;
	CacheEntry *entry = request->entry;
	MemoryContext caller = MemoryContextSwitchTo(entry->context);
	OutboxCompiledContract *compiled;

	entry->contract.config = OutboxContractLoad(request->contract_name);
	if (entry->contract.config == NULL)
		entry->contract.state = OUTBOX_CONTRACT_MISSING;
	else if (entry->contract.config->root != entry->key.relation)
		entry->contract.state = OUTBOX_CONTRACT_FOREIGN;
	else if (!entry->contract.config->enabled)
		entry->contract.state = OUTBOX_CONTRACT_DISABLED;
	else
	{
		/* In the subtransaction's memory until it is whole. */
		MemoryContextSwitchTo(CurTransactionContext);
		compiled = OutboxCompileContract(entry->contract.config, entry->key.relation, false);
		MemoryContextSetParent(compiled->context, entry->context);
		entry->contract.compiled = compiled;
		entry->contract.state = OUTBOX_CONTRACT_READY;
	}
	MemoryContextSwitchTo(caller);
}

static void
relation_changed(Datum arg, Oid relation)
{
	HASH_SEQ_STATUS status;
	CacheEntry *entry;

	invalidations++;
	hash_seq_init(&status, cache);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (!OidIsValid(relation) || entry->contract.compiled == NULL ||
			list_member_oid(entry->contract.compiled->relations, relation))
			entry->valid = false;
	}
}

static void
role_or_label_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	relation_changed((Datum) 0, InvalidOid);
}
