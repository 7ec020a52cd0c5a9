/*-------------------------------------------------------------------------
 *
 * leaf_lock.c
 *	  Which relation a leaf is, and the lock that tells who writes to it.
 *
 * The lock on the relation does not tell it: any role can have ROW EXCLUSIVE on
 * any relation whose oid it knows (nextval() locks first, until the end of the
 * transaction, and then asks what it is). So a writer also takes a lock on the
 * leaf as an object of outbox_internal.leaf, which no command takes. A leaf
 * without such a lock has no open and no prepared transaction's rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "catalog/outbox_catalog.h"
#include "shared/shared_private.h"

/* By number; a leaf's relation never changes while this outbox_internal.leaf is there. */
static struct
{
	Oid table;
	Oid relids[OUTBOX_MAX_LEAVES + 1];
} known;

static void read_relids(void);
static void set_tag(LOCKTAG *tag, Oid relid);

/* By its number. Remembered by the backend; raises when outbox_internal.leaf has no such row. */
Oid
OutboxLeafRelation(int leaf)
{
	Oid table = OutboxRelationOid("leaf");

	Assert(leaf > 0 && leaf <= OUTBOX_MAX_LEAVES);
	if (known.table != table || !OidIsValid(known.relids[leaf]))
	{
		known.table = InvalidOid;
		memset(known.relids, 0, sizeof(known.relids));
		read_relids();
		known.table = table;
	}
	if (!OidIsValid(known.relids[leaf]))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("outbox.leaf has no row for leaf %d", leaf),
				 errhint("Restore the row: every leaf has one.")));
	return known.relids[leaf];
}

static void
read_relids(void)
{
	Relation rel = table_open(OutboxRelationOid("leaf"), AccessShareLock);
	TupleDesc desc = RelationGetDescr(rel);
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	HeapTuple tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool isnull;
		int leaf = DatumGetInt16(heap_getattr(tuple, Anum_leaf_leaf, desc, &isnull));

		if (leaf > 0 && leaf <= OUTBOX_MAX_LEAVES)
			known.relids[leaf] = DatumGetObjectId(heap_getattr(tuple, Anum_leaf_relation, desc, &isnull));
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
}

static void
set_tag(LOCKTAG *tag, Oid relid)
{
	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, OutboxRelationOid("leaf"), relid, 0);
}

/*
 * Takes the writer's lock on a leaf, for CurrentResourceOwner; false: it is not free, and `wait` is false. It is taken
 * before the lock on the relation. May raise.
 */
bool
OutboxLeafLockToWrite(Oid relid, bool wait)
{
	LOCKTAG tag;

	set_tag(&tag, relid);
	return LockAcquire(&tag, RowExclusiveLock, false, !wait) != LOCKACQUIRE_NOT_AVAIL;
}

/* Has no open or prepared transaction the writer's lock? Never waits. */
bool
OutboxLeafHasNoWriters(Oid relid)
{
	LOCKTAG tag;

	set_tag(&tag, relid);
	if (LockAcquire(&tag, ShareLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	(void) LockRelease(&tag, ShareLock, false);
	return true;
}
