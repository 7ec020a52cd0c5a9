/*-------------------------------------------------------------------------
 *
 * leaf_sql.c
 *	  What the views of the leaves ask for.
 *
 * They are looked at when something hangs, so they wait for no lock.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "fmgr.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/rel.h"

#include "relay/session/session.h"

PG_FUNCTION_INFO_V1(outbox_snapshot_covers);
PG_FUNCTION_INFO_V1(outbox_leaf_bytes);

static int64 stored_bytes(Oid relid);

/* snapshot_covers(later pg_snapshot, earlier pg_snapshot) */
Datum
outbox_snapshot_covers(PG_FUNCTION_ARGS)
{
	const OutboxSnapshot *later = (OutboxSnapshot *) PG_GETARG_VARLENA_P(0);
	const OutboxSnapshot *earlier = (OutboxSnapshot *) PG_GETARG_VARLENA_P(1);

	PG_RETURN_BOOL(OutboxSnapshotCovers(later, earlier));
}

/* leaf_bytes(relation regclass): of a table and what it stores out of line; null when it is gone or locked. */
Datum
outbox_leaf_bytes(PG_FUNCTION_ARGS)
{
	int64 bytes = stored_bytes(PG_GETARG_OID(0));

	if (bytes < 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(bytes);
}

/* -1: not to be had without waiting. */
static int64
stored_bytes(Oid relid)
{
	Relation rel;
	int64 bytes;
	int64 toast = 0;

	if (!ConditionalLockRelationOid(relid, AccessShareLock))
		return -1;
	rel = try_table_open(relid, NoLock);
	if (rel == NULL)
	{
		UnlockRelationOid(relid, AccessShareLock);
		return -1;
	}
	bytes = (int64) RelationGetNumberOfBlocks(rel) * BLCKSZ;
	if (OidIsValid(rel->rd_rel->reltoastrelid))
		toast = stored_bytes(rel->rd_rel->reltoastrelid);
	table_close(rel, AccessShareLock);
	return toast < 0 ? -1 : bytes + toast;
}
