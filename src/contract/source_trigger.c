/*-------------------------------------------------------------------------
 *
 * source_trigger.c
 *	  The triggers that a contract has on its sources.
 *
 * A lock request that waits makes every later writer wait behind it. So the
 * lock is asked for with a short lock_timeout, several times, with a pause in
 * between in which the application runs; then the caller is told who holds it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/partition.h"
#include "contract/source_trigger.h"

#define FIRST_TIMEOUT_MS	2000
#define OTHERS_TIMEOUT_MS	500
#define LOCK_ATTEMPTS		5
#define PAUSE_MS			500L

/* The last one that got its locks. */
static LocalTransactionId locking_transaction = InvalidLocalTransactionId;

static List *with_partitions(const List *relations);
static Oid	try_lock(const List *relations, LOCKMODE mode);
static void lock_all(const List *relations, LOCKMODE mode, volatile Oid *busy);
static void create_triggers(const OutboxContractConfig *config, Oid source);
static void drop_triggers(const OutboxContractConfig *config, Oid source);
static void pause_between_attempts(void);
static List *lacking_truncate(const OutboxContractConfig *config, Oid source);
static void drop_trigger(const OutboxContractConfig *config, Oid table, const char *prefix);
static bool has_any_trigger(const OutboxContractConfig *config, Oid source);
static void create_trigger(Oid source, const char *name, const char *events, const char *rest);
static void execute_as_caller(const char *command);
static char *qualified_name(Oid relation);

void
OutboxCreateTriggers(const OutboxContractConfig *config)
{
	List	   *lacking = NIL;
	ListCell   *lc;

	foreach(lc, config->sources)
	{
		Oid			source = ((OutboxSourceConfig *) lfirst(lc))->relation;

		if (!OutboxHasTriggers(config, source) || lacking_truncate(config, source))
			lacking = lappend_oid(lacking, source);
	}
	if (lacking == NIL)
		return;
	OutboxLockInAttempts(lacking, ShareRowExclusiveLock);
	foreach(lc, lacking)
		create_triggers(config, lfirst_oid(lc));
}

static void
create_triggers(const OutboxContractConfig *config, Oid source)
{
	ListCell   *lc;

	create_trigger(source, psprintf(OUTBOX_TRIGGER_PREFIX "%s", config->name), "INSERT OR UPDATE OR DELETE",
				   "FOR EACH ROW EXECUTE FUNCTION outbox.capture()");
	foreach(lc, lacking_truncate(config, source))
		OutboxCreateTruncateTrigger(config, lfirst_oid(lc));
}

bool
OutboxHasTriggers(const OutboxContractConfig *config, Oid source)
{
	return OidIsValid(get_trigger_oid(source, psprintf(OUTBOX_TRIGGER_PREFIX "%s", config->name), true));
}

void
OutboxCreateTruncateTrigger(const OutboxContractConfig *config, Oid table)
{
	if (get_rel_relkind(table) == RELKIND_RELATION)
		create_trigger(table, psprintf(OUTBOX_TRUNCATE_TRIGGER_PREFIX "%s", config->name), "TRUNCATE",
					   "FOR EACH STATEMENT EXECUTE FUNCTION outbox.capture_truncate()");
}

/* The source's tables that have no TRUNCATE trigger yet: statement triggers are not copied to partitions. */
static List *
lacking_truncate(const OutboxContractConfig *config, Oid source)
{
	char	   *name = psprintf(OUTBOX_TRUNCATE_TRIGGER_PREFIX "%s", config->name);
	List	   *lacking = NIL;
	ListCell   *lc;

	foreach(lc, OutboxSourceTables(source))
	{
		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_RELATION &&
			!OidIsValid(get_trigger_oid(lfirst_oid(lc), name, true)))
			lacking = lappend_oid(lacking, lfirst_oid(lc));
	}
	return lacking;
}

void
OutboxDropTriggers(const OutboxContractConfig *config)
{
	List	   *tables = NIL;
	ListCell   *lc;

	foreach(lc, config->sources)
	{
		Oid			source = ((OutboxSourceConfig *) lfirst(lc))->relation;

		if (get_rel_relkind(source) != '\0' && has_any_trigger(config, source))
			tables = lappend_oid(tables, source);
	}
	if (tables == NIL)
		return;
	OutboxLockInAttempts(tables, AccessExclusiveLock);
	foreach(lc, tables)
		drop_triggers(config, lfirst_oid(lc));
}

static bool
has_any_trigger(const OutboxContractConfig *config, Oid source)
{
	char	   *name = psprintf(OUTBOX_TRUNCATE_TRIGGER_PREFIX "%s", config->name);
	ListCell   *lc;

	foreach(lc, OutboxSourceTables(source))
	{
		if (OidIsValid(get_trigger_oid(lfirst_oid(lc), name, true)))
			return true;
	}
	return OutboxHasTriggers(config, source);
}

