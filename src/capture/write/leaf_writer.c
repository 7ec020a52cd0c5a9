/*-------------------------------------------------------------------------
 *
 * leaf_writer.c
 *	  Writes rows into the current leaf, and remembers where they went.
 *
 * The writer's side of the protocol by which leaves are switched: the leaf is
 * chosen and locked when rows are written, never earlier, and the lock stays
 * until the transaction ends, whatever happens to the subtransaction.  So a
 * leaf that can be locked against writers has no open transaction's rows.
 *
 * Leaves have no index and fire no trigger: the heap interface is all that is
 * needed.
 *
 * The blocks become hints for the relays.  The blocks of a subtransaction that
 * is rolled back stay among them: a hint only says where to look.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "capture/write/write_private.h"
#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "guc.h"
#include "shared/outbox_shared.h"

/* The least that heap_multi_insert needs of a slot: a tuple that is ours and stays where it is. */
typedef struct RowSlot
{
	TupleTableSlot base;
	HeapTupleData tuple;
} RowSlot;

/* Grows to OUTBOX_LEAF_BATCH and lives as long as the backend. */
static struct
{
	RowSlot *slots;
	TupleTableSlot **pointers;
	int n;
} staged;

#define MAX_RUNS 256

static OutboxHint runs[MAX_RUNS];
static int nruns = 0;

/* The leaf that this transaction locked last; 0 = none. */
static int locked_leaf = 0;
static Oid locked_relid = InvalidOid;

static bool lock_leaf(int leaf);
static void add_run(Oid relfilenumber, BlockNumber block);
static void check_backlog(void);
static void row_slot_noop(TupleTableSlot *slot);
static HeapTuple row_slot_tuple(TupleTableSlot *slot);

static const TupleTableSlotOps row_slot_ops = {
	.base_slot_size = sizeof(RowSlot),
	.materialize = row_slot_noop,
	.get_heap_tuple = row_slot_tuple,
};

static void
row_slot_noop(TupleTableSlot *slot)
{
}

static HeapTuple
row_slot_tuple(TupleTableSlot *slot)
{
	return &((RowSlot *) slot)->tuple;
}

/* ---- the current leaf --------------------------------------------------------- */

/* The next transaction, or another installation, locks its leaf anew. */
void
OutboxLeafForget(void)
{
	locked_leaf = 0;
}

/*
 * Locks the leaf until the end of the transaction, whatever becomes of the
 * subtransaction.  False: it is locked by somebody else and no longer current.
 * The keeper's locks are never waited for: it takes them on other leaves only.
 */
static bool
lock_leaf(int leaf)
{
	ResourceOwner owner = CurrentResourceOwner;
	Oid relid;
	bool locked;

	/* the leaf may be newer than all that this transaction has looked at */
	AcceptInvalidationMessages();
	InvalidateCatalogSnapshot();
	relid = OutboxLeafRelation(leaf);
	CurrentResourceOwner = TopTransactionResourceOwner;
	locked = OutboxLeafLockToWrite(relid, false) && ConditionalLockRelationOid(relid, RowExclusiveLock);
	if (!locked && OutboxCurrentLeaf() == leaf)
	{
		(void) OutboxLeafLockToWrite(relid, true);
		LockRelationOid(relid, RowExclusiveLock);
		locked = true;
	}
	CurrentResourceOwner = owner;
	if (!locked)
		return false;
	locked_leaf = leaf;
	locked_relid = relid;
	return true;
}

/*
 * Opens the current leaf, locked until the end of the transaction; the caller
 * closes it with NoLock. The lock comes before the second look: a leaf that is
 * still current then cannot be frozen before this transaction ends. May raise.
 */
Relation
OutboxLeafOpen(int16 *leaf)
{
	int current = OutboxCurrentLeaf();

	while (current != locked_leaf)
	{
		bool first = locked_leaf == 0;

		if (lock_leaf(current))
		{
			pg_memory_barrier();
			if (first)
				check_backlog();
		}
		current = OutboxCurrentLeaf();
	}
	*leaf = (int16) current;
	return table_open(locked_relid, NoLock);
}

/* The bytes of a relation, with its values out of line. */
static uint64
stored_bytes(Oid relid)
{
	Relation rel = table_open(relid, AccessShareLock);
	uint64 bytes = (uint64) RelationGetNumberOfBlocks(rel) * BLCKSZ;
	Oid toast = rel->rd_rel->reltoastrelid;

	table_close(rel, NoLock);
	return OidIsValid(toast) ? bytes + stored_bytes(toast) : bytes;
}

/*
 * The operator may prefer refused writes to a full disk: then raises beyond
 * outbox.max_backlog.  Checked once per transaction, before its first row.
 */
