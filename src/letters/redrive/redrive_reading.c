/*-------------------------------------------------------------------------
 *
 * redrive_reading.c
 *	  Blocks of the outbox are read for the events of keys (redrive_events.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "capture/write/write.h"
#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "letters/redrive/redrive_search.h"

/* Blocks that are read before the clock is looked at. */
#define CHUNK_BLOCKS 16

/* Blocks, and payloads that are decoded: a small outbox is read at once, however busy the machine is. */
#define LEAST_WORK 1024

static void take_hints(OutboxKeyReading *reading);
static void read_hints(OutboxKeyReading *reading);
static void read_own(OutboxKeyReading *reading);
static void read_again(OutboxKeyReading *reading);
static OutboxSearchLeaf *leaf_of(Oid relfilenumber);
static void read_blocks(OutboxKeyReading *reading, OutboxSearchLeaf *leaf, BlockNumber first, BlockNumber last);
static void take_row(OutboxKeyReading *reading, const OutboxSearchLeaf *leaf, Relation rel, TupleTableSlot *slot);
static bool has_ended(OutboxKeyReading *reading, uint64 xid);
static void note_open(const OutboxSearchLeaf *leaf, uint64 xid, BlockNumber block);
static void reserve_hints(int n);
static OutboxSearchContract *contract_of(int32 schema_id);
static OutboxKeyEvents *key_of(OutboxKeyReading *reading, OutboxSearchContract *contract, TupleTableSlot *slot);
static void add_event(OutboxKeyEvents *events, const OutboxEventPlace *place);

void
OutboxReadingBegin(OutboxKeyReading *reading)
{
	memset(reading, 0, sizeof(*reading));
	CommandCounterIncrement();
	reading->snapshot = RegisterSnapshot(GetLatestSnapshot());
	PushActiveSnapshot(reading->snapshot);
	reading->seen = DirectFunctionCall1(pg_current_snapshot, (Datum) 0);
	reading->scratch = AllocSetContextCreate(CurrentMemoryContext, "outbox event of a key", ALLOCSET_DEFAULT_SIZES);
}

void
OutboxReadingEnd(OutboxKeyReading *reading)
{
	PopActiveSnapshot();
	UnregisterSnapshot(reading->snapshot);
	MemoryContextDelete(reading->scratch);
}

/* Reads on, as far as there is time. The snapshot is newer than those of the readings before. May raise. */
void
OutboxReadingGoOn(OutboxKeyReading *reading)
{
	for (int i = 0; i < OutboxSearch.nleaves && !reading->more; i++)
	{
		OutboxSearchLeaf *leaf = &OutboxSearch.leaves[i];

		while (!leaf->read && !reading->more && !OutboxSearch.outdated)
		{
			read_blocks(reading, leaf, leaf->next, leaf->next + (CHUNK_BLOCKS - 1));
			leaf->next += CHUNK_BLOCKS;
			reading->work += CHUNK_BLOCKS;
			reading->more = OutboxReadingIsOver(reading);
		}
	}
}

bool
OutboxReadingIsOver(const OutboxKeyReading *reading)
{
	return reading->ms > 0 && reading->work >= LEAST_WORK &&
		TimestampDifferenceExceeds(reading->start, GetCurrentTimestamp(), reading->ms);
}

/* Reads new events alone. The snapshot is older than the hints: events that it does not see wait for the next call. May raise. */
void
OutboxReadingCatchUp(OutboxKeyReading *reading)
{
	if (OutboxSearch.cursor.attached)
	{
		take_hints(reading);
		read_hints(reading);
	}
	else if (OutboxSearch.complete)
		read_again(reading);
	read_own(reading);
}

static void
take_hints(OutboxKeyReading *reading)
{
	OutboxHint *hints = NULL;
	int capacity = 0;
	int n = OutboxHintsDrain(&OutboxSearch.cursor, &hints, &capacity);

	if (n < 0 || !OutboxSearch.cursor.attached)
	{
		OutboxSearch.outdated = true;
		return;
	}
	reserve_hints(n);
	for (int i = 0; i < n; i++)
		OutboxSearch.hints[OutboxSearch.nhints++] = hints[i];
	if (hints)
		pfree(hints);
}

