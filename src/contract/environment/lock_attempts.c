/*-------------------------------------------------------------------------
 *
 * lock_attempts.c
 *	  Strong locks on tables that an application is writing to.
 *
 * A lock request that waits makes every later writer wait behind it. So the
 * locks are asked for with a short lock_timeout, several times, with a pause
 * in between in which the application runs; then the caller is told who holds
 * them. An attempt keeps all of its locks or none.
 *
 * Only the first lock is waited for in the server's queue. With a lock in hand
 * we would be part of a cycle: a writer who has the next table may be waiting
 * for ours, perhaps long since, for somebody else's sake, and look for a
 * deadlock just now. So all others are tried again and again, which nobody
 * takes for waiting.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/environment/environment_private.h"
#include "util/util.h"

/* No further attempt after this time. */
#define LIMIT_MS 10000

#define FIRST_TIMEOUT_MS 2000
#define PAUSE_MS 300

/* Who ends at all while we have the first lock ends soon; who waits for it does not, and another attempt may meet fewer. */
#define OTHERS_TIMEOUT_MS 200

/* The time for all locks when others are there from before, and so do not become free in between. */
#define FURTHER_TIMEOUT_MS 100

/* What one call asks for, and how far an attempt has come. */
typedef struct LockRequest
{
	LOCKMODE mode;
	const List *relations;
	Oid extension; /* or InvalidOid; then these are asked for: */
	List *(*list)(void);
	bool may_wait;
	TimestampTz begun;
	int attempts;
	TimestampTz until; /* when this attempt ends; 0: it may wait for a lock */
	Oid busy;          /* the relation that is being locked, or was in the last attempt; InvalidOid: the extension */
} LockRequest;

/* The last one that got its locks. */
static LocalTransactionId locking_transaction = InvalidLocalTransactionId;

static void lock_in_attempts(LockRequest *request);
static List *with_partitions(const List *relations);
static bool try_lock(LockRequest *request);
static bool is_not_busy(const ErrorData *error);
static void lock_all(void *arg);
static void lock_extension(LockRequest *request);
static List *with_first(Oid first, const List *relations);
static void lock_relations(LockRequest *request, const List *relations);
static int push_timeout(int ms);
static void lock_when_free(const LockRequest *request);
static void pause_for(int ms);
static void raise_busy(const LockRequest *request);

/*
 * Locks relations (OIDs) until the end of the transaction, all of them or
 * none, partitions included. Whoever has locks on some of them in another
 * order never ends as the victim of a deadlock. Raises lock_not_available when
 * they cannot be had.
 */
void
OutboxLockInAttempts(const List *relations, LOCKMODE mode)
{
	LockRequest request = {.mode = mode, .relations = with_partitions(relations)};

	lock_in_attempts(&request);
}

/*
 * The same in ACCESS EXCLUSIVE for an extension and then all relations that
 * list() names, which is asked again until it names none that is not locked.
 */
void
OutboxLockExtensionInAttempts(Oid extension, List *(*list)(void) )
{
	LockRequest request = {.mode = AccessExclusiveLock, .extension = extension, .list = list};

	lock_in_attempts(&request);
}

static void
lock_in_attempts(LockRequest *request)
{
	request->may_wait = locking_transaction != OutboxLocalTransactionId();
	request->begun = GetCurrentTimestamp();
	for (request->attempts = 1; !try_lock(request); request->attempts++)
	{
		if (!request->may_wait || TimestampDifferenceExceeds(request->begun, GetCurrentTimestamp(), LIMIT_MS))
			raise_busy(request);
		pause_for(PAUSE_MS);
	}
	locking_transaction = OutboxLocalTransactionId();
}

/* PostgreSQL locks the partitions with their table, and would wait for each as long as it takes. */
static List *
with_partitions(const List *relations)
{
	List *all = NIL;
	ListCell *lc;

	foreach (lc, relations)
	{
		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_PARTITIONED_TABLE)
			all = list_concat_unique_oid(all, find_all_inheritors(lfirst_oid(lc), NoLock, NULL));
		else
			all = list_append_unique_oid(all, lfirst_oid(lc));
	}
	return all;
}

