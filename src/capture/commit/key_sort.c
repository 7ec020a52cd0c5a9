/*-------------------------------------------------------------------------
 *
 * key_sort.c
 *	  The distinct keys of a key log, in the order of their first record.
 *
 * The first sort brings equal keys together, by contract and hash; the first
 * record of each goes into the second sort, by position. The second sort is
 * there for the order of events: keys are told in the order in which the
 * transaction touched them first. Both sorts go to temporary files beyond
 * work_mem. When these cannot be written, the customer's commit does not fail:
 * memory is taken instead. The files of an attempt that failed cannot be closed
 * in order, so they have an owner of their own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/tuplesort.h"

#include "capture/commit/commit_private.h"
#include "compat.h"
#include "contract/environment/environment.h"

/* Columns of the sorted tuples. */
enum
{
	COLUMN_CONTRACT,
	COLUMN_HASH,
	COLUMN_POSITION,
	COLUMN_RECORD,
	NCOLUMNS
};

struct OutboxKeySort
{
	MemoryContext context; /* owns everything */
	MemoryContext group;   /* records of equal hash */
	ResourceOwner files;
	int memory; /* kB, of each of the two sorts */
	TupleDesc desc;
	TupleTableSlot *slot;
	Tuplesortstate *sort;
	OutboxKeyRecord *record; /* the one given last, aligned */
	Size capacity;
};

/* What sorting needs inside its guard. */
typedef struct SortRequest
{
	OutboxKeySort *sort;
	OutboxKeyLog *log;
	uint64 from;
	OutboxQueuedContract **contracts;
} SortRequest;

static OutboxKeySort *new_sort(MemoryContext parent, int memory);
static void sort_step(void *arg);
static void release_files(OutboxKeySort *sort, bool in_order);
static Tuplesortstate *begin_sort(OutboxKeySort *sort, int ncolumns, const AttrNumber *columns);
static void put_records(OutboxKeySort *sort, OutboxKeyLog *log, uint64 from);
static void keep_first_records(OutboxKeySort *sort, Tuplesortstate *out, OutboxQueuedContract **contracts);
static bool seen_in_group(List **group, const OutboxKeyRecord *record, const OutboxKeyShape *shape);
static const OutboxKeyRecord *take_record(OutboxKeySort *sort);

/*
 * Sorts the records from that position on. Each of the two sorts stays within
 * work_mem unless temporary files cannot be written. Ended by OutboxKeySortEnd, or
 * an abort. May raise: a cancel, no memory, or a log that cannot be read.
 */
OutboxKeySort *
OutboxKeySortStart(OutboxKeyLog *log, uint64 from, OutboxQueuedContract **contracts)
{
	SortRequest request = {.log = log, .from = from, .contracts = contracts};

	/* a temporary file beyond temp_file_limit would fail, too */
	if (temp_file_limit < 0)
	{
		ErrorData *error;

		request.sort = new_sort(log->context, work_mem);
		error = OutboxCatch(sort_step, &request, log->context, OutboxNoFileError);
		if (error == NULL)
			return request.sort;
		ereport(LOG_SERVER_ONLY,
				(errcode(error->sqlerrcode),
				 errmsg("the keys of a transaction are sorted in memory: %s", error->message),
				 errhint("Make space where temporary files are, or commit fewer changes at a time.")));
		release_files(request.sort, false);
		MemoryContextDelete(request.sort->context);
	}
	request.sort = new_sort(log->context, MAX_KILOBYTES);
	sort_step(&request);
	return request.sort;
}

static OutboxKeySort *
new_sort(MemoryContext parent, int memory)
{
	MemoryContext context = AllocSetContextCreate(parent, "outbox key sort", ALLOCSET_DEFAULT_SIZES);
	OutboxKeySort *sort = MemoryContextAllocZero(context, sizeof(OutboxKeySort));

	sort->context = context;
	sort->memory = memory;
	sort->files = ResourceOwnerCreate(TopTransactionResourceOwner, "outbox key sort");
	return sort;
}

static void
sort_step(void *arg)
{
	static const AttrNumber by_key[] = {COLUMN_CONTRACT + 1, COLUMN_HASH + 1, COLUMN_POSITION + 1};
	static const AttrNumber by_position[] = {COLUMN_POSITION + 1};
	SortRequest *request = arg;
	OutboxKeySort *sort = request->sort;
	MemoryContext caller = MemoryContextSwitchTo(sort->context);
	ResourceOwner owner = CurrentResourceOwner;
	Tuplesortstate *second;

	CurrentResourceOwner = sort->files;
	sort->group = AllocSetContextCreate(sort->context, "outbox keys of equal hash", ALLOCSET_SMALL_SIZES);
	sort->desc = CreateTemplateTupleDesc(NCOLUMNS);
	TupleDescInitEntry(sort->desc, COLUMN_CONTRACT + 1, "contract", INT4OID, -1, 0);
	TupleDescInitEntry(sort->desc, COLUMN_HASH + 1, "hash", INT8OID, -1, 0);
	TupleDescInitEntry(sort->desc, COLUMN_POSITION + 1, "position", INT8OID, -1, 0);
	TupleDescInitEntry(sort->desc, COLUMN_RECORD + 1, "record", BYTEAOID, -1, 0);
	OutboxFinishTupleDesc(sort->desc);
	sort->slot = MakeSingleTupleTableSlot(sort->desc, &TTSOpsMinimalTuple);

	sort->sort = begin_sort(sort, lengthof(by_key), by_key);
	put_records(sort, request->log, request->from);
	tuplesort_performsort(sort->sort);
	second = begin_sort(sort, lengthof(by_position), by_position);
	keep_first_records(sort, second, request->contracts);
	tuplesort_end(sort->sort);
	sort->sort = second;
	tuplesort_performsort(sort->sort);
	CurrentResourceOwner = owner;
	MemoryContextSwitchTo(caller);
}

