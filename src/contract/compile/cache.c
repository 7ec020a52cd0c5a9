/*-------------------------------------------------------------------------
 *
 * cache.c
 *	  Compiled contracts of this backend, by trigger and relation or by name.
 *
 * Callbacks only flag; an entry is rebuilt at its next use. An entry that was
 * filled while a callback came in is used once and rebuilt, because it may mix
 * old and new. A contract that is missing or broken is looked at again in
 * every transaction and after every invalidation: what would mend it cannot
 * be enumerated.
 *
 * Compiling looks at views and tables, and keeps no lock on any: what is
 * compiled is true as long as no callback says otherwise. The executor relies
 * on more than that. Whoever runs a query of a compiled contract locks its
 * relations first and acquires the contract then.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "nodes/plannodes.h"
#include "storage/proc.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/compile/compile_private.h"
#include "contract/environment/environment.h"
#include "contract/view/view.h"
#include "util/util.h"

/*
 * Compiled at a time, one per contract and partition: at about 50 kB each. The
 * running transaction may have more: compiling costs as much as capturing a
 * thousand rows, and a statement may write to all partitions in turn.
 */
#define MAX_ENTRIES 1024

/* By trigger and relation, or by name (then both are InvalidOid). */
typedef struct CacheKey
{
	Oid trigger;
	Oid relation;
	int depth;              /* 0, or how many re-entrant uses are below this one */
	char name[NAMEDATALEN]; /* zero-padded */
} CacheKey;

typedef struct CacheEntry
{
	CacheKey key; /* hash key, first */
	OutboxCachedContract contract;
	MemoryContext context; /* owns config and error; the compiled contract or touch is its child */
	const List *relations; /* READY: OIDs whose invalidation outdates it; NIL: any */
	const List *objects;   /* READY: of PlanInvalItem *, functions and types that do */
	bool valid;
	bool in_use;
	uint64 used;                        /* when it was used last: a larger number is later */
	LocalTransactionId user;            /* and by which transaction */
	LocalTransactionId transaction;     /* the one that filled it */
	LocalTransactionId gap_transaction; /* the last one that recorded a gap, */
	TransactionId gap_xid;              /* and the subtransaction that did */
} CacheEntry;

/* What filling an entry needs inside the guard. */
typedef struct FillRequest
{
	CacheEntry *entry;
	const char *contract_name;
	int attempt;
	OutboxFillWatch watch;
} FillRequest;

/* Attempts to compile while what a contract rests on changes. */
#define MOST_ATTEMPTS 5

static HTAB *cache = NULL;
static CacheEntry *last = NULL; /* used last; entries stay where they are until they are swept */
static uint64 uses = 0;

static CacheEntry *find_entry_by_name(const char *name);
static CacheEntry *entry_of(OutboxCachedContract *contract);
static void create_cache(void);
static uint32 hash_key(const void *key, Size size);
static CacheEntry *find_free_entry(CacheKey *key);
static OutboxCachedContract *use_entry(CacheEntry *entry);
static void sweep_entries(void);
static uint64 oldest_quarter(void);
static int compare_uses(const void *a, const void *b);
static bool entry_is_current(const CacheEntry *entry);
static void fill_entry(CacheEntry *entry, const char *contract_name);
static void empty_entry(CacheEntry *entry);
static bool fill_once(FillRequest *request);
static void fill_step(void *arg);
static bool is_outdated(const FillRequest *request);
static void fill(FillRequest *request);
static void compile_contract(CacheEntry *entry);
static void compile_touch(CacheEntry *entry);
static void relation_changed(Datum arg, Oid relation);
static void anything_changed(Datum arg, int cacheid, uint32 hashvalue);
static void object_changed(Datum arg, int cacheid, uint32 hashvalue);

/*
 * The contract behind a trigger, compiled for this relation: whole when it is
 * evaluated per row, else what maps the relation's rows to lookup keys. Never
 * raises for trouble with the contract (state says so). Reserved for the caller
 * until OutboxContractRelease: a re-entrant change of the same source gets
 * another copy. Release it on every path.
 */
OutboxCachedContract *
OutboxContractAcquire(const Trigger *trigger, Relation rel)
{
	CacheEntry *entry = last;
	CacheKey key;

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
		fill_entry(entry, OutboxTriggerContract(trigger));
	return use_entry(entry);
}

static CacheEntry *
find_entry_by_name(const char *name)
{
	CacheKey key;

	memset(&key, 0, sizeof(key));
	strlcpy(key.name, name, sizeof(key.name));
	return find_free_entry(&key);
}

/* Would that compile nothing, and so wait for nobody? */
bool
OutboxContractIsCurrent(const char *name)
{
	return entry_is_current(find_entry_by_name(name));
}

/*
 * The contract of that name compiled whole, for the flush; `compiled->query` is
 * set when it is evaluated at commit. On the same terms; never FOREIGN. A
 * contract that was dropped and created again under its name is the new one,
 * so compare its lookup columns with those of what was queued. Needs no active
 * snapshot.
 */
