/*-------------------------------------------------------------------------
 *
 * cache_fill.c
 *	  Compiling a contract for the cache, and what changes meanwhile.
 *
 * It is asked whose code a contract would run before the contract is planned.
 * Planning runs functions, which may take their time, and accepts invalidations.
 * Meanwhile somebody may replace the code that was asked about. So the changes of
 * that time are noted. A contract is not used, not even once, when anything that
 * it rests on changed while it was compiled.
 *
 * A busy server changes many other objects, which do not matter. Each change sets
 * the bit of its hash, which tells them apart nearly always.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "nodes/plannodes.h"
#include "storage/proc.h"
#include "utils/memutils.h"

#include "compat.h"
#include "contract/compile/compile_private.h"
#include "util/util.h"

/* Attempts to compile while what a contract rests on changes. */
#define MOST_ATTEMPTS 5

/* Bits, one for each hash of a change. */
#define WATCHED_CHANGES 65536

typedef struct FillWatch
{
	struct FillWatch *outer;
	bool any; /* something changed */
	bool all; /* and nobody knows what */
	uint64 changes[WATCHED_CHANGES / 64];
} FillWatch;

/* What filling an entry needs inside the guard. */
typedef struct FillRequest
{
	OutboxCacheEntry *entry;
	const char *contract_name;
	int attempt;
	FillWatch watch;
} FillRequest;

/* The innermost watch, which is on the stack of who compiles. */
static FillWatch *current = NULL;

static bool fill_once(FillRequest *request);
static void fill_step(void *arg);
static bool is_outdated(const FillRequest *request);
static void fill(FillRequest *request);
static OutboxContractConfig *choose_version(OutboxCacheEntry *entry, OutboxContractConfig *config);
static void compile_contract(OutboxCacheEntry *entry);
static void compile_touch(OutboxCacheEntry *entry);
static void begin_watch(FillWatch *watch);
static void end_watch(FillWatch *watch);
static uint32 bit_of(int cacheid, uint32 value);
static bool concerns(const FillWatch *watch, const List *relations, const List *objects);
static bool is_noted(const FillWatch *watch, int cacheid, uint32 value);

/*
 * Compiles the contract into the entry. Trouble with the contract becomes the
 * entry's state. Raises the errors that are not ours to swallow (guard.c), and
 * then the entry is not valid.
 */
void
OutboxFillEntry(OutboxCacheEntry *entry, const char *contract_name)
{
	FillRequest request = {.entry = entry, .contract_name = contract_name};

	do
	{
		OutboxEmptyEntry(entry);
		entry->context = AllocSetContextCreate(CacheMemoryContext, "outbox cached contract", ALLOCSET_SMALL_SIZES);
		entry->transaction = OutboxLocalTransactionId();
		request.attempt++;
	} while (!fill_once(&request));
}

/* Frees what the entry holds. It is not valid then. */
void
OutboxEmptyEntry(OutboxCacheEntry *entry)
{
	if (entry->context)
		MemoryContextDelete(entry->context);
	memset(&entry->contract, 0, sizeof(entry->contract));
	entry->context = NULL;
	entry->relations = NIL;
	entry->objects = NIL;
	entry->valid = false;
}

/*
 * Notes a change. For callbacks of invalidations: neither raises nor allocates.
 * cacheid 0: of the relation `value`. Value 0: of anything.
 */
void
OutboxFillNoteChange(int cacheid, uint32 value)
{
	uint32 bit = bit_of(cacheid, value);

	for (FillWatch *watch = current; watch; watch = watch->outer)
	{
		watch->any = true;
		watch->all |= value == 0;
		watch->changes[bit / 64] |= UINT64CONST(1) << (bit % 64);
	}
}

/* False: what the contract rests on changed meanwhile, and the entry must not be used. */
static bool
fill_once(FillRequest *request)
{
	OutboxCacheEntry *entry = request->entry;
	ErrorData *volatile error = NULL;

	/* planning runs functions, which may write to a source and come here again */
	entry->in_use = true;
	begin_watch(&request->watch);
	PG_TRY();
	{
		error = OutboxRunGuarded(fill_step, request, entry->context);
	}
	PG_FINALLY();
	{
		end_watch(&request->watch);
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
				 errmsg("contract \"%s\" could not be compiled: its view is being altered again and again", request->contract_name),
				 errdetail("In each of %d attempts a table, function or type behind the view was altered while the contract was compiled.", MOST_ATTEMPTS)));
}

