/*-------------------------------------------------------------------------
 *
 * database_entry.c
 *	  Which entry of the shared memory belongs to this database.
 *
 * The first writer or relay of a database claims an entry.  An entry is claimed
 * for an installation that is committed: one that this transaction created
 * itself works without shared memory until then, so that an entry whose
 * installation cannot be found in the catalog is certainly dead.  Entries of
 * dropped databases are taken over when no free one is left; those of a
 * dropped extension by its successor in the same database, or freed by the
 * launcher's probe.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "miscadmin.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "catalog/outbox_catalog.h"
#include "guc.h"
#include "shared/shared_private.h"

#define OWNER(dboid, installation) (((uint64) (dboid) << 32) | (installation))
#define OWNER_DATABASE(owner) ((Oid) ((owner) >> 32))

/* Head values of different claims are this far apart: no ring is as large. */
#define CLAIM_DISTANCE (UINT64CONST(1) << 40)

/* While all entries are taken, how often the launcher is asked to look for dead ones. */
#define SWEEP_INTERVAL_MS 60000

static OutboxDatabase *my_database = NULL;
static uint64 my_owner = 0;

static OutboxDatabase *find_or_claim(uint64 owner);
static OutboxDatabase *claim(uint64 owner);
static bool evict_dropped_databases(void);

/* The entry that OutboxMyDatabase found last if it is still ours, else NULL. Never raises. */
OutboxDatabase *
OutboxMyDatabaseCached(void)
{
	if (my_database != NULL && pg_atomic_read_u64(&my_database->owner) == my_owner)
		return my_database;
	return NULL;
}

static bool
created_by_this_transaction(Oid installation)
{
	Relation rel = relation_open(installation, AccessShareLock);
	bool result = rel->rd_createSubid != InvalidSubTransactionId;

	relation_close(rel, NoLock);
	return result;
}

/*
 * The entry of this database's installation, claimed when there is none yet.
 * NULL: no shared memory, no extension, all entries taken, or the extension was
 * created by this very transaction.  Needs a transaction; may read catalogs.
 */
OutboxDatabase *
OutboxMyDatabase(void)
{
	Oid installation;
	uint64 owner;

	if (outbox_shared == NULL)
		return NULL;
	installation = OutboxInstallation();
	if (!OidIsValid(installation))
		return NULL;
	owner = OWNER(MyDatabaseId, installation);
	if (my_owner == owner && OutboxMyDatabaseCached() != NULL)
		return my_database;

	my_database = NULL;
	my_owner = owner;
	if (created_by_this_transaction(installation))
		return NULL;
	my_database = find_or_claim(owner);
	return my_database;
}

static OutboxDatabase *
find_or_claim(uint64 owner)
{
	static TimestampTz last_sweep = 0;
	OutboxDatabase *db = claim(owner);

	if (db == NULL && evict_dropped_databases())
		db = claim(owner);
	if (db == NULL &&
		TimestampDifferenceExceeds(last_sweep, GetCurrentTimestamp(), SWEEP_INTERVAL_MS))
	{
		last_sweep = GetCurrentTimestamp();
		OutboxLauncherPoke(InvalidOid);
	}
	return db;
}

/* Caller holds the registry lock exclusively. */
static void
change_owner(OutboxDatabase *db, uint64 owner)
{
	LWLockAcquire(db->ring_lock, LW_EXCLUSIVE);
	pg_atomic_write_u64(&db->relays, 0);
	pg_atomic_write_u32(&db->current_leaf, 0);
	pg_atomic_fetch_add_u32(&db->leaf_changes, 1);
	pg_atomic_write_u64(&db->freeze_xmax, 0);
	pg_atomic_write_u64(&db->closed_bytes, 0);
	pg_atomic_write_u64(&db->head, ++outbox_shared->claims * CLAIM_DISTANCE);
	for (int c = 0; c < OUTBOX_COUNTERS; c++)
	{
		pg_atomic_write_u32(&db->counters[c].contract_id, 0);
		for (int v = 0; v < OUTBOX_COUNTER_VALUES; v++)
			pg_atomic_write_u64(&db->counters[c].values[v], 0);
		pg_atomic_write_u32(&db->schema_counters[c].schema_id, 0);
		pg_atomic_write_u64(&db->schema_counters[c].events, 0);
	}
	pg_write_barrier();
	pg_atomic_write_u64(&db->owner, owner);
	LWLockRelease(db->ring_lock);
}

/*
 * Finds the owner's entry, else takes that of a former installation in the
 * same database, else a free one; NULL when there is none.
 */
static OutboxDatabase *
claim(uint64 owner)
{
	OutboxDatabase *candidate = NULL;
	bool same_database = false;

	LWLockAcquire(outbox_shared->registry_lock, LW_EXCLUSIVE);
	for (int i = 0; i < outbox_max_databases; i++)
	{
		OutboxDatabase *db = OutboxDatabaseEntry(i);
		uint64 present = pg_atomic_read_u64(&db->owner);

		if (present == owner)
		{
			LWLockRelease(outbox_shared->registry_lock);
			return db;
		}
		if (OWNER_DATABASE(present) == OWNER_DATABASE(owner))
		{
			candidate = db;
			same_database = true;
		}
		else if (present == 0 && !same_database && candidate == NULL)
			candidate = db;
	}
	if (candidate != NULL)
		change_owner(candidate, owner);
	LWLockRelease(outbox_shared->registry_lock);
	return candidate;
}

/* Frees the entry if it still belongs to this owner. */
static bool
release(OutboxDatabase *db, uint64 owner)
{
	bool released = false;

	LWLockAcquire(outbox_shared->registry_lock, LW_EXCLUSIVE);
	if (pg_atomic_read_u64(&db->owner) == owner)
	{
		change_owner(db, 0);
		released = true;
	}
	LWLockRelease(outbox_shared->registry_lock);
	return released;
}

/* The owner is read before the catalog: a database in an entry was there when it was claimed. */
static bool
evict_dropped_databases(void)
{
	bool evicted = false;

	for (int i = 0; i < outbox_max_databases; i++)
	{
		OutboxDatabase *db = OutboxDatabaseEntry(i);
		uint64 owner = pg_atomic_read_u64(&db->owner);

		if (owner != 0 &&
			!SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(OWNER_DATABASE(owner))))
			evicted |= release(db, owner);
	}
	return evicted;
}

/* Frees this database's entry when its installation is gone; for the probe. */
void
OutboxDatabaseSweep(void)
{
	if (outbox_shared == NULL)
		return;
	for (int i = 0; i < outbox_max_databases; i++)
	{
		OutboxDatabase *db = OutboxDatabaseEntry(i);
		uint64 owner = pg_atomic_read_u64(&db->owner);

		if (owner != 0 && OWNER_DATABASE(owner) == MyDatabaseId &&
			!SearchSysCacheExists1(RELOID, ObjectIdGetDatum((Oid) (owner & PG_UINT32_MAX))))
			release(db, owner);
	}
}