/* Reads the blocks of hints whose transactions have ended; the other hints stay. */
static void
read_hints(OutboxKeyReading *reading)
{
	int n = OutboxSearch.nhints;
	int kept = 0;

	for (int i = 0; i < n && !OutboxSearch.outdated; i++)
	{
		OutboxHint hint = OutboxSearch.hints[i];
		OutboxSearchLeaf *leaf;

		if (!has_ended(reading, hint.xid))
		{
			OutboxSearch.hints[kept++] = hint;
			continue;
		}
		leaf = leaf_of(hint.relfilenumber);
		if (leaf == NULL)
			OutboxSearch.outdated = true;
		else if (leaf->read || hint.first < leaf->next)
			read_blocks(reading, leaf, hint.first, hint.last);
	}
	/* those that reading has added are of transactions that have not ended */
	memmove(OutboxSearch.hints + kept, OutboxSearch.hints + n, sizeof(OutboxHint) * (OutboxSearch.nhints - n));
	OutboxSearch.nhints = kept + OutboxSearch.nhints - n;
}

/* Reads the blocks that this transaction wrote. A run grows at its end, and all runs become one when there are too many. */
static void
read_own(OutboxKeyReading *reading)
{
	OutboxHint *runs;
	int n = OutboxHintRuns(&runs);

	if (OutboxSearch.runs_of != OutboxLocalTransactionId() || n < OutboxSearch.nruns)
		OutboxSearch.nruns = 0;
	OutboxSearch.runs_of = OutboxLocalTransactionId();
	for (int i = Max(OutboxSearch.nruns - 1, 0); i < n && !OutboxSearch.outdated; i++)
	{
		OutboxSearchLeaf *leaf = leaf_of(runs[i].relfilenumber);

		if (leaf == NULL)
			OutboxSearch.outdated = true;
		else
			read_blocks(reading, leaf, runs[i].first, runs[i].last);
	}
	OutboxSearch.nruns = n;
}

/* Without hints: reads the leaves that writers may have used since. */
static void
read_again(OutboxKeyReading *reading)
{
	OutboxSearchLeaves(OutboxSearch.began, false);
	OutboxReadingGoOn(reading);
}

/* NULL: there is no such leaf any more. */
static OutboxSearchLeaf *
leaf_of(Oid relfilenumber)
{
	for (int attempt = 0; attempt < 2; attempt++)
	{
		for (int i = 0; i < OutboxSearch.nleaves; i++)
		{
			if (OutboxSearch.leaves[i].relfilenumber == relfilenumber)
				return &OutboxSearch.leaves[i];
		}
		/* it is new, or was left out because it had nothing that is asked for */
		if (attempt == 0)
			OutboxSearchLeaves(NULL, true);
	}
	return NULL;
}

static void
read_blocks(OutboxKeyReading *reading, OutboxSearchLeaf *leaf, BlockNumber first, BlockNumber last)
{
	Relation rel = try_table_open(leaf->relid, AccessShareLock);
	TableScanDesc scan;
	BlockNumber nblocks;

	if (rel == NULL || OutboxRelFileNumber(rel) != leaf->relfilenumber)
	{
		OutboxSearch.outdated = true;
		if (rel)
			table_close(rel, NoLock);
		return;
	}
	scan = table_beginscan_strat(rel, SnapshotAny, 0, NULL, true, false);
	nblocks = ((HeapScanDesc) scan)->rs_nblocks;
	if (first < nblocks)
	{
		TupleTableSlot *slot = table_slot_create(rel, NULL);

		heap_setscanlimits(scan, first, Min(last, nblocks - 1) - first + 1);
		while (heap_getnextslot(scan, ForwardScanDirection, slot))
			take_row(reading, leaf, rel, slot);
		ExecDropSingleTupleTableSlot(slot);
	}
	table_endscan(scan);
	table_close(rel, NoLock);
	if (last >= nblocks)
		leaf->read |= first >= leaf->next;
	CHECK_FOR_INTERRUPTS();
}

static void
take_row(OutboxKeyReading *reading, const OutboxSearchLeaf *leaf, Relation rel, TupleTableSlot *slot)
{
	OutboxEventPlace place;
	OutboxSearchContract *contract;
	OutboxKeyEvents *events;

	slot_getsomeattrs(slot, Anum_event_flags);
	contract = contract_of(DatumGetInt32(slot->tts_values[Anum_event_schema_id - 1]));
	place.xid = DatumGetUInt64(slot->tts_values[Anum_event_xid - 1]);
	if (contract == NULL || DatumGetInt16(slot->tts_values[Anum_event_flags - 1]) & OUTBOX_EVENT_SUPERSEDED)
		return;
	if (!has_ended(reading, place.xid) && !TransactionIdIsCurrentTransactionId((TransactionId) place.xid))
	{
		if (OutboxSearch.cursor.attached)
			note_open(leaf, place.xid, ItemPointerGetBlockNumber(&slot->tts_tid));
		return;
	}
	slot_getsomeattrs(slot, Anum_event_payload);
	events = key_of(reading, contract, slot);
	if (events == NULL || !table_tuple_satisfies_snapshot(rel, slot, reading->snapshot))
		return;
	place.seq = DatumGetInt64(slot->tts_values[Anum_event_seq - 1]);
	place.tid = slot->tts_tid;
	place.leaf = leaf - OutboxSearch.leaves;
	add_event(events, &place);
}