static bool
is_outdated(const FillRequest *request)
{
	return concerns(&request->watch, request->entry->relations, request->entry->objects);
}

static void
fill(FillRequest *request)
{
	OutboxCacheEntry *entry = request->entry;
	bool by_name = entry->key.name[0] != '\0';
	MemoryContext caller = MemoryContextSwitchTo(entry->context);
	OutboxContractConfig *config = OutboxContractLoad(request->contract_name);

	entry->contract.config = config;
	if (config)
		config = entry->contract.config = choose_version(entry, config);
	/* with the right TRIGGER on a table anybody may create a trigger of any name there */
	if (config == NULL)
		entry->contract.state = by_name ||
				(OutboxIsWithinAnySource(entry->key.relation) && OutboxTriggerIsOurs(entry->key.trigger, entry->key.relation))
			? OUTBOX_CONTRACT_MISSING
			: OUTBOX_CONTRACT_FOREIGN;
	/* neither created by enable() nor copied to a partition by PostgreSQL */
	else if (!by_name &&
			 OutboxContractSource(config, OutboxTriggerTable(entry->key.trigger, entry->key.relation)) == NULL)
		entry->contract.state = OUTBOX_CONTRACT_FOREIGN;
	else if (!config->enabled || (entry->key.line != 0 && config->line != entry->key.line))
		entry->contract.state = OUTBOX_CONTRACT_DISABLED;
	else if (config->restoring && !by_name)
		entry->contract.state = OUTBOX_CONTRACT_RESTORING;
	else if (config->detached)
		entry->contract.state = OUTBOX_CONTRACT_DETACHED;
	else
	{
		entry->contract.owner_changed = OutboxViewOwnerChanged(config);
		OutboxCheckViewOwnerUnchanged(config);
		/* in the subtransaction's memory until it is whole */
		MemoryContextSwitchTo(CurTransactionContext);
		if (config->at_commit && !by_name)
			compile_touch(entry);
		else
			compile_contract(entry);
		entry->contract.state = OUTBOX_CONTRACT_READY;
	}
	MemoryContextSwitchTo(caller);
}

/* The version that the entry is of; the first one when its line is not published any more. */
static OutboxContractConfig *
choose_version(OutboxCacheEntry *entry, OutboxContractConfig *config)
{
	OutboxContractConfig *version = entry->key.line == 0 ? config : OutboxContractLine(config, entry->key.line);
	OutboxContractConfig *next = OutboxContractAfter(config, Max(entry->key.line, config->line));

	entry->contract.next_line = next ? next->line : 0;
	return version ? version : config;
}

static void
compile_contract(OutboxCacheEntry *entry)
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
compile_touch(OutboxCacheEntry *entry)
{
	OutboxTouch *touch = OutboxCompileTouch(entry->contract.config, entry->key.relation);

	MemoryContextSetParent(OutboxTouchContext(touch), entry->context);
	entry->contract.touch = touch;
	entry->relations = OutboxTouchRelations(touch);
	entry->objects = OutboxTouchTypes(touch);
}

/* From here to end_watch() changes are noted. Watches are nested as compiling is. Call end_watch() after an error, too. */
static void
begin_watch(FillWatch *watch)
{
	memset(watch, 0, sizeof(*watch));
	watch->outer = current;
	current = watch;
}

static void
end_watch(FillWatch *watch)
{
	current = watch->outer;
}

static uint32
bit_of(int cacheid, uint32 value)
{
	return hash_combine(murmurhash32((uint32) cacheid), murmurhash32(value)) % WATCHED_CHANGES;
}

/* May a change that was noted concern one of these relations (NIL: any does) or of these PlanInvalItems? */
static bool
concerns(const FillWatch *watch, const List *relations, const List *objects)
{
	ListCell *lc;

	if (watch->all || (watch->any && relations == NIL))
		return true;
	if (!watch->any)
		return false;
	foreach (lc, relations)
	{
		if (is_noted(watch, 0, lfirst_oid(lc)))
			return true;
	}
	foreach (lc, objects)
	{
		const PlanInvalItem *item = lfirst(lc);

		if (is_noted(watch, item->cacheId, item->hashValue))
			return true;
	}
	return false;
}

static bool
is_noted(const FillWatch *watch, int cacheid, uint32 value)
{
	uint32 bit = bit_of(cacheid, value);

	return (watch->changes[bit / 64] & (UINT64CONST(1) << (bit % 64))) != 0;
}
