/*-------------------------------------------------------------------------
 *
 * redrive_events.c
 *	  Where the newest events of many keys are, found in one reading.
 *
 * The outbox has no index. Who needs the newest event of a key reads its leaves
 * from end to end, which takes seconds; a bulk that was late leaves hundreds of
 * keys. So all of them are looked for together, before any of them is locked,
 * and places of events are remembered, not events: memory is bounded by the
 * number of keys. A relay has other things to do: its reading goes on, block by
 * block, from one of its transactions to the next.
 *
 * What is committed afterwards is found as a relay finds it: the ring of hints
 * says into which blocks somebody wrote who was about to commit. The cursor is
 * placed before the reading starts. So an event is either met by the reading, or
 * it was written later and its hint is still to come; if it is met while its
 * transaction is open, its place is noted as a hint would be. In both cases it is
 * looked at again when its transaction has ended: when the key is locked nothing
 * but those few blocks is left to read. What this transaction writes itself has
 * no hint before its end, but is known here.
 *
 * Without preloading there is no ring: then the leaves that writers may have
 * used since are read again, for each key. When hints were lost, or a leaf was
 * rewritten, nothing is known any more and the reading starts anew.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/environment/environment.h"
#include "letters/redrive/redrive_search.h"
#include "util/util.h"

#define SH_PREFIX outbox_found
#define SH_ELEMENT_TYPE OutboxKeyEvents
#define SH_KEY_TYPE uint64
#define SH_KEY key
#define SH_HASH_KEY(table, key) ((uint32) (key))
#define SH_EQUAL(table, a, b) ((a) == (b))
#define SH_SCOPE extern
#define SH_DEFINE
#include "lib/simplehash.h"

/* Leaves that may have events which the snapshot does not see. */
#define LEAVES_QUERY                                                                                                                         \
	"SELECT relation::pg_catalog.oid FROM outbox_internal.leaf WHERE state <> 'empty' AND ($1 IS NULL"                                       \
	" OR frozen_snapshot IS NULL OR pg_catalog.pg_snapshot_xmax(frozen_snapshot) > pg_catalog.pg_snapshot_xmin($1::pg_catalog.pg_snapshot))" \
	" ORDER BY leaf"

/* Those of the contracts, with the contract's place in the array, by id; behind them the highest of all. */
#define SCHEMAS_QUERY                                                                                                     \
	"SELECT id, pg_catalog.array_position($1::text[], contract) - 1, false AS last FROM outbox_internal.event_schema"     \
	" WHERE contract = ANY ($1::text[]) UNION ALL SELECT coalesce(max(id), 0), 0, true FROM outbox_internal.event_schema" \
	" ORDER BY last, id"

OutboxKeySearch OutboxSearch;

static void add_contract(const OutboxWantedKey *wanted);
static void note_oldest(const char *snapshot, bool first);
static OutboxSearchLeaf *known_leaf(Oid relid);
static void read_step(OutboxKeyReading *reading);
static void run(void (*step)(OutboxKeyReading *reading), OutboxKeyReading *reading);
static void acquire_contracts(void);
static void compile_apart(void *arg);
static void release_contracts(void);
static void on_transaction(XactEvent event, void *arg);

/* from _PG_init */
void
OutboxKeyEventsInit(void)
{
	RegisterXactCallback(on_transaction, NULL);
}

/* Events of ours that were noted are gone. */
static void
on_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT)
		OutboxSearch.outdated = true;
}

/* ---- what is looked for ------------------------------------------------------------ */

/* Forgets what was found; begins to look for these keys, of OutboxWantedKey. The list is copied. */
void
OutboxKeyEventsStart(const List *wanted)
{
	MemoryContext caller;
	ListCell *lc;
	OutboxHint *none = NULL;
	int capacity = 0;

	OutboxKeyEventsForget();
	OutboxSearch.context = AllocSetContextCreate(TopMemoryContext, "outbox events of keys", ALLOCSET_DEFAULT_SIZES);
	OutboxSearch.outdated = true; /* until all of this is done */
	caller = MemoryContextSwitchTo(OutboxSearch.context);
	OutboxSearch.keys = outbox_found_create(OutboxSearch.context, Max(list_length(wanted), 16), NULL);
	foreach (lc, wanted)
	{
		const OutboxWantedKey *key = lfirst(lc);
		bool found;

		add_contract(key);
		note_oldest(key->snapshot, foreach_current_index(lc) == 0);
		outbox_found_insert(OutboxSearch.keys, key->key, &found)->n = 0;
	}
	(void) OutboxHintsDrain(&OutboxSearch.cursor, &none, &capacity);
	MemoryContextSwitchTo(caller);
	OutboxSearchSchemas();
	PushActiveSnapshot(GetLatestSnapshot());
	OutboxSearch.began = MemoryContextStrdup(OutboxSearch.context, DatumGetCString(DirectFunctionCall1(pg_snapshot_out, DirectFunctionCall1(pg_current_snapshot, (Datum) 0))));
	PopActiveSnapshot();
	OutboxSearchLeaves(OutboxSearch.oldest, false);
	OutboxSearch.outdated = false;
}

