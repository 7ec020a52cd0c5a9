/*-------------------------------------------------------------------------
 *
 * leaves.c
 *	  The partitions of outbox.event as the reader opens them.
 *
 * A hint and a tuple id mean something only as long as the leaf keeps its
 * storage. VACUUM FULL, CLUSTER and ALTER TABLE give it a new one, and so does
 * the keeper when it empties a leaf; a reader that did not notice would look
 * at blocks that hold other rows, or at none. The leaf_generation of a leaf changes
 * in the transaction that changes its storage, so a storage that is still
 * there vouches for the leaf_generation that was read with it.
 *
 * A leaf is listed when it may hold something that its reader has not passed:
 * it is not empty, and it is not complete or its last writer ended after the
 * position. Everything else need not be opened, locked or scanned.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/table.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "relay/read/read_private.h"

/* What a row of outbox_internal.leaf says to the reader. */
typedef struct LeafRow
{
	int16 number;
	uint16 use;
	Oid relid;
	bool settled;
	bool wanted;
} LeafRow;

static LeafRow *read_rows(const OutboxSnapshot *passed, int *n);
static LeafRow read_row(HeapTuple tuple, TupleDesc desc, const OutboxSnapshot *passed);
static int compare_rows(const void *a, const void *b);
static void add_leaf(OutboxLeaves *leaves, const LeafRow *row);
static bool was_rewritten(const OutboxLeaf *known, int nknown, const OutboxLeaf *leaf);
static void check_columns(Relation rel);

/*
 * Reads the list of the leaves in which something may be new to one who has
 * seen `passed` (NULL: nothing). Needs a transaction without open leaves.
 * Indexes of leaves that were remembered elsewhere mean nothing afterwards.
 * True: a leaf was rewritten, so rows are no longer where they were.
 *
 * Locks what it lists, then reads once more: a leaf that was emptied in
 * between shows its new leaf_generation beside its new storage.
 */
bool
OutboxLeavesLoad(OutboxLeaves *leaves, const OutboxSnapshot *passed)
{
	int nknown = leaves->n;
	OutboxLeaf *known = palloc(sizeof(OutboxLeaf) * Max(nknown, 1));
	bool rewritten = false;
	int n;
	LeafRow *rows = read_rows(passed, &n);

	for (int i = 0; i < n; i++)
	{
		if (rows[i].wanted)
			LockRelationOid(rows[i].relid, AccessShareLock);
	}
	rows = read_rows(passed, &n);

	memcpy(known, leaves->leaf, sizeof(OutboxLeaf) * nknown);
	leaves->n = 0;
	memset(leaves->use, 0, sizeof(leaves->use));
	for (int i = 0; i < n; i++)
	{
		leaves->use[rows[i].number] = rows[i].use;
		leaves->settled[rows[i].number] = rows[i].settled;
		if (rows[i].wanted)
			add_leaf(leaves, &rows[i]);
	}
	for (int i = 0; i < leaves->n; i++)
		rewritten |= was_rewritten(known, nknown, &leaves->leaf[i]);
	return rewritten;
}

/* The rows of outbox_internal.leaf as of now, in the order of their relations' ids. */
static LeafRow *
read_rows(const OutboxSnapshot *passed, int *n)
{
	Relation rel = table_open(OutboxRelationOid("leaf"), AccessShareLock);
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	LeafRow *rows = palloc(sizeof(LeafRow) * OUTBOX_MAX_LEAVES);
	HeapTuple tuple;

	*n = 0;
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		LeafRow row = read_row(tuple, RelationGetDescr(rel), passed);

		if (*n == OUTBOX_MAX_LEAVES || row.number < 1 || row.number > OUTBOX_MAX_LEAVES)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("outbox.leaf has a row that no relay can read: leaf %d", row.number),
					 errdetail("Leaves are numbered from 1 to %d.", OUTBOX_MAX_LEAVES),
					 errhint("Leaves are created by the extension alone; remove what was added by hand.")));
		rows[(*n)++] = row;
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
	qsort(rows, *n, sizeof(LeafRow), compare_rows);
	return rows;
}

static LeafRow
read_row(HeapTuple tuple, TupleDesc desc, const OutboxSnapshot *passed)
{
	bool isnull;
	char *state = TextDatumGetCString(heap_getattr(tuple, Anum_leaf_state, desc, &isnull));
	Datum frozen = heap_getattr(tuple, Anum_leaf_frozen_snapshot, desc, &isnull);
	bool empty = strcmp(state, "empty") == 0;
	LeafRow row = {.settled = empty || strcmp(state, "retained") == 0};

	row.wanted = !empty &&
		(isnull || passed == NULL || !OutboxSnapshotCovers(passed, (OutboxSnapshot *) PG_DETOAST_DATUM(frozen)));
	row.number = DatumGetInt16(heap_getattr(tuple, Anum_leaf_leaf, desc, &isnull));
	row.relid = DatumGetObjectId(heap_getattr(tuple, Anum_leaf_relation, desc, &isnull));
	row.use = OUTBOX_LEAF_USE(DatumGetInt64(heap_getattr(tuple, Anum_leaf_leaf_generation, desc, &isnull)));
	return row;
}

