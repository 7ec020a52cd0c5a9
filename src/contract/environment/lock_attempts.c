/*-------------------------------------------------------------------------
 *
 * lock_attempts.c
 *	  Strong locks on tables that an application is writing to.
 *
 * A lock request that waits makes every later writer wait behind it. So the locks
 * are requested several times with a short lock_timeout, and with pauses in between
 * in which the application runs. Then an error names the table. An attempt keeps all
 * of its locks or none.
 *
 * Only the first lock is waited for in the server's queue. With that lock taken we
 * could become part of a cycle: a writer with a lock on the next table may be
 * waiting for ours, and may run the deadlock check just then. So the other locks
 * are tried again and again without waiting, which no deadlock check sees.
 *
 * That enable() and DROP EXTENSION stop no application and make none of its sessions
 * the victim of a deadlock rests on this: test/isolation/specs/enable_lock.spec,
 * test/isolation/specs/enable_order.spec, test/t/054_drop_extension.pl.
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

/* There is no further attempt after this time. */
#define LIMIT_MS 10000

#define FIRST_TIMEOUT_MS 2000
#define PAUSE_MS 300

/*
 * The time for all locks. While we have the first one, transactions that wait for it cannot end, and the others end
 * soon or not at all. Another attempt may meet fewer.
 */
#define OTHERS_TIMEOUT_MS 200

/* The time for all locks when this transaction has others from before, which it keeps between the attempts. */
#define FURTHER_TIMEOUT_MS 100

/* The locks of one call, and the state of its attempts. */
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

/* The last transaction that got its locks. */
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
 * Locks relations (OIDs) with their partitions until the end of the transaction,
 * all of them or none. A transaction that locks some of them in another order never
 * becomes the victim of a deadlock. Raises lock_not_available when the locks cannot
 * be had.
 */
void
OutboxLockInAttempts(const List *relations, LOCKMODE mode)
{
	LockRequest request = {.mode = mode, .relations = with_partitions(relations)};

	lock_in_attempts(&request);
}

/*
 * Locks an extension and then all relations that list() names, in ACCESS EXCLUSIVE
 * and as OutboxLockInAttempts() does. list() is called again until it names no
 * relation that is not locked.
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

/* Adds the partitions: PostgreSQL locks them with their table, and would wait for each without limit. */
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

/* One attempt: keeps all locks or none. False: a lock could not be had, and request->busy says on what. */
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

/* Takes the locks. The relation that was in use in the last attempt comes first: for the first lock it can wait. */
static void
lock_all(void *arg)
{
	LockRequest *request = arg;
	Oid first = request->busy;
	List *locked = NIL;
	List *lacking;

	/* locks from before the call stay when an attempt fails */
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

/* Locks the extension. No session of an application ever requests this lock. */
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

/* Tries one lock until the attempt ends. Everybody who needs one of our locks waits meanwhile, so the time is short. */
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

	OutboxSetInScope("lock_timeout", psprintf("%dms", ms));
	return nest_level;
}

/* Pauses between two attempts. The latch alone does not end a pause: the timer of a lock_timeout sets it, too. */
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
				 errmsg("could not lock extension outbox_ext"),
				 errdetail("%d attempts within %.1f s found it in use.", request->attempts, seconds),
				 errhint("A relay is using the extension, or another session is altering it; try again.")));
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("could not lock \"%s\"", name),
			 errdetail("%d attempts within %.1f s found it in use.", request->attempts, seconds),
			 OidIsValid(request->extension)
				 ? errhint("Long transactions on it stand in pg_locks (relation = '%s'::regclass), prepared ones without a pid; try again when they are over. outbox.drop_contract(), one contract per transaction, needs fewer tables at a time; outbox.uninstall() names other steps to take before.",
						   OutboxQualifiedName(request->busy))
				 : errhint("Long transactions on it stand in pg_locks (relation = '%s'::regclass); try again when they are over, and with one contract per transaction.",
						   OutboxQualifiedName(request->busy))));
}