static void
add_contract(const OutboxWantedKey *wanted)
{
	OutboxSearchContract *contract;
	ListCell *lc;

	foreach (lc, OutboxSearch.contracts)
	{
		if (strcmp(((OutboxSearchContract *) lfirst(lc))->name, wanted->contract) == 0)
			return;
	}
	contract = palloc0(sizeof(OutboxSearchContract));
	contract->name = pstrdup(wanted->contract);
	contract->decode = wanted->decode;
	OutboxSearch.contracts = lappend(OutboxSearch.contracts, contract);
}

static void
note_oldest(const char *snapshot, bool first)
{
	Datum xmin;

	if (first)
		OutboxSearch.oldest = snapshot ? pstrdup(snapshot) : NULL;
	if (OutboxSearch.oldest == NULL)
		return;
	if (snapshot == NULL)
	{
		OutboxSearch.oldest = NULL;
		return;
	}
	xmin = DirectFunctionCall1(pg_snapshot_xmin, DirectFunctionCall1(pg_snapshot_in, CStringGetDatum(snapshot)));
	if (DatumGetUInt64(xmin) < DatumGetUInt64(DirectFunctionCall1(pg_snapshot_xmin, DirectFunctionCall1(pg_snapshot_in, CStringGetDatum(OutboxSearch.oldest)))))
		OutboxSearch.oldest = pstrdup(snapshot);
}

/* A schema may be pinned at any time. */
void
OutboxSearchSchemas(void)
{
	List *names = NIL;
	const char *args[1];
	List *rows;
	OutboxSearchSchema *schemas;
	ListCell *lc;

	foreach (lc, OutboxSearch.contracts)
		names = lappend(names, ((OutboxSearchContract *) lfirst(lc))->name);
	args[0] = OutboxNamesToArray(names);
	rows = OutboxExecuteRows(SCHEMAS_QUERY, lengthof(args), args);
	schemas = MemoryContextAlloc(OutboxSearch.context, sizeof(OutboxSearchSchema) * list_length(rows));
	foreach (lc, rows)
	{
		char **row = lfirst(lc);

		schemas[foreach_current_index(lc)] = (OutboxSearchSchema){.id = pg_strtoint32(row[0]), .contract = pg_strtoint32(row[1])};
	}
	OutboxSearch.schemas = schemas;
	OutboxSearch.nschemas = list_length(rows) - 1;
	OutboxSearch.max_schema = schemas[OutboxSearch.nschemas].id;
}

/* Those that may have what the snapshot does not see are to be read; read: they have nothing but what hints are about. */
void
OutboxSearchLeaves(const char *snapshot, bool read)
{
	OutboxOwnerScope scope;
	OutboxRows rows;

	OutboxOwnerBegin(&scope);
	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
	SPI_connect();
	rows = OutboxSelect(LEAVES_QUERY, OUTBOX_ARGS(OUTBOX_TEXT(snapshot)));
	if (OutboxSearch.leaves == NULL)
		OutboxSearch.leaves = MemoryContextAlloc(OutboxSearch.context, sizeof(OutboxSearchLeaf) * OUTBOX_MAX_LEAVES);
	for (uint64 i = 0; i < rows.n && OutboxSearch.nleaves < OUTBOX_MAX_LEAVES; i++)
	{
		Oid relid = (Oid) OutboxRowInt(&rows, i, 1, InvalidOid);
		OutboxSearchLeaf *known = known_leaf(relid);
		Relation rel;

		if (known)
		{
			known->next = read ? known->next : 0;
			known->read &= read;
			continue;
		}
		rel = try_table_open(relid, AccessShareLock);
		if (rel == NULL)
			continue;
		OutboxSearch.leaves[OutboxSearch.nleaves++] = (OutboxSearchLeaf){.relid = relid, .relfilenumber = OutboxRelFileNumber(rel), .read = read};
		table_close(rel, NoLock);
	}
	SPI_finish();
	PopActiveSnapshot();
	OutboxOwnerEnd(&scope);
}

static OutboxSearchLeaf *
known_leaf(Oid relid)
{
	for (int i = 0; i < OutboxSearch.nleaves; i++)
	{
		if (OutboxSearch.leaves[i].relid == relid)
			return &OutboxSearch.leaves[i];
	}
	return NULL;
}

void
OutboxKeyEventsForget(void)
{
	MemoryContext context = OutboxSearch.context;

	memset(&OutboxSearch, 0, sizeof(OutboxSearch));
	if (context)
		MemoryContextDelete(context);
}

/* Was the key looked for, and is what was found worth something? */
bool
OutboxKeyEventsKnown(uint64 key)
{
	return OutboxSearch.context && OutboxSearch.complete && !OutboxSearch.outdated && outbox_found_lookup(OutboxSearch.keys, key);
}

