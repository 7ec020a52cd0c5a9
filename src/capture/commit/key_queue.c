/*-------------------------------------------------------------------------
 *
 * key_queue.c
 *	  The lookup keys that this transaction touched, of contracts evaluated
 *	  at commit.
 *
 * A stack of records in the order of first touch (key_log.c), and a hash table
 * that finds the records already there. A subtransaction's records stand at the
 * end, so its rollback cuts them off; its release costs nothing (key_level.c).
 *
 * Memory is bounded: beyond outbox.queue_memory the records go to a temporary
 * file and the table starts anew. A key touched both before and after that
 * stands there twice; then the walk sorts (key_sort.c) and shows the first.
 * A record takes at least 24 bytes and its place in the table 16, of which half
 * may be free, and again as much while the table grows: together at most two
 * and a half times outbox.queue_memory.
 *
 * A flush inside a subtransaction keeps the records, since a rollback of the
 * subtransaction must bring them back, with the command that "before" means.
 *
 * A tuplestore or a logical tape instead of our own log would break two
 * promises. Both raise when their file cannot be written: a full temporary disk
 * or temp_file_limit would fail the customer's write, while the log keeps its
 * records in memory (test/sql/commit_queue.sql). And neither can be cut off at its end: ROLLBACK TO SAVEPOINT
 * would have to mark records one by one, in a callback that must not raise. The
 * server's tuplesort does the sorting, as soon as the records are complete.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "capture/commit/commit_private.h"
#include "guc.h"

#define NOWHERE PG_UINT64_MAX

/* A record in the buffer, by its distance from the log's base. */
typedef struct KeyPlace
{
	uint64 place;
	uint32 hash;
	char status;
} KeyPlace;

static struct
{
	MemoryContext context; /* NULL: nothing queued in this transaction */
	OutboxKeyLog log;
	struct keytab_hash *table;
	bool cutting;   /* records are being removed: a type's own functions may not run in an abort */
	bool forgetful; /* the table does not know all records: there may be duplicates */
	uint64 head;    /* records before it are flushed */
	uint64 head_count;
	uint64 count; /* of all records */
	uint64 last;  /* place of the key added last, or NOWHERE: it was flushed, cut off, or written to the file */
	CommandId before;
	OutboxQueuedContract **contracts;
	int ncontracts;
	OutboxKeyLevels levels;
	uint64 position; /* of the walk, unless it sorts */
	OutboxKeySort *sort;
} queue;

static bool same_key(uint64 a, uint64 b);

#define SH_PREFIX keytab
#define SH_ELEMENT_TYPE KeyPlace
#define SH_KEY_TYPE uint64
#define SH_KEY place
#define SH_HASH_KEY(tb, key) ((uint32) OutboxKeyLogAt(&queue.log, queue.log.base + (key))->hash)
#define SH_EQUAL(tb, a, b) same_key(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) ((a)->hash)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static void start_queue(void);
static bool is_last_key(const OutboxKeyRecord *record);
static void forget_table(void);
static void cut_off(uint64 end);

static bool
same_key(uint64 a, uint64 b)
{
	const OutboxKeyRecord *left = OutboxKeyLogAt(&queue.log, queue.log.base + a);
	const OutboxKeyRecord *right = OutboxKeyLogAt(&queue.log, queue.log.base + b);
	const OutboxKeyShape *shape;
	Datum left_values[INDEX_MAX_KEYS];
	Datum right_values[INDEX_MAX_KEYS];

	if (a == b || queue.cutting)
		return a == b;
	if (left->contract != right->contract || left->hash != right->hash)
		return false;
	shape = queue.contracts[left->contract]->shape;
	OutboxKeyReadImage(shape, OUTBOX_KEY_IMAGE(left), left_values);
	OutboxKeyReadImage(shape, OUTBOX_KEY_IMAGE(right), right_values);
	return OutboxKeyEqual(shape, left_values, right_values);
}

static void
start_queue(void)
{
	memset(&queue, 0, sizeof(queue));
	queue.context = AllocSetContextCreate(TopTransactionContext, "outbox key queue", ALLOCSET_DEFAULT_SIZES);
	queue.log.context = queue.context;
	queue.log.limit = (Size) outbox_queue_memory * 1024;
	queue.before = FirstCommandId;
	queue.last = NOWHERE;
	queue.table = keytab_create(queue.context, 64, NULL);
}