OutboxCachedContract *
OutboxContractAcquireByName(const char *name)
{
	CacheEntry *entry = find_entry_by_name(name);

	if (!entry_is_current(entry))
		fill_entry(entry, entry->key.name);
	return use_entry(entry);
}

static OutboxCachedContract *
use_entry(CacheEntry *entry)
{
	entry->in_use = true;
	entry->used = ++uses;
	entry->user = OutboxLocalTransactionId();
	return &entry->contract;
}

void
OutboxContractRelease(OutboxCachedContract *contract)
{
	entry_of(contract)->in_use = false;
}

/* The contract that a trigger's name says; of a trigger that was renamed, that name. */
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

/* True once per trigger and transaction: a missing contract leaves one gap. Assigns a transaction id. */
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

/* Outdates every backend's copies at commit of the present transaction. */
void
OutboxContractsChanged(void)
{
	CacheInvalidateRelcacheByRelid(OutboxRelationOid("contract"));
}

static void
create_cache(void)
{
	HASHCTL control = {.keysize = sizeof(CacheKey), .entrysize = sizeof(CacheEntry), .hash = hash_key, .hcxt = CacheMemoryContext};

	/* The callbacks stay for good, so they come last. */
	cache = hash_create("outbox contracts", 32, &control, HASH_ELEM | HASH_FUNCTION | HASH_CONTEXT);
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, anything_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, anything_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(ENUMOID, anything_changed, (Datum) 0);
	/* what a function finds by itself when it gets a value of the type */
	CacheRegisterSyscacheCallback(CASTSOURCETARGET, anything_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(CLAOID, anything_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AMPROCNUM, anything_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(PROCOID, object_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(TYPEOID, object_changed, (Datum) 0);
}

/* A trigger's entry is looked up for every row: its name is empty and costs nothing. */
static uint32
hash_key(const void *key, Size size)
{
	const CacheKey *entry = key;
	uint32 hash = hash_bytes(key, offsetof(CacheKey, name));

	return entry->name[0] ? hash ^ hash_bytes((const unsigned char *) entry->name, strlen(entry->name)) : hash;
}

/* Counts key->depth up to the first entry that is not in use. */
static CacheEntry *
find_free_entry(CacheKey *key)
{
	if (cache == NULL)
		create_cache();
	for (;; key->depth++)
	{
		CacheEntry *entry = hash_search(cache, key, HASH_FIND, NULL);

		if (entry == NULL)
		{
			sweep_entries();
			entry = hash_search(cache, key, HASH_ENTER, NULL);
			memset((char *) entry + sizeof(CacheKey), 0, sizeof(CacheEntry) - sizeof(CacheKey));
		}
		if (!entry->in_use)
			return entry;
	}
}

/*
 * Drops what is outdated: a trigger that was dropped never comes back for its
 * entry. When there are too many, the quarter goes that was not used for the
 * longest time.
 */
static void
sweep_entries(void)
{
	uint64 oldest = hash_get_num_entries(cache) >= MAX_ENTRIES ? oldest_quarter() : 0;
	HASH_SEQ_STATUS status;
	CacheEntry *entry;

	last = NULL;
	hash_seq_init(&status, cache);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->in_use || (entry->valid && (entry->used > oldest || entry->user == OutboxLocalTransactionId())))
			continue;
		empty_entry(entry);
		(void) hash_search(cache, &entry->key, HASH_REMOVE, NULL);
	}
}

/* The last use of the entry that three quarters were used after. */
static uint64
oldest_quarter(void)
{
	int count = 0;
	uint64 *used = palloc(sizeof(uint64) * hash_get_num_entries(cache));
	HASH_SEQ_STATUS status;
	CacheEntry *entry;
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
entry_is_current(const CacheEntry *entry)
{
	if (!entry->valid)
		return false;
	switch (entry->contract.state)
	{
		case OUTBOX_CONTRACT_READY:
			if (entry->contract.touch)
				return OutboxTouchIsValid(entry->contract.touch);
			/* made without an index that is too young for this transaction */
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

/* Fills the entry; trouble becomes its state. */
static void
fill_entry(CacheEntry *entry, const char *contract_name)
{
	FillRequest request = {.entry = entry, .contract_name = contract_name};

	do
	{
		empty_entry(entry);
		entry->context = AllocSetContextCreate(CacheMemoryContext, "outbox cached contract", ALLOCSET_SMALL_SIZES);
		entry->transaction = OutboxLocalTransactionId();
		request.attempt++;
	} while (!fill_once(&request));
}

/* False: it changed meanwhile, and must not be used. */
static bool
fill_once(FillRequest *request)
{
	CacheEntry *entry = request->entry;
	ErrorData *volatile error = NULL;

	/* planning runs functions, which may write to a source and come here again */
	entry->in_use = true;
	OutboxFillWatchBegin(&request->watch);
	PG_TRY();
	{
		error = OutboxRunGuarded(fill_step, request, entry->context);
	}
	PG_FINALLY();
	{
		OutboxFillWatchEnd(&request->watch);
		entry->in_use = false;
	}
	PG_END_TRY();
	if (error)
	{
		entry->contract.state = OUTBOX_CONTRACT_BROKEN;
		entry->contract.compiled = NULL;
		entry->contract.touch = NULL;
		entry->contract.error = error;
		entry->relations = NIL;
		entry->objects = NIL;
	}
	entry->valid = !is_outdated(request);
	return entry->valid || entry->contract.state != OUTBOX_CONTRACT_READY;
}

static void
empty_entry(CacheEntry *entry)
{
	if (entry->context)
		MemoryContextDelete(entry->context);
	memset(&entry->contract, 0, sizeof(entry->contract));
	entry->context = NULL;
	entry->relations = NIL;
	entry->objects = NIL;
	entry->valid = false;
}

static void
fill_step(void *arg)
{
	FillRequest *request = arg;
	OutboxLook look = {0};

	OutboxLookEnter(&look, CurrentResourceOwner);
	fill(request);
	OutboxLookLeave(&look);
	OutboxLookClose(&look);
	if (request->attempt >= MOST_ATTEMPTS && request->entry->contract.state == OUTBOX_CONTRACT_READY && is_outdated(request))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("what contract \"%s\" rests on changes again and again", request->contract_name),
				 errdetail("A table, function or type of its view was altered each time while the contract was compiled.")));
}

static bool
is_outdated(const FillRequest *request)
{
	return OutboxFillWatchConcerns(&request->watch, request->entry->relations, request->entry->objects);
}

static void
fill(FillRequest *request)
{
	CacheEntry *entry = request->entry;
	bool by_name = entry->key.name[0] != '\0';
	MemoryContext caller = MemoryContextSwitchTo(entry->context);
	OutboxContractConfig *config = OutboxContractLoad(request->contract_name);

	entry->contract.config = config;
	/* anybody may make a trigger of any name on a table of his own, or of whoever granted him TRIGGER */
	if (config == NULL)
		entry->contract.state = by_name ||
				(OutboxIsWithinAnySource(entry->key.relation) && OutboxTriggerIsOurs(entry->key.trigger, entry->key.relation))
			? OUTBOX_CONTRACT_MISSING
			: OUTBOX_CONTRACT_FOREIGN;
	/* created by enable(), or copied to a partition by PostgreSQL? */
	else if (!by_name &&
			 OutboxContractSource(config, OutboxTriggerTable(entry->key.trigger, entry->key.relation)) == NULL)
		entry->contract.state = OUTBOX_CONTRACT_FOREIGN;
	else if (!config->enabled)
		entry->contract.state = OUTBOX_CONTRACT_DISABLED;
	else if (config->restoring && !by_name)
		entry->contract.state = OUTBOX_CONTRACT_RESTORING;
	else if (config->detached)
		entry->contract.state = OUTBOX_CONTRACT_DETACHED;
	else
	{
		entry->contract.owner_changed = OutboxViewOwnerChanged(config);
		OutboxCheckViewOwnerUnchanged(config);
		/* In the subtransaction's memory until it is whole. */
		MemoryContextSwitchTo(CurTransactionContext);
		if (config->at_commit && !by_name)
			compile_touch(entry);
		else
			compile_contract(entry);
		entry->contract.state = OUTBOX_CONTRACT_READY;
	}
	MemoryContextSwitchTo(caller);
}

static void
compile_contract(CacheEntry *entry)
{
	OutboxContractConfig *config = entry->contract.config;
	bool pushed = OutboxEnsureSnapshot(); /* planning may run functions */
	OutboxCompiledContract *compiled;

	compiled = OutboxCompileContract(config, OidIsValid(entry->key.relation) ? entry->key.relation : config->root, false);
	if (pushed)
		PopActiveSnapshot();
	MemoryContextSetParent(compiled->context, entry->context);
	entry->contract.compiled = compiled;
	entry->relations = compiled->relations;
	entry->objects = compiled->objects;
}

static void
compile_touch(CacheEntry *entry)
{
	OutboxTouch *touch = OutboxCompileTouch(entry->contract.config, entry->key.relation);

	MemoryContextSetParent(OutboxTouchContext(touch), entry->context);
	entry->contract.touch = touch;
	entry->relations = OutboxTouchRelations(touch);
	entry->objects = OutboxTouchTypes(touch);
}

static void
relation_changed(Datum arg, Oid relation)
{
	HASH_SEQ_STATUS status;
	CacheEntry *entry;

	OutboxFillWatchNote(0, relation);
	hash_seq_init(&status, cache);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (!OidIsValid(relation) || entry->relations == NIL || list_member_oid(entry->relations, relation))
			entry->valid = false;
	}
}

/* A function or a type; the plans of per-row expressions are told by the plan cache. */
static void
object_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	HASH_SEQ_STATUS status;
	CacheEntry *entry;

	OutboxFillWatchNote(cacheid, hashvalue);
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

/* Rights, labels, casts, operator classes: rare, and what they are for is not known. */
static void
anything_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	relation_changed((Datum) 0, InvalidOid);
}