static bool
has_ended(OutboxKeyReading *reading, uint64 xid)
{
	if (reading->xid != xid)
		reading->ended = DatumGetBool(DirectFunctionCall2(pg_visible_in_snapshot, UInt64GetDatum(xid), reading->seen));
	reading->xid = xid;
	return reading->ended;
}

/* Notes an open transaction like a hint: the leaf's blocks from the first to the last in which it was seen. */
static void
note_open(const OutboxSearchLeaf *leaf, uint64 xid, BlockNumber block)
{
	for (int i = OutboxSearch.nhints - 1; i >= 0; i--)
	{
		OutboxHint *hint = &OutboxSearch.hints[i];

		if (hint->xid != xid || hint->relfilenumber != leaf->relfilenumber)
			continue;
		hint->first = Min(hint->first, block);
		hint->last = Max(hint->last, block);
		return;
	}
	reserve_hints(1);
	OutboxSearch.hints[OutboxSearch.nhints++] = (OutboxHint){.xid = xid, .relfilenumber = leaf->relfilenumber, .first = block, .last = block};
}

static void
reserve_hints(int n)
{
	int size = Max(OutboxSearch.max_hints * 2, OutboxSearch.nhints + n);

	if (OutboxSearch.nhints + n <= OutboxSearch.max_hints)
		return;
	OutboxSearch.hints = OutboxSearch.hints ? repalloc_huge(OutboxSearch.hints, mul_size(sizeof(OutboxHint), size))
											: MemoryContextAllocHuge(OutboxSearch.context, mul_size(sizeof(OutboxHint), size));
	OutboxSearch.max_hints = size;
}

/* The contract of an event; NULL: it is none that is looked for. */
static OutboxSearchContract *
contract_of(int32 schema_id)
{
	int low = 0;
	int high;

	if (schema_id > OutboxSearch.max_schema)
		OutboxSearchSchemas();
	high = OutboxSearch.nschemas - 1;
	while (low <= high)
	{
		int middle = (low + high) / 2;

		if (OutboxSearch.schemas[middle].id == schema_id)
			return list_nth(OutboxSearch.contracts, OutboxSearch.schemas[middle].contract);
		if (OutboxSearch.schemas[middle].id < schema_id)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return NULL;
}

/* The found events of the event's key; NULL: the key is not looked for. */
static OutboxKeyEvents *
key_of(OutboxKeyReading *reading, OutboxSearchContract *contract, TupleTableSlot *slot)
{
	MemoryContext caller = MemoryContextSwitchTo(reading->scratch);
	OutboxKeyEvents *events = NULL;
	uint64 key;

	if (!contract->decode)
	{
		if (!slot->tts_isnull[Anum_event_aggregateid - 1])
		{
			text *message_key = DatumGetTextPP(slot->tts_values[Anum_event_aggregateid - 1]);

			key = OutboxEventKeyOfMessage(contract->name, contract->line, VARDATA_ANY(message_key), VARSIZE_ANY_EXHDR(message_key));
			events = outbox_found_lookup(OutboxSearch.keys, key);
		}
	}
	else if (!slot->tts_isnull[Anum_event_payload - 1] && OutboxEventKeyOfPayload(contract->compiled, DatumGetInt32(slot->tts_values[Anum_event_schema_id - 1]), DatumGetByteaPP(slot->tts_values[Anum_event_payload - 1]), &key))
		events = outbox_found_lookup(OutboxSearch.keys, key);
	/* to decode one takes longer than to read a block */
	reading->work += contract->decode;
	MemoryContextSwitchTo(caller);
	MemoryContextReset(reading->scratch);
	return events;
}

/* Adds the event, unless it is there already, or older than the events that are kept. */
static void
add_event(OutboxKeyEvents *events, const OutboxEventPlace *place)
{
	int i = 0;

	while (i < events->n && events->event[i].seq > place->seq)
		i++;
	if (i == OUTBOX_KEY_EVENTS || (i < events->n && events->event[i].seq == place->seq))
		return;
	if (events->n < OUTBOX_KEY_EVENTS)
		events->n++;
	memmove(&events->event[i + 1], &events->event[i], sizeof(OutboxEventPlace) * (events->n - 1 - i));
	events->event[i] = *place;
}