/* The contract's place in the queue of this transaction, made if need be; it lives until the transaction ends. */
OutboxQueuedContract *
OutboxKeyQueueContract(const OutboxContractConfig *config, TupleDesc lookup_desc)
{
	OutboxQueuedContract *contract;
	MemoryContext caller;

	for (int i = queue.context ? queue.ncontracts - 1 : -1; i >= 0; i--)
	{
		contract = queue.contracts[i];
		if (contract->id == config->id && OutboxKeyShapeFits(contract->shape, lookup_desc))
			return contract;
	}
	if (queue.context == NULL)
		start_queue();
	if (queue.ncontracts > PG_UINT16_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("one transaction touches more than %d contracts that are evaluated at commit", PG_UINT16_MAX)));
	caller = MemoryContextSwitchTo(queue.context);
	contract = palloc0(sizeof(OutboxQueuedContract));
	contract->id = config->id;
	contract->name = pstrdup(config->name);
	contract->lock_class = OutboxLockClass(config->aggregate_type);
	contract->shape = OutboxKeyShapeCreate(lookup_desc);
	contract->abort_on_invalid = config->abort_on_invalid;
	if (queue.contracts == NULL)
		queue.contracts = palloc(sizeof(OutboxQueuedContract *));
	else
		queue.contracts = repalloc(queue.contracts, sizeof(OutboxQueuedContract *) * (queue.ncontracts + 1));
	contract->index = queue.ncontracts;
	queue.contracts[queue.ncontracts++] = contract;
	MemoryContextSwitchTo(caller);
	return contract;
}

/*
 * Queues a key with the present subtransaction, unless it is there already.
 * Needs no query and no snapshot. Detoasts in CurrentMemoryContext. May raise.
 */
void
OutboxKeyQueueAdd(OutboxQueuedContract *contract, const Datum *values, int flags)
{
	Datum flat[INDEX_MAX_KEYS];
	OutboxKeyRecord *record;
	Size size;
	uint64 hash = OutboxKeyHash(contract->shape, values);
	KeyPlace *known;
	bool spilled;
	bool found;

	OutboxKeyDetoast(contract->shape, values, flat);
	size = MAXALIGN(sizeof(OutboxKeyRecord)) + OutboxKeyImageSize(contract->shape, flat);
	(void) OutboxKeyLevelNow(&queue.levels, queue.context, OutboxKeyLogEnd(&queue.log), queue.count);
	record = OutboxKeyLogReserve(&queue.log, size, &spilled);
	if (spilled)
		forget_table();
	record->size = size;
	record->contract = contract->index;
	record->flags = flags;
	record->hash = hash;
	OutboxKeyWriteImage(contract->shape, flat, OUTBOX_KEY_IMAGE(record));
	if (is_last_key(record))
		return;
	known = keytab_insert_hash(queue.table, queue.log.used, (uint32) hash, &found);
	queue.last = known->place;
	if (found)
		return;
	OutboxKeyLogPush(&queue.log, record);
	queue.count++;
}

/* The lines of an order mostly come one after the other: then the table need not be searched again. */
static bool
is_last_key(const OutboxKeyRecord *record)
{
	const OutboxKeyRecord *last;

	if (queue.last == NOWHERE)
		return false;
	last = OutboxKeyLogAt(&queue.log, queue.log.base + queue.last);
	return last->size == record->size && last->contract == record->contract && last->hash == record->hash &&
		memcmp(OUTBOX_KEY_IMAGE(last), OUTBOX_KEY_IMAGE(record), record->size - MAXALIGN(sizeof(OutboxKeyRecord))) == 0;
}

bool
OutboxKeyQueueIsEmpty(void)
{
	return queue.context == NULL || queue.count == queue.head_count;
}

/* The queue's keys; duplicates after a spill included. */
uint64
OutboxKeyQueueCount(void)
{
	return queue.context == NULL ? 0 : queue.count - queue.head_count;
}

/* All contracts of this transaction, by index. */
int
OutboxKeyQueueContracts(OutboxQueuedContract ***contracts)
{
	*contracts = queue.contracts;
	return queue.ncontracts;
}

/* The row "before" includes what our own commands before this one did: see flush.c. */
CommandId
OutboxKeyQueueBefore(void)
{
	return queue.before;
}

