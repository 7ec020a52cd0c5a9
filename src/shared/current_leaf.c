/*-------------------------------------------------------------------------
 *
 * current_leaf.c
 *	  The leaf that writers use now.
 *
 * outbox.leaf decides; the shared atomic is its copy for writers.  A switch
 * is committed first and stored in the atomic afterwards, unconditionally.
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
#include "shared/shared_state.h"

/* outbox.leaf (sql/10_catalog.sql) */
#define Anum_leaf_leaf 1
#define Anum_leaf_state 3

/* The lock on outbox.leaf stays until the end of the transaction: our installation stays too. */
static int
read_current_leaf(void)
{
	Relation rel = table_open(OutboxRelationOid("leaf"), AccessShareLock);
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	HeapTuple tuple;
	int leaf = 0;

	while (leaf == 0 && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool isnull;
		Datum state = heap_getattr(tuple, Anum_leaf_state, RelationGetDescr(rel), &isnull);
		text *value = isnull ? NULL : DatumGetTextPP(state);

		if (value != NULL && VARSIZE_ANY_EXHDR(value) == strlen("current") &&
			memcmp(VARDATA_ANY(value), "current", strlen("current")) == 0)
			leaf = DatumGetInt16(heap_getattr(tuple, Anum_leaf_leaf, RelationGetDescr(rel), &isnull));
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

int
OutboxCurrentLeaf(void)
{
	OutboxDatabase *db = OutboxMyDatabase();
	uint32 leaf;

	if (db == NULL)
		return read_current_leaf();
	leaf = pg_atomic_read_u32(&db->current_leaf);
	if (leaf == 0)
	{
		uint32 loaded = (uint32) read_current_leaf();

		if (pg_atomic_compare_exchange_u32(&db->current_leaf, &leaf, loaded))
			leaf = loaded;
	}
	return (int) leaf;
}
