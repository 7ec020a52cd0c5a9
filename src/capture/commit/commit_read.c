/*-------------------------------------------------------------------------
 *
 * commit_read.c
 *	  Reading the rows of a contract by their lookup keys at commit.
 *
 * The planned query runs directly on the executor, with arrays of keys as its
 * parameters: SPI would choose snapshots of its own. "After" is a fresh
 * snapshot that sees our own changes. "Before" is the same snapshot with our
 * commands hidden: it sees what all others have committed, and nothing of ours.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "capture/commit/commit_private.h"
#include "capture/transition/transition.h"
#include "compat.h"
#include "contract/compile/compile.h"
#include "contract/environment/environment.h"
#include "util/util.h"

/* One run of the query. */
typedef struct ReadRequest
{
	OutboxCommitRead *read;
	const OutboxCommitQuery *query;
	bool is_before;
	OutboxReadKey **keys;
	int nkeys;
	int *table; /* finds a key by its hash: index + 1, open addressing */
	uint32 mask;
} ReadRequest;

typedef struct RowReceiver
{
	DestReceiver pub;
	ReadRequest *request;
} RowReceiver;

static ErrorData *read_keys(OutboxCommitRead *read, bool is_before, OutboxReadKey **keys, int nkeys);
static bool is_hopeless(const ErrorData *error);
static void read_step(void *arg);
static void run_query(ReadRequest *request);
static ParamListInfo make_parameters(const ReadRequest *request);
static void build_table(ReadRequest *request);
static bool receive_row(TupleTableSlot *slot, DestReceiver *self);
static void start_receiver(DestReceiver *self, int operation, TupleDesc desc);
static void end_receiver(DestReceiver *self);
static OutboxReadKey *find_key(const ReadRequest *request, const Datum *values);
static OutboxKeySide *side_of(const ReadRequest *request, OutboxReadKey *key);

/*
 * Fills the before side of the keys, in one query. A key that makes the query
 * raise gets its error, and the others are read without it. Returns NULL, or the
 * error for which no key is to blame (the timer's, a lock's); then some sides
 * stay empty.
 */
ErrorData *
OutboxReadKeysBefore(OutboxCommitRead *read, OutboxReadKey **keys, int nkeys)
{
	return read_keys(read, true, keys, nkeys);
}

/* Fills the after side of the keys, on the terms of OutboxReadKeysBefore. */
ErrorData *
OutboxReadKeysAfter(OutboxCommitRead *read, OutboxReadKey **keys, int nkeys)
{
	return read_keys(read, false, keys, nkeys);
}

/* When the query raises, the halves are read apart, down to the key that is to blame. */
static ErrorData *
read_keys(OutboxCommitRead *read, bool is_before, OutboxReadKey **keys, int nkeys)
{
	ReadRequest request = {.read = read, .query = read->contract->query, .is_before = is_before, .keys = keys, .nkeys = nkeys};
	ErrorData *error;

	if (nkeys == 0)
		return NULL;
	for (int i = 0; i < nkeys; i++)
		memset(side_of(&request, keys[i]), 0, sizeof(OutboxKeySide));
	error = OutboxCommitGuardRun(read_step, &request, read->context);
	if (error == NULL)
		return NULL;
	for (int i = 0; i < nkeys; i++)
		memset(side_of(&request, keys[i]), 0, sizeof(OutboxKeySide));
	if (is_hopeless(error))
		return error;
	if (nkeys == 1)
	{
		side_of(&request, keys[0])->error = error;
		return NULL;
	}
	error = read_keys(read, is_before, keys, nkeys / 2);
	return error ? error : read_keys(read, is_before, keys + nkeys / 2, nkeys - nkeys / 2);
}

/*
 * For a contract with a key_query: when the row before could not be read, fills before.key if the columns of the key
 * can be read.
 */
void
OutboxReadFormerKey(OutboxCommitRead *read, OutboxReadKey *key)
{
	OutboxReadKey narrow = *key;
	OutboxReadKey *keys[] = {&narrow};
	ReadRequest request = {.read = read, .query = read->contract->key_query, .is_before = true, .keys = keys, .nkeys = 1};

	memset(&narrow.before, 0, sizeof(OutboxKeySide));
	if (OutboxCommitGuardRun(read_step, &request, read->context) == NULL)
		key->before.key = narrow.before.row;
}