static void
check_backlog(void)
{
	int64 limit = (int64) outbox_max_backlog * 1024;
	int64 bytes;

	if (likely(outbox_max_backlog == 0 || outbox_backlog_policy != OUTBOX_BACKLOG_REFUSE))
		return;
	bytes = OutboxClosedBytes() + (int64) stored_bytes(locked_relid);
	if (bytes <= limit)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("the outbox is full"),
			 errdetail("The backlog has " INT64_FORMAT " kB, outbox.max_backlog is %d kB, and outbox.backlog_policy is \"refuse\".",
					   bytes / 1024, outbox_max_backlog),
			 errhint("See what holds the backlog with SELECT * FROM outbox.status and outbox.leaf_status; "
					 "or set outbox.backlog_policy to \"keep\" and reload.")));
}

/* ---- writing ------------------------------------------------------------------ */

/* Addresses of slots may change: only before the first row of a batch is staged. */
static void
reserve_slots(int n)
{
	int size = Min(Max(n, Max(staged.n * 2, 8)), OUTBOX_LEAF_BATCH);
	RowSlot *slots;
	TupleTableSlot **pointers;

	if (n <= staged.n)
		return;
	slots = MemoryContextAllocZero(TopMemoryContext, size * sizeof(RowSlot));
	pointers = MemoryContextAlloc(TopMemoryContext, size * sizeof(TupleTableSlot *));
	for (int i = 0; i < size; i++)
	{
		TupleTableSlot *slot = &slots[i].base;

		slot->type = T_TupleTableSlot;
		*((const TupleTableSlotOps **) &slot->tts_ops) = &row_slot_ops;
		slot->tts_mcxt = TopMemoryContext;
		pointers[i] = slot;
	}
	if (staged.n > 0)
	{
		pfree(staged.slots);
		pfree(staged.pointers);
	}
	staged.slots = slots;
	staged.pointers = pointers;
	staged.n = size;
}

/*
 * Writes at most OUTBOX_LEAF_BATCH rows with the current subtransaction's xid
 * and adds their blocks to the hint runs. Allocates in the current context.
 */
void
OutboxLeafWrite(Relation rel, const OutboxLeafRow *rows, int n)
{
	CommandId cid = GetCurrentCommandId(true);
	Oid relfilenumber = OutboxRelFileNumber(rel);

	reserve_slots(n);
	for (int i = 0; i < n; i++)
	{
		HeapTuple tuple = &staged.slots[i].tuple;

		tuple->t_len = rows[i].len;
		tuple->t_data = rows[i].header;
		tuple->t_tableOid = RelationGetRelid(rel);
		ItemPointerSetInvalid(&tuple->t_self);
	}
	if (n == 1)
	{
		heap_insert(rel, &staged.slots[0].tuple, cid, 0, NULL);
		add_run(relfilenumber, ItemPointerGetBlockNumber(&staged.slots[0].tuple.t_self));
		return;
	}
	heap_multi_insert(rel, staged.pointers, n, cid, 0, NULL);
	for (int i = 0; i < n; i++)
		add_run(relfilenumber, ItemPointerGetBlockNumber(&staged.slots[i].base.tts_tid));
}

/* ---- hints: consecutive blocks are one run --------------------------------------- */

/* The runs of blocks that this transaction wrote events into, in static memory; the caller fills in xid. */
int
OutboxHintRuns(OutboxHint **hints)
{
	*hints = runs;
	return nruns;
}

void
OutboxHintRunsForget(void)
{
	nruns = 0;
}

/*
 * Too many runs: one covering range per leaf. A hint only says where to look, so
 * a wide range takes reading and never loses an event.
 */
static void
collapse(void)
{
	int n = 0;

	for (int i = 0; i < nruns; i++)
	{
		OutboxHint hint = runs[i];
		int j;

		for (j = 0; j < n && runs[j].relfilenumber != hint.relfilenumber; j++)
			;
		if (j == n)
			runs[n++] = hint;
		else
		{
			runs[j].first = Min(runs[j].first, hint.first);
			runs[j].last = Max(runs[j].last, hint.last);
		}
	}
	nruns = n;
}

static void
add_run(Oid relfilenumber, BlockNumber block)
{
	if (nruns > 0)
	{
		OutboxHint *hint = &runs[nruns - 1];

		if (hint->relfilenumber == relfilenumber && block >= hint->first && block <= hint->last + 1)
		{
			hint->last = Max(hint->last, block);
			return;
		}
	}
	if (nruns == MAX_RUNS)
		collapse();
	if (nruns == MAX_RUNS)
	{
		/* more leaves than runs: storage that no leaf has makes the relay scan */
		runs[MAX_RUNS - 1].relfilenumber = InvalidOid;
		return;
	}
	runs[nruns++] = (OutboxHint){
		.relfilenumber = relfilenumber, .first = block, .last = block};
}
