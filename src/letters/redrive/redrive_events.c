/*-------------------------------------------------------------------------
 *
 * redrive_events.c
 *	  Where the newest events of many keys are, found in one reading.
 *
 * The outbox has no index. To find the newest event of a key, its leaves are read
 * from end to end, which takes seconds; a bulk that was late leaves hundreds of
 * keys. So all keys are looked for together, before any of them is locked. Places
 * of events are remembered, not events: memory is bounded by the number of keys. A
 * relay has other duties: its reading goes on, block by block, from one of its
 * transactions to the next.
 *
 * Events that are committed afterwards are found as a relay finds them: the ring
 * of hints says into which blocks transactions wrote before they committed. The
 * cursor is placed before the reading starts. So an event is either met by the
 * reading, or it was written later and its hint is still to come. When the reading
 * meets an event of an open transaction, its place is noted like a hint. In both
 * cases the event is read again when its transaction has ended. So when the key is
 * locked, only these few blocks are left to read. Events of this transaction have
 * no hint before its end, but are known here.
 *
 * Without preloading there is no ring: then the leaves that writers may have
 * used since are read again, for each key. When hints were lost, or a leaf was
 * rewritten, nothing is known any more and the reading starts anew.
 *
 * That a bulk of late keys costs one reading of the outbox, rather than one for each
 * key, and keeps no commit waiting, rests on this: test/t/170_late_one_reading.pl,
 * test/t/171_redrive_portions.pl.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
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

OutboxKeySearch OutboxSearch;

static void add_contract(const OutboxWantedKey *wanted);
static void note_oldest(const char *snapshot, bool first);
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

/* After an abort, noted events of this transaction are gone. */
static void
on_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT)
		OutboxSearch.outdated = true;
}

/* ---- what is looked for ------------------------------------------------------------ */

/* Forgets the last search and begins one for these keys (a list of OutboxWantedKey *, which is copied). May raise. */
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
		contract = lfirst(lc);
		if (contract->line == wanted->line && strcmp(contract->name, wanted->contract) == 0)
			return;
	}
	contract = palloc0(sizeof(OutboxSearchContract));
	contract->name = pstrdup(wanted->contract);
	contract->line = wanted->line;
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

void
OutboxKeyEventsForget(void)
{
	MemoryContext context = OutboxSearch.context;

	memset(&OutboxSearch, 0, sizeof(OutboxSearch));
	if (context)
		MemoryContextDelete(context);
}

/* Was the key looked for, and is the result complete and valid? */
bool
OutboxKeyEventsKnown(uint64 key)
{
	return OutboxSearch.context && OutboxSearch.complete && !OutboxSearch.outdated && outbox_found_lookup(OutboxSearch.keys, key);
}

/* Has a reading begun that is not complete? */
bool
OutboxKeyEventsBusy(void)
{
	return OutboxSearch.context && !OutboxSearch.complete && !OutboxSearch.outdated;
}

/* ---- reading ------------------------------------------------------------------------ */

/*
 * Goes on with the reading. False: the time was over before all leaves were read;
 * call it again, also in another transaction. ms = 0: no limit. The caller should
 * hold no lock of a key. May raise, and goes on from there at the next call.
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
 * that are in a leaf. Reads the blocks that were written since the last call. When
 * the caller holds the lock of the key, there are no others. NULL: it is not known.
 * May raise.
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

/* Runs the step with the contracts at hand whose payloads are decoded. */
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
		contract->cached = OutboxContractAcquireLineByName(contract->name, contract->line);
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

	if (OutboxContractLine(config, contract->line))
		config = OutboxContractLine(config, contract->line);
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