static void
release_files(OutboxKeySort *sort, bool in_order)
{
	ResourceOwnerRelease(sort->files, RESOURCE_RELEASE_BEFORE_LOCKS, in_order, false);
	ResourceOwnerRelease(sort->files, RESOURCE_RELEASE_LOCKS, in_order, false);
	ResourceOwnerRelease(sort->files, RESOURCE_RELEASE_AFTER_LOCKS, in_order, false);
	ResourceOwnerDelete(sort->files);
}

static Tuplesortstate *
begin_sort(OutboxKeySort *sort, int ncolumns, const AttrNumber *columns)
{
	AttrNumber attributes[NCOLUMNS];
	Oid operators[NCOLUMNS];
	Oid collations[NCOLUMNS] = {0};
	bool nulls_first[NCOLUMNS] = {0};
	for (int i = 0; i < ncolumns; i++)
	{
		attributes[i] = columns[i];
		operators[i] = columns[i] == COLUMN_CONTRACT + 1 ? Int4LessOperator : Int8LessOperator;
	}
	return tuplesort_begin_heap(sort->desc, ncolumns, attributes, operators, collations, nulls_first,
								sort->memory, NULL, TUPLESORT_NONE);
}

static void
put_records(OutboxKeySort *sort, OutboxKeyLog *log, uint64 from)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(sort->desc, &TTSOpsVirtual);
	bytea *image = NULL;
	Size capacity = 0;
	uint64 position = from;
	const OutboxKeyRecord *record;

	while (true)
	{
		uint64 place = position;

		CHECK_FOR_INTERRUPTS();
		record = OutboxKeyLogRead(log, &position);
		if (record == NULL)
			break;
		if (image == NULL || capacity < record->size + VARHDRSZ)
		{
			capacity = Max(record->size + VARHDRSZ, 1024);
			image = palloc(capacity);
		}
		SET_VARSIZE(image, record->size + VARHDRSZ);
		memcpy(VARDATA(image), record, record->size);
		ExecClearTuple(slot);
		memset(slot->tts_isnull, false, sizeof(bool) * NCOLUMNS);
		slot->tts_values[COLUMN_CONTRACT] = Int32GetDatum(record->contract);
		slot->tts_values[COLUMN_HASH] = Int64GetDatum((int64) record->hash);
		slot->tts_values[COLUMN_POSITION] = Int64GetDatum((int64) place);
		slot->tts_values[COLUMN_RECORD] = PointerGetDatum(image);
		ExecStoreVirtualTuple(slot);
		tuplesort_puttupleslot(sort->sort, slot);
	}
	ExecDropSingleTupleTableSlot(slot);
}

/* Different keys of equal hash are rare: a list will do. */
static void
keep_first_records(OutboxKeySort *sort, Tuplesortstate *out, OutboxQueuedContract **contracts)
{
	const OutboxKeyRecord *record;
	List *group = NIL;
	uint64 hash = 0;
	int contract = -1;

	while ((record = take_record(sort)) != NULL)
	{
		MemoryContext caller;

		CHECK_FOR_INTERRUPTS();
		if (record->contract != contract || record->hash != hash)
		{
			MemoryContextReset(sort->group);
			group = NIL;
			contract = record->contract;
			hash = record->hash;
		}
		caller = MemoryContextSwitchTo(sort->group);
		if (!seen_in_group(&group, record, contracts[contract]->shape))
			tuplesort_puttupleslot(out, sort->slot);
		MemoryContextSwitchTo(caller);
	}
}

static bool
seen_in_group(List **group, const OutboxKeyRecord *record, const OutboxKeyShape *shape)
{
	Datum values[INDEX_MAX_KEYS];
	Datum others[INDEX_MAX_KEYS];
	OutboxKeyRecord *copy;
	ListCell *lc;

	OutboxKeyReadImage(shape, OUTBOX_KEY_IMAGE(record), values);
	foreach (lc, *group)
	{
		OutboxKeyReadImage(shape, OUTBOX_KEY_IMAGE(lfirst(lc)), others);
		if (OutboxKeyEqual(shape, values, others))
			return true;
	}
	copy = palloc(record->size);
	memcpy(copy, record, record->size);
	*group = lappend(*group, copy);
	return false;
}

/* The next record of the running sort; its slot keeps the tuple. */
static const OutboxKeyRecord *
take_record(OutboxKeySort *sort)
{
	bytea *image;
	bool isnull;
	Size size;

	if (!tuplesort_gettupleslot(sort->sort, true, false, sort->slot, NULL))
		return NULL;
	image = DatumGetByteaPP(slot_getattr(sort->slot, COLUMN_RECORD + 1, &isnull));
	size = VARSIZE_ANY_EXHDR(image);
	if (sort->record == NULL || sort->capacity < size)
	{
		sort->capacity = Max(size, 1024);
		sort->record = MemoryContextAlloc(sort->context, sort->capacity);
	}
	memcpy(sort->record, VARDATA_ANY(image), size);
	return sort->record;
}

/* The next record; NULL at the end. Stays until the next call. */
const OutboxKeyRecord *
OutboxKeySortNext(OutboxKeySort *sort)
{
	return take_record(sort);
}

void
OutboxKeySortEnd(OutboxKeySort *sort)
{
	tuplesort_end(sort->sort);
	ExecDropSingleTupleTableSlot(sort->slot);
	release_files(sort, true);
	MemoryContextDelete(sort->context);
}
