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
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/resowner.h"
#include "utils/wait_event.h"

#include "catalog/outbox_catalog.h"
#include "contract/partition.h"
#include "contract/source_trigger.h"

#define LOCK_TIMEOUT		"2s"
#define LOCK_ATTEMPTS		5
#define PAUSE_MS			500L

static Oid	try_lock(Oid relation, const List *others, LOCKMODE mode);
static Oid	lock_all(Oid relation, const List *others, LOCKMODE mode);
static void create_triggers(const OutboxContractConfig *config, Oid source);
static void drop_triggers(const OutboxContractConfig *config, Oid source);
static void pause_between_attempts(void);
static List *lacking_truncate(const OutboxContractConfig *config, Oid source);
static void drop_trigger(const OutboxContractConfig *config, Oid source, Oid table, const char *prefix);
static void create_trigger(Oid source, const char *name, const char *events, const char *rest);
static void execute_as_caller(const char *command);
static char *qualified_name(Oid relation);

void
OutboxCreateTriggers(const OutboxContractConfig *config)
{
	ListCell   *lc;

	foreach(lc, config->sources)
		create_triggers(config, ((OutboxSourceConfig *) lfirst(lc))->relation);
}

static void
create_triggers(const OutboxContractConfig *config, Oid source)
{
	char	   *row = psprintf(OUTBOX_TRIGGER_PREFIX "%s", config->name);
	ListCell   *lc;

	if (OidIsValid(get_trigger_oid(source, row, true)) && lacking_truncate(config, source) == NIL)
		return;
	OutboxLockInAttempts(source, NIL, ShareRowExclusiveLock);
	create_trigger(source, row, "INSERT OR UPDATE OR DELETE", "FOR EACH ROW EXECUTE FUNCTION outbox.capture()");
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
	ListCell   *lc;

	foreach(lc, config->sources)
	{
		Oid			source = ((OutboxSourceConfig *) lfirst(lc))->relation;

		if (get_rel_relkind(source) != '\0')
			drop_triggers(config, source);
	}
}

static void
drop_triggers(const OutboxContractConfig *config, Oid source)
{
	ListCell   *lc;

	drop_trigger(config, source, source, OUTBOX_TRIGGER_PREFIX);
	foreach(lc, OutboxSourceTables(source))
		drop_trigger(config, source, lfirst_oid(lc), OUTBOX_TRUNCATE_TRIGGER_PREFIX);
}

static void
drop_trigger(const OutboxContractConfig *config, Oid source, Oid table, const char *prefix)
{
	char	   *name = psprintf("%s%s", prefix, config->name);

	if (!OidIsValid(get_trigger_oid(table, name, true)))
		return;
	OutboxLockInAttempts(source, NIL, AccessExclusiveLock);
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
OutboxLockInAttempts(Oid relation, const List *others, LOCKMODE mode)
{
	Oid			busy = InvalidOid;

	for (int attempt = 1; attempt <= LOCK_ATTEMPTS; attempt++)
	{
		busy = try_lock(relation, others, mode);
		if (!OidIsValid(busy))
			return;
		if (attempt < LOCK_ATTEMPTS)
			pause_between_attempts();
	}
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("could not lock \"%s\"", get_rel_name(busy)),
			 errdetail("%d attempts of up to %s each found it in use.", LOCK_ATTEMPTS, LOCK_TIMEOUT),
			 errhint("Long transactions on it stand in pg_locks (relation = '%s'::regclass); try again when they are over.",
					 qualified_name(busy))));
}

/* Waits at most LOCK_TIMEOUT. Keeps all locks or none; returns the relation whose lock was not to be had. */
static Oid
try_lock(Oid relation, const List *others, LOCKMODE mode)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile Oid busy = relation;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		busy = lock_all(relation, others, mode);
		if (OidIsValid(busy))
			RollbackAndReleaseCurrentSubTransaction();
		else
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

static Oid
lock_all(Oid relation, const List *others, LOCKMODE mode)
{
	int			nest_level = NewGUCNestLevel();
	ListCell   *lc;

	(void) set_config_option("lock_timeout", LOCK_TIMEOUT, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	LockRelationOid(relation, mode);
	/* PostgreSQL locks the partitions as well, and would wait for each for as long as it takes */
	if (get_rel_relkind(relation) == RELKIND_PARTITIONED_TABLE)
		(void) find_all_inheritors(relation, mode, NULL);
	AtEOXact_GUC(true, nest_level);
	foreach(lc, others)
	{
		if (!ConditionalLockRelationOid(lfirst_oid(lc), mode))
			return lfirst_oid(lc);
	}
	return InvalidOid;
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