/* Is a reading on its way that has not come to its end? */
bool
OutboxKeyEventsBusy(void)
{
	return OutboxSearch.context && !OutboxSearch.complete && !OutboxSearch.outdated;
}

/* ---- reading ------------------------------------------------------------------------ */

/*
 * Goes on with it. False: the time is over before all leaves were read; call it
 * again, also in another transaction. ms = 0: no limit. No lock of a key is needed,
 * and none should be held. May raise, and goes on from there when it is called again.
 */
bool
OutboxKeyEventsRead(int ms)
{
	TimestampTz start = GetCurrentTimestamp();

	while (OutboxKeyEventsBusy())
	{
		OutboxKeyReading reading;

		OutboxReadingBegin(&reading);
		reading.start = start;
		reading.ms = ms;
		run(read_step, &reading);
		OutboxReadingEnd(&reading);
		OutboxSearch.complete = !reading.more && !OutboxSearch.outdated;
		if (reading.more && OutboxReadingIsOver(&reading))
			return false;
	}
	return OutboxSearch.complete;
}

static void
read_step(OutboxKeyReading *reading)
{
	if (!OutboxSearch.outdated)
		OutboxReadingGoOn(reading);
	OutboxReadingCatchUp(reading);
}

/* ---- what was found -------------------------------------------------------------------- */

/*
 * The events of the key that are committed now, with those of this transaction
 * that are in a leaf. Reads what was written since the last time. Whoever holds
 * the lock of the key knows that there are no others. NULL: it is not known.
 */
const OutboxKeyEvents *
OutboxKeyEventsNow(uint64 key)
{
	OutboxKeyReading reading;

	if (!OutboxKeyEventsKnown(key))
		return NULL;
	OutboxReadingBegin(&reading);
	run(OutboxReadingCatchUp, &reading);
	OutboxReadingEnd(&reading);
	return OutboxKeyEventsKnown(key) ? outbox_found_lookup(OutboxSearch.keys, key) : NULL;
}

/* With the contracts at hand whose payloads are decoded. */
static void
run(void (*step)(OutboxKeyReading *reading), OutboxKeyReading *reading)
{
	acquire_contracts();
	PG_TRY();
	{
		step(reading);
	}
	PG_FINALLY();
	{
		release_contracts();
	}
	PG_END_TRY();
}

static void
acquire_contracts(void)
{
	OutboxLook look = {0};
	ListCell *lc;

	foreach (lc, OutboxSearch.contracts)
	{
		OutboxSearchContract *contract = lfirst(lc);

		if (!contract->decode)
			continue;
		OutboxLookEnter(&look, CurrentResourceOwner);
		contract->cached = OutboxContractAcquireByName(contract->name);
		contract->compiled = contract->cached->state == OUTBOX_CONTRACT_READY ? contract->cached->compiled : NULL;
		/* one that is disabled, say */
		if (contract->compiled == NULL && OutboxRunGuarded(compile_apart, contract, CurrentMemoryContext))
			OutboxSearch.outdated = true;
		OutboxLookLeave(&look);
		OutboxLookClose(&look);
	}
}

static void
compile_apart(void *arg)
{
	OutboxSearchContract *contract = arg;
	OutboxContractConfig *config = OutboxContractGet(contract->name);

	contract->compiled = OutboxCompileContract(config, config->root, false);
}

static void
release_contracts(void)
{
	ListCell *lc;

	foreach (lc, OutboxSearch.contracts)
	{
		OutboxSearchContract *contract = lfirst(lc);

		if (contract->compiled && contract->compiled != contract->cached->compiled)
			OutboxFreeContract(contract->compiled);
		if (contract->cached)
			OutboxContractRelease(contract->cached);
		contract->cached = NULL;
		contract->compiled = NULL;
	}
}

/* The row of outbox.event as heap tuple, in CurrentMemoryContext; NULL: it is not visible. */
HeapTuple
OutboxKeyEventFetch(const OutboxEventPlace *place, TupleDesc *desc)
{
	const OutboxSearchLeaf *leaf = &OutboxSearch.leaves[place->leaf];
	Relation rel = try_table_open(leaf->relid, AccessShareLock);
	TupleTableSlot *slot;
	HeapTuple tuple = NULL;
	ItemPointerData tid = place->tid;
	bool isnull;

	if (rel == NULL)
		return NULL;
	slot = table_slot_create(rel, NULL);
	if (OutboxRelFileNumber(rel) == leaf->relfilenumber &&
		table_tuple_fetch_row_version(rel, &tid, GetActiveSnapshot(), slot) &&
		DatumGetInt64(slot_getattr(slot, Anum_event_seq, &isnull)) == place->seq)
	{
		tuple = ExecCopySlotHeapTuple(slot);
		*desc = CreateTupleDescCopy(RelationGetDescr(rel));
	}
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
	return tuple;
}
