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

#include "catalog/catalog.h"
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
	LocalTransactionId gap_transaction; /* the last one that recorded a gap */
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
static bool entry_is_current(const CacheEntry *entry);
static void fill_entry(CacheEntry *entry, const Trigger *trigger);
static void empty_entry(CacheEntry *entry);
static void fill_step(void *arg);
static void relation_changed(Datum arg, Oid relation);
static void role_changed(Datum arg, int cacheid, uint32 hashvalue);

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

/* Both prefixes have the same length. */
const char *
OutboxTriggerContract(const Trigger *trigger)
{
	StaticAssertStmt(sizeof(OUTBOX_TRIGGER_PREFIX) == sizeof(OUTBOX_TRUNCATE_TRIGGER_PREFIX),
					 "trigger prefixes differ in length");
	return trigger->tgname + strlen(OUTBOX_TRIGGER_PREFIX);
}

bool
OutboxContractFirstGap(OutboxCachedContract *contract)
{
	CacheEntry *entry = entry_of(contract);
	bool		first = entry->gap_transaction != OutboxLocalTransactionId();

	entry->gap_transaction = OutboxLocalTransactionId();
	return first;
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

	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, role_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, role_changed, (Datum) 0);
	cache = hash_create("outbox contracts", 32, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static CacheEntry *
find_free_entry(Oid trigger, Oid relation)
{
	CacheKey	key;

	memset(&key, 0, sizeof(key));
	key.trigger = trigger;
	key.relation = relation;
	for (;; key.depth++)
	{
		bool		found;
		CacheEntry *entry = hash_search(cache, &key, HASH_ENTER, &found);

		if (!found)
			memset((char *) entry + sizeof(CacheKey), 0, sizeof(CacheEntry) - sizeof(CacheKey));
		if (!entry->in_use)
			return entry;
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
role_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	relation_changed((Datum) 0, InvalidOid);
}
