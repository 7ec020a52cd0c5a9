/*-------------------------------------------------------------------------
 *
 * current_leaf.c
 *	  The leaf that writers use now.
 *
 * outbox_internal.leaf decides; the shared atomic is its copy for writers.  A switch
 * is committed first and stored in the atomic afterwards, unconditionally.  An
 * error may prevent that store; so the keeper stores the number that it has read
 * from the table again before it freezes anything.
 * A writer that finds the atomic empty reads the table with a fresh snapshot
 * (its transaction's may be older than the last switch) and stores what it
 * read only if the atomic is still empty: a switch that overtook it wins.
 *
 * Without shared memory a leaf is never switched, so the table alone decides.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/table.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "catalog/outbox_catalog.h"
#include "shared/shared_private.h"

static bool has_state(HeapTuple tuple, TupleDesc desc, const char *state);

/*
 * The current leaf, and the bytes of those before it that may not be
 * acknowledged.  The lock on outbox_internal.leaf stays until the end of the
 * transaction: our installation stays too.
 */
static int
read_leaves(uint64 *closed_bytes)
{
	Relation rel = table_open(OutboxRelationOid("leaf"), AccessShareLock);
	TupleDesc desc = RelationGetDescr(rel);
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	HeapTuple tuple;
	int leaf = 0;

	*closed_bytes = 0;
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool isnull;

		if (has_state(tuple, desc, "current"))
			leaf = DatumGetInt16(heap_getattr(tuple, Anum_leaf_leaf, desc, &isnull));
		else if (has_state(tuple, desc, "frozen") || has_state(tuple, desc, "closing"))
		{
			Datum bytes = heap_getattr(tuple, Anum_leaf_bytes, desc, &isnull);

			*closed_bytes += isnull ? 0 : DatumGetInt64(bytes);
		}
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
	if (leaf == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("outbox.leaf has no row in state \"current\""),
				 errdetail("Events cannot be stored without a current leaf."),
				 errhint("Restore the row: exactly one leaf is current.")));
	return leaf;
}

static bool
has_state(HeapTuple tuple, TupleDesc desc, const char *state)
{
	bool isnull;
	Datum value = heap_getattr(tuple, Anum_leaf_state, desc, &isnull);
	text *word = isnull ? NULL : DatumGetTextPP(value);

	return word != NULL && VARSIZE_ANY_EXHDR(word) == strlen(state) &&
		memcmp(VARDATA_ANY(word), state, strlen(state)) == 0;
}

/*
 * The leaf that writers use now, from shared memory; the first caller after a
 * start loads it from outbox_internal.leaf with a fresh snapshot.  Without preloading
 * it is read from the catalog.
 */
int
OutboxCurrentLeaf(void)
{
	OutboxDatabase *db = OutboxMyDatabase();
	uint64 closed_bytes;
	uint32 leaf;

	if (db == NULL)
		return read_leaves(&closed_bytes);
	leaf = pg_atomic_read_u32(&db->current_leaf);
	if (leaf == 0)
	{
		uint32 loaded = (uint32) read_leaves(&closed_bytes);

		if (pg_atomic_compare_exchange_u32(&db->current_leaf, &leaf, loaded))
		{
			uint64 none = 0;

			leaf = loaded;
			(void) pg_atomic_compare_exchange_u64(&db->closed_bytes, &none, closed_bytes);
		}
	}
	return (int) leaf;
}

/*
 * The bytes of full leaves, less the acknowledged bytes of the current leaf, as the
 * keeper stored them last. With the size of the current leaf this makes the bytes
 * that are not acknowledged. The first caller after a start loads them with the
 * current leaf. Needs a transaction.
 */
int64
OutboxClosedBytes(void)
{
	OutboxDatabase *db = OutboxMyDatabase();
	uint64 closed_bytes;

	if (db != NULL)
	{
		(void) OutboxCurrentLeaf();
		return (int64) pg_atomic_read_u64(&db->closed_bytes);
	}
	(void) read_leaves(&closed_bytes);
	return (int64) closed_bytes;
}

/*
 * Stores what the table says, unconditionally. In a transaction that has read
 * outbox_internal.leaf, by the keeper alone: nobody else changes it.
 */
void
OutboxStoreLeaves(const OutboxLeafSummary *summary)
{
	OutboxDatabase *db = OutboxMyDatabase();

	if (db == NULL)
		return;
	pg_atomic_write_u64(&db->closed_bytes, (uint64) summary->closed_bytes);
	pg_atomic_write_u64(&db->freeze_xmax, summary->freeze_xmax);
	/* the readers' lists are out of date before the first row of a new leaf can be */
	if (summary->changed)
		pg_atomic_fetch_add_u32(&db->leaf_changes, 1);
	pg_atomic_write_u32(&db->current_leaf, (uint32) summary->current);
	pg_memory_barrier();
}

/* Counts the changes of outbox_internal.leaf. Never raises; 0 without shared memory. */
uint32
OutboxLeafChanges(void)
{
	OutboxDatabase *db = OutboxMyDatabaseCached();

	return db == NULL ? 0 : pg_atomic_read_u32(&db->leaf_changes);
}

/* A relay's recorded position must be newer than this to let every frozen leaf pass. Never raises. */
uint64
OutboxFreezeXmax(void)
{
	OutboxDatabase *db = OutboxMyDatabaseCached();

	return db == NULL ? 0 : pg_atomic_read_u64(&db->freeze_xmax);
}