static int
compare_rows(const void *a, const void *b)
{
	const LeafRow *x = a;
	const LeafRow *y = b;

	return x->relid < y->relid ? -1 : x->relid > y->relid;
}

/* A leaf that somebody has dropped is left out. */
static void
add_leaf(OutboxLeaves *leaves, const LeafRow *row)
{
	Relation rel = try_table_open(row->relid, AccessShareLock);

	if (rel == NULL)
		return;
	check_columns(rel);
	leaves->leaf[leaves->n++] = (OutboxLeaf){
		.number = row->number, .use = row->use, .relid = row->relid, .relfilenumber = OutboxRelFileNumber(rel)};
	table_close(rel, NoLock);
}

/* Was it known with other storage, in the same use? */
static bool
was_rewritten(const OutboxLeaf *known, int nknown, const OutboxLeaf *leaf)
{
	for (int i = 0; i < nknown; i++)
	{
		if (known[i].relid == leaf->relid)
			return known[i].use == leaf->use && known[i].relfilenumber != leaf->relfilenumber;
	}
	return false;
}

static void
check_columns(Relation rel)
{
	if (RelationGetNumberOfAttributes(rel) < Natts_event)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" has %d columns, but this version of outbox_ext expects %d",
						RelationGetRelationName(rel), RelationGetNumberOfAttributes(rel), Natts_event),
				 errhint("Run ALTER EXTENSION outbox_ext UPDATE;")));
}

/* Is every leaf that would be listed now in the list? */
bool
OutboxLeavesComplete(const OutboxLeaves *leaves, const OutboxSnapshot *passed)
{
	bool complete = true;
	int n;
	LeafRow *rows = read_rows(passed, &n);

	for (int i = 0; complete && i < n; i++)
	{
		int listed = OutboxLeavesFindNumber(leaves, rows[i].number);

		/* somebody who drops a leaf leaves its row behind */
		complete = !rows[i].wanted || (listed >= 0 && leaves->leaf[listed].relid == rows[i].relid) ||
			!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(rows[i].relid));
	}
	pfree(rows);
	return complete;
}

/*
 * Opens all leaves, AccessShareLock, in the order of their ids. To be called
 * BEFORE the snapshot of the transaction is taken: a rewrite of a leaf that
 * ended before the lock was granted is then visible to the snapshot.
 */
OutboxLeavesResult
OutboxLeavesOpen(OutboxLeaves *leaves)
{
	OutboxLeavesResult result = OUTBOX_LEAVES_SAME;

	for (int i = 0; i < leaves->n; i++)
	{
		OutboxLeaf *leaf = &leaves->leaf[i];

		leaf->relation = try_table_open(leaf->relid, AccessShareLock);
		if (leaf->relation == NULL)
			return OUTBOX_LEAVES_GONE;
		check_columns(leaf->relation);
		if (OutboxRelFileNumber(leaf->relation) != leaf->relfilenumber)
			result = OUTBOX_LEAVES_MOVED;
	}
	return result;
}

/*
 * Opens one leaf, if it is not open, within a window that was opened with all
 * of them. The snapshot may be older than the lock: storage that is still the
 * one of the list has the rows that it had then. NULL: it has moved, or is gone.
 */
Relation
OutboxLeavesOpenOne(OutboxLeaves *leaves, int index)
{
	OutboxLeaf *leaf = &leaves->leaf[index];
	Relation rel = leaf->relation;

	if (rel != NULL)
		return rel;
	rel = try_table_open(leaf->relid, AccessShareLock);
	if (rel != NULL && OutboxRelFileNumber(rel) != leaf->relfilenumber)
	{
		table_close(rel, NoLock);
		rel = NULL;
	}
	leaf->relation = rel;
	return rel;
}

/* Forgets the open relations; the locks end with the transaction. Call at the end of each, also after an error. */
void
OutboxLeavesClose(OutboxLeaves *leaves, bool aborted)
{
	for (int i = 0; i < leaves->n; i++)
	{
		OutboxLeaf *leaf = &leaves->leaf[i];

		if (leaf->relation != NULL && !aborted)
			table_close(leaf->relation, NoLock);
		leaf->relation = NULL;
	}
}

/* Index of the listed leaf with this storage, or with this number; -1: none. */
int
OutboxLeavesFind(const OutboxLeaves *leaves, Oid relfilenumber)
{
	for (int i = 0; i < leaves->n; i++)
	{
		if (leaves->leaf[i].relfilenumber == relfilenumber)
			return i;
	}
	return -1;
}

int
OutboxLeavesFindNumber(const OutboxLeaves *leaves, int number)
{
	for (int i = 0; i < leaves->n; i++)
	{
		if (leaves->leaf[i].number == number)
			return i;
	}
	return -1;
}