/* Keeps all locks or none; false with request->busy set when one was not to be had. */
static bool
try_lock(LockRequest *request)
{
	return OutboxCatch(lock_all, request, CurrentMemoryContext, is_not_busy) == NULL;
}

static bool
is_not_busy(const ErrorData *error)
{
	return error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE;
}

/* The one that was in use in the last attempt comes first: for that it can wait. */
static void
lock_all(void *arg)
{
	LockRequest *request = arg;
	Oid first = request->busy;
	List *locked = NIL;
	List *lacking;

	/* what this transaction has locked before stays locked when an attempt fails */
	request->until = request->may_wait ? 0 : TimestampTzPlusMilliseconds(GetCurrentTimestamp(), FURTHER_TIMEOUT_MS);
	if (!OidIsValid(request->extension))
	{
		lock_relations(request, with_first(first, request->relations));
		return;
	}
	lock_extension(request);
	while ((lacking = list_difference_oid(request->list(), locked)) != NIL)
	{
		lock_relations(request, with_first(first, lacking));
		locked = list_concat(locked, lacking);
	}
}

static List *
with_first(Oid first, const List *relations)
{
	List *result = list_copy(relations);

	return list_member_oid(result, first) ? lcons_oid(first, list_delete_oid(result, first)) : result;
}

/* No session of an application ever asks for this lock. */
static void
lock_extension(LockRequest *request)
{
	int nest_level = push_timeout(request->may_wait ? FIRST_TIMEOUT_MS : 1);

	request->busy = InvalidOid;
	LockDatabaseObject(ExtensionRelationId, request->extension, 0, request->mode);
	AtEOXact_GUC(true, nest_level);
}

static void
lock_relations(LockRequest *request, const List *relations)
{
	ListCell *lc;

	foreach (lc, relations)
	{
		request->busy = lfirst_oid(lc);
		if (request->until != 0)
			lock_when_free(request);
		else
		{
			int nest_level = push_timeout(FIRST_TIMEOUT_MS);

			LockRelationOid(request->busy, request->mode);
			AtEOXact_GUC(true, nest_level);
			request->until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), OTHERS_TIMEOUT_MS);
		}
	}
}

/* Everybody who needs one of the locks that are there waits meanwhile, so the time for all is short. */
static void
lock_when_free(const LockRequest *request)
{
	while (!ConditionalLockRelationOid(request->busy, request->mode))
	{
		if (GetCurrentTimestamp() >= request->until)
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("could not lock relation %u", request->busy)));
		pause_for(1);
	}
}

static int
push_timeout(int ms)
{
	int nest_level = NewGUCNestLevel();

	(void) set_config_option("lock_timeout", psprintf("%dms", ms), PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	return nest_level;
}

/* The latch alone does not tell that it is over: the timer of a lock_timeout sets it, too. */
static void
pause_for(int ms)
{
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms);
	long left;

	while ((left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until)) > 0)
	{
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, Min(left, ms), PG_WAIT_EXTENSION);
	}
}

static void
raise_busy(const LockRequest *request)
{
	double seconds = TimestampDifferenceMilliseconds(request->begun, GetCurrentTimestamp()) / 1000.0;
	char *name = OidIsValid(request->busy) ? get_rel_name(request->busy) : NULL;

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("could not lock what belongs to extension outbox_ext"),
				 errdetail("%d attempts within %.1f s found it in use.", request->attempts, seconds),
				 errhint("A relay is in the middle of something, or another session alters it; try again.")));
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("could not lock \"%s\"", name),
			 errdetail("%d attempts within %.1f s found it in use.", request->attempts, seconds),
			 OidIsValid(request->extension)
				 ? errhint("Long transactions on it stand in pg_locks (relation = '%s'::regclass), prepared ones without a pid; try again when they are over. outbox.drop_contract(), one contract per transaction, needs fewer tables at a time; outbox.uninstall() names what else there is to do before.",
						   OutboxQualifiedName(request->busy))
				 : errhint("Long transactions on it stand in pg_locks (relation = '%s'::regclass); try again when they are over, and with one contract per transaction.",
						   OutboxQualifiedName(request->busy))));
}