static void
forget_table(void)
{
	keytab_reset(queue.table);
	queue.last = NOWHERE;
	queue.forgetful = true;
}

/* ---- the walk --------------------------------------------------------------- */

/*
 * Starts a walk through the keys in the order of their first touch, each key
 * once. Several walks may follow each other; nothing is queued during one. May
 * raise: after a spill it sorts.
 */
void
OutboxKeyQueueStart(void)
{
	OutboxKeyQueueScan();
	if (queue.forgetful)
		queue.sort = OutboxKeySortStart(&queue.log, queue.head, queue.contracts);
}

/* Starts a walk that does not sort, and may show a key twice. Never raises. */
void
OutboxKeyQueueScan(void)
{
	queue.position = queue.head;
	queue.sort = NULL;
}

/* The next key of the walk, valid until the next call; false at the end. May raise: it may read the file. */
bool
OutboxKeyQueueNext(OutboxQueuedKey *key)
{
	const OutboxKeyRecord *record;

	CHECK_FOR_INTERRUPTS();
	record = queue.sort ? OutboxKeySortNext(queue.sort) : OutboxKeyLogRead(&queue.log, &queue.position);
	if (record == NULL)
		return false;
	key->contract = queue.contracts[record->contract];
	key->flags = record->flags;
	key->hash = record->hash;
	key->image = OUTBOX_KEY_IMAGE(record);
	key->image_size = record->size - MAXALIGN(sizeof(OutboxKeyRecord));
	return true;
}

void
OutboxKeyQueueStop(void)
{
	if (queue.sort)
		OutboxKeySortEnd(queue.sort);
	queue.sort = NULL;
}

/* The keys are done; what comes next is compared with the state at this command. */
void
OutboxKeyQueueFlushed(CommandId before)
{
	OutboxKeyLevel *level = OutboxKeyLevelNow(&queue.levels, queue.context, OutboxKeyLogEnd(&queue.log), queue.count);

	if (level == NULL)
	{
		OutboxKeyLogReset(&queue.log);
		forget_table();
		queue.forgetful = false;
		queue.count = 0;
	}
	else
	{
		if (!level->flushed)
		{
			level->flushed = true;
			level->head = queue.head;
			level->head_count = queue.head_count;
			level->before = queue.before;
		}
		forget_table();
	}
	queue.head = OutboxKeyLogEnd(&queue.log);
	queue.head_count = queue.count;
	queue.before = before;
}

/* ---- subtransactions -------------------------------------------------------- */

/* The subtransaction at this nest level commits: its keys belong to the level around it. Never raises. */
void
OutboxKeyQueuePromote(int nest_level)
{
	if (queue.context != NULL)
		OutboxKeyLevelsPromote(&queue.levels, nest_level);
}

/* The subtransaction at this nest level is rolled back, and so are its keys and its flushes. Never raises. */
void
OutboxKeyQueueDrop(int nest_level)
{
	if (queue.context == NULL)
		return;
	while (queue.levels.n > 0 && queue.levels.level[queue.levels.n - 1].nest_level >= nest_level)
	{
		OutboxKeyLevel *level = &queue.levels.level[--queue.levels.n];

		cut_off(level->end);
		queue.count = level->count;
		if (level->flushed)
		{
			queue.head = level->head;
			queue.head_count = level->head_count;
			queue.before = level->before;
			forget_table();
		}
	}
}

/* Never raises: a subtransaction is being aborted. */
static void
cut_off(uint64 end)
{
	uint64 position = end;

	if (end < queue.log.base)
		forget_table();
	else
	{
		queue.cutting = true;
		queue.last = NOWHERE;
		while (position < OutboxKeyLogEnd(&queue.log))
		{
			const OutboxKeyRecord *record = OutboxKeyLogAt(&queue.log, position);

			(void) keytab_delete(queue.table, position - queue.log.base);
			position += record->size;
		}
		queue.cutting = false;
	}
	OutboxKeyLogTruncate(&queue.log, end);
}

/* Before the transaction commits, which would warn of an open file. */
void
OutboxKeyQueueCloseFile(void)
{
	if (queue.context != NULL && OutboxKeyQueueIsEmpty())
		OutboxKeyLogReset(&queue.log);
}

/* The end of the transaction: its memory goes away by itself. */
void
OutboxKeyQueueForget(void)
{
	memset(&queue, 0, sizeof(queue));
}