/*
 * Is it useless to read the halves apart, because the time has run out, a lock was not granted, or the server has no
 * room? A function that raises such an SQLSTATE itself spoils its own row alone.
 */
static bool
is_hopeless(const ErrorData *error)
{
	return OutboxIsIntervention(error) || OutboxIsDoomed(error) || OutboxIsShortage(error);
}

/* Runs the query as the contract's owner. The subtransaction around it restores user and settings after an error. */
static void
read_step(void *arg)
{
	ReadRequest *request = arg;
	OutboxCommitRead *read = request->read;
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext scratch = AllocSetContextCreate(read->context, "outbox commit read", ALLOCSET_DEFAULT_SIZES);
	OutboxEvaluation evaluation;

	MemoryContextSwitchTo(scratch);
	OutboxEvaluationBegin(&evaluation, read->contract->owner, OUTBOX_ANYTHING);
	build_table(request);
	PushCopiedSnapshot(read->snapshot);
	if (request->is_before)
		GetActiveSnapshot()->curcid = read->before;
	run_query(request);
	PopActiveSnapshot();
	OutboxEvaluationEnd(&evaluation);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
}

static void
run_query(ReadRequest *request)
{
	OutboxCompiledContract *contract = request->read->contract;
	RowReceiver receiver = {.pub = {.receiveSlot = receive_row, .rStartup = start_receiver, .rShutdown = end_receiver, .rDestroy = end_receiver, .mydest = DestNone}, .request = request};
	QueryDesc *query = CreateQueryDesc(request->query->plan, contract->config->name, GetActiveSnapshot(), InvalidSnapshot,
									   &receiver.pub, make_parameters(request), NULL, 0);

	ExecutorStart(query, 0);
	OutboxExecutorRun(query);
	ExecutorFinish(query);
	ExecutorEnd(query);
	FreeQueryDesc(query);
}

static ParamListInfo
make_parameters(const ReadRequest *request)
{
	Datum **values = palloc(sizeof(Datum *) * request->nkeys);

	for (int i = 0; i < request->nkeys; i++)
		values[i] = request->keys[i]->values;
	return OutboxCommitQueryParameters(request->query, values, request->nkeys);
}

static void
build_table(ReadRequest *request)
{
	uint32 size = 16;

	while (size < 2 * request->nkeys)
		size *= 2;
	request->mask = size - 1;
	request->table = palloc0(sizeof(int) * size);
	for (int i = 0; i < request->nkeys; i++)
	{
		uint32 place = request->keys[i]->hash & request->mask;

		while (request->table[place] != 0)
			place = (place + 1) & request->mask;
		request->table[place] = i + 1;
	}
}

/* A row of the result: the contract's columns, then those of the lookup key. */
static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	ReadRequest *request = ((RowReceiver *) self)->request;
	OutboxCommitRead *read = request->read;
	int ncolumns = read->contract->ncolumns;
	OutboxKeySide *side;
	OutboxReadKey *key;

	slot_getallattrs(slot);
	for (int i = 0; i < read->shape->ncolumns; i++)
	{
		if (slot->tts_isnull[ncolumns + i])
			return true;
	}
	key = find_key(request, slot->tts_values + ncolumns);
	if (key == NULL)
		return true;
	side = side_of(request, key);
	if (side->nrows++ == 0)
	{
		MemoryContext caller = MemoryContextSwitchTo(read->context);

		side->row = heap_form_tuple(read->contract->row_desc, slot->tts_values, slot->tts_isnull);
		MemoryContextSwitchTo(caller);
	}
	return true;
}

static void
start_receiver(DestReceiver *self, int operation, TupleDesc desc)
{
}

static void
end_receiver(DestReceiver *self)
{
}

static OutboxReadKey *
find_key(const ReadRequest *request, const Datum *values)
{
	const OutboxKeyShape *shape = request->read->shape;
	uint64 hash = OutboxKeyHash(shape, values);
	uint32 place = hash & request->mask;

	for (; request->table[place] != 0; place = (place + 1) & request->mask)
	{
		OutboxReadKey *key = request->keys[request->table[place] - 1];

		if (key->hash == hash && OutboxKeyEqual(shape, key->values, values))
			return key;
	}
	return NULL;
}

static OutboxKeySide *
side_of(const ReadRequest *request, OutboxReadKey *key)
{
	return request->is_before ? &key->before : &key->after;
}