static void
drop_triggers(const OutboxContractConfig *config, Oid source)
{
	ListCell   *lc;

	drop_trigger(config, source, OUTBOX_TRIGGER_PREFIX);
	foreach(lc, OutboxSourceTables(source))
		drop_trigger(config, lfirst_oid(lc), OUTBOX_TRUNCATE_TRIGGER_PREFIX);
}

static void
drop_trigger(const OutboxContractConfig *config, Oid table, const char *prefix)
{
	char	   *name = psprintf("%s%s", prefix, config->name);

	if (OidIsValid(get_trigger_oid(table, name, true)))
		execute_as_caller(psprintf("DROP TRIGGER %s ON %s", quote_identifier(name), qualified_name(table)));
}

/* The trigger, with a dependency that lets DROP EXTENSION take it along. */
static void
create_trigger(Oid source, const char *name, const char *events, const char *rest)
{
	ObjectAddress trigger;
	ObjectAddress extension;

	if (OidIsValid(get_trigger_oid(source, name, true)))
		return;
	execute_as_caller(psprintf("CREATE TRIGGER %s AFTER %s ON %s %s", quote_identifier(name), events,
							   qualified_name(source), rest));
	ObjectAddressSet(trigger, TriggerRelationId, get_trigger_oid(source, name, false));
	ObjectAddressSet(extension, ExtensionRelationId, OutboxExtensionOid(false));
	recordDependencyOn(&trigger, &extension, DEPENDENCY_AUTO_EXTENSION);
}

void
OutboxLockInAttempts(const List *relations, LOCKMODE mode)
{
	List	   *all = with_partitions(relations);
	Oid			busy = InvalidOid;

	for (int attempt = 1; attempt <= LOCK_ATTEMPTS; attempt++)
	{
		busy = try_lock(all, mode);
		if (!OidIsValid(busy))
		{
			locking_transaction = OutboxLocalTransactionId();
			return;
		}
		if (attempt < LOCK_ATTEMPTS)
			pause_between_attempts();
	}
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("could not lock \"%s\"", get_rel_name(busy)),
			 errdetail("%d attempts within %d s found it in use.", LOCK_ATTEMPTS,
					   LOCK_ATTEMPTS * (FIRST_TIMEOUT_MS + (int) PAUSE_MS) / 1000),
			 errhint("Long transactions on it stand in pg_locks (relation = '%s'::regclass); try again when they are over, and with one contract per transaction.",
					 qualified_name(busy))));
}

/* PostgreSQL locks the partitions with their table, and would wait for each as long as it takes. */
static List *
with_partitions(const List *relations)
{
	List	   *all = NIL;
	ListCell   *lc;

	foreach(lc, relations)
	{
		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_PARTITIONED_TABLE)
			all = list_concat_unique_oid(all, find_all_inheritors(lfirst_oid(lc), NoLock, NULL));
		else
			all = list_append_unique_oid(all, lfirst_oid(lc));
	}
	return all;
}

/* Keeps all locks or none; returns the relation whose lock was not to be had. */
static Oid
try_lock(const List *relations, LOCKMODE mode)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile Oid busy = InvalidOid;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		lock_all(relations, mode, &busy);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	if (error && error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
		ReThrowError(error);
	return busy;
}

/*
 * Raises lock_not_available, with *busy set. With the first lock in hand all
 * others together get less time than anybody waits before he looks for a
 * deadlock: a writer who has one of them may be waiting for the first. Locks
 * that this transaction took for another contract stay when an attempt fails,
 * so then nothing is waited for at all.
 */
static void
lock_all(const List *relations, LOCKMODE mode, volatile Oid *busy)
{
	bool		may_wait = locking_transaction != OutboxLocalTransactionId();
	int			left_ms = FIRST_TIMEOUT_MS;
	TimestampTz start = GetCurrentTimestamp();
	ListCell   *lc;

	foreach(lc, relations)
	{
		int			nest_level = NewGUCNestLevel();

		*busy = lfirst_oid(lc);
		if (!may_wait && !ConditionalLockRelationOid(*busy, mode))
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("could not lock \"%s\"", get_rel_name(*busy))));
		(void) set_config_option("lock_timeout", psprintf("%dms", Max(left_ms, 1)), PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
		LockRelationOid(*busy, mode);
		AtEOXact_GUC(true, nest_level);
		if (lc == list_head(relations))
			start = GetCurrentTimestamp();
		left_ms = Min(OTHERS_TIMEOUT_MS, DeadlockTimeout / 2) -
			(int) TimestampDifferenceMilliseconds(start, GetCurrentTimestamp());
	}
	*busy = InvalidOid;
}

static void
pause_between_attempts(void)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, PAUSE_MS, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* DDL on the source is the caller's, with the caller's rights. */
static void
execute_as_caller(const char *command)
{
	int			rc;

	SPI_connect();
	rc = SPI_execute(command, false, 0);
	if (rc < 0)
		elog(ERROR, "SPI_execute failed: %s", SPI_result_code_string(rc));
	SPI_finish();
}

static char *
qualified_name(Oid relation)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), get_rel_name(relation));
}
