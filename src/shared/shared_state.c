/*-------------------------------------------------------------------------
 *
 * shared_state.c
 *	  Requests and initialises the shared memory.
 *
 * Everything starts empty after a start and after a crash; the relays then
 * scan the leaves once, and the first writer of a database loads its current
 * leaf.  Nothing here is ever the only copy of something.
 *
 * Locks, never nested in another order than this one:
 *	 registry   which database owns which entry
 *	 ring       one per database entry: its hints, and changes of its owner
 *	 relays     all relay slots
 * and one spinlock for the launcher's queue.  No catalog access, palloc or
 * ereport happens under any of them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/builtins.h"

#include "guc.h"
#include "shared/shared_private.h"

#define REGISTRY_TRANCHE "outbox_registry"
#define RELAYS_TRANCHE "outbox_relays"
#define RING_TRANCHE "outbox_ring"

PG_FUNCTION_INFO_V1(outbox_preloaded);
PG_FUNCTION_INFO_V1(outbox_library_version);

OutboxShared *outbox_shared = NULL;

static char *databases = NULL;
static shmem_request_hook_type previous_request = NULL;
static shmem_startup_hook_type previous_startup = NULL;

static void shared_request(void);
static void shared_startup(void);

/* Called from _PG_init while shared_preload_libraries are loaded. */
void
OutboxSharedInit(void)
{
	previous_request = shmem_request_hook;
	shmem_request_hook = shared_request;
	previous_startup = shmem_startup_hook;
	shmem_startup_hook = shared_startup;
}

/* True when the library was preloaded: ring, relay slots and counters exist. */
bool
OutboxSharedAvailable(void)
{
	return outbox_shared != NULL;
}

static Size
database_size(void)
{
	return CACHELINEALIGN(add_size(offsetof(OutboxDatabase, ring),
								   mul_size(sizeof(OutboxHint), outbox_ring_size)));
}

/* Address of a database entry. */
OutboxDatabase *
OutboxDatabaseEntry(int i)
{
	return (OutboxDatabase *) (databases + i * database_size());
}

static void
shared_request(void)
{
	if (previous_request)
		previous_request();
	RequestAddinShmemSpace(MAXALIGN(sizeof(OutboxShared)));
	RequestAddinShmemSpace(add_size(mul_size(database_size(), outbox_max_databases),
									PG_CACHE_LINE_SIZE));
	RequestNamedLWLockTranche(REGISTRY_TRANCHE, 1);
	RequestNamedLWLockTranche(RELAYS_TRANCHE, 1);
	RequestNamedLWLockTranche(RING_TRANCHE, outbox_max_databases);
	OutboxBulkFiltersRequest();
	OutboxTicketsRequest();
}

static void
initialise_databases(void)
{
	LWLockPadded *locks = GetNamedLWLockTranche(RING_TRANCHE);

	for (int i = 0; i < outbox_max_databases; i++)
	{
		OutboxDatabase *db = OutboxDatabaseEntry(i);

		pg_atomic_init_u64(&db->owner, 0);
		pg_atomic_init_u64(&db->head, 0);
		pg_atomic_init_u64(&db->relays, 0);
		pg_atomic_init_u32(&db->current_leaf, 0);
		pg_atomic_init_u32(&db->leaf_changes, 0);
		pg_atomic_init_u64(&db->freeze_xmax, 0);
		pg_atomic_init_u64(&db->closed_bytes, 0);
		db->ring_lock = &locks[i].lock;
		for (int c = 0; c < OUTBOX_COUNTERS; c++)
		{
			pg_atomic_init_u32(&db->counters[c].contract_id, 0);
			for (int v = 0; v < OUTBOX_COUNTER_VALUES; v++)
				pg_atomic_init_u64(&db->counters[c].values[v], 0);
			pg_atomic_init_u32(&db->schema_counters[c].schema_id, 0);
			pg_atomic_init_u64(&db->schema_counters[c].events, 0);
		}
	}
}

static void
shared_startup(void)
{
	bool found;

	if (previous_startup)
		previous_startup();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	outbox_shared = ShmemInitStruct("outbox_ext", sizeof(OutboxShared), &found);
	if (!found)
	{
		memset(outbox_shared, 0, sizeof(OutboxShared));
		outbox_shared->registry_lock = &GetNamedLWLockTranche(REGISTRY_TRANCHE)[0].lock;
		outbox_shared->relays_lock = &GetNamedLWLockTranche(RELAYS_TRANCHE)[0].lock;
		SpinLockInit(&outbox_shared->launcher_lock);
		OutboxAckedStartup(outbox_shared->acked);
	}
	databases = ShmemInitStruct("outbox_ext databases",
								mul_size(database_size(), outbox_max_databases), &found);
	if (!found)
		initialise_databases();
	OutboxBulkFiltersStartup();
	OutboxTicketsStartup();
	LWLockRelease(AddinShmemInitLock);
}

/* ---- for those who look ----------------------------------------------------------- */

/* outbox_internal.preloaded(): was the library loaded with the server? */
Datum
outbox_preloaded(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(OutboxSharedAvailable());
}

/* outbox_internal.library_version() */
Datum
outbox_library_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(OUTBOX_VERSION));
}
