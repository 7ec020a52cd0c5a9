/*-------------------------------------------------------------------------
 *
 * source_trigger.c
 *	  The triggers that a contract has on its sources.
 *
 * Their locks are those of the application's tables, so they are asked for as
 * lock_attempts.c does it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "catalog/outbox_catalog.h"
#include "contract/lock_attempts.h"
#include "contract/partition.h"
#include "contract/source_trigger.h"

static void create_triggers(const OutboxContractConfig *config, Oid source);
static void drop_triggers(const OutboxContractConfig *config, Oid source);
static List *lacking_truncate(const OutboxContractConfig *config, Oid source);
static void drop_trigger(const OutboxContractConfig *config, Oid table, const char *prefix);
static bool has_any_trigger(const OutboxContractConfig *config, Oid source);
static void create_trigger(Oid source, const char *name, const char *events, const char *rest);
static void execute_as_caller(const char *command);
static char *qualified_name(Oid relation);

void
OutboxCreateTriggers(const OutboxContractConfig *config)
{
	List *lacking = NIL;
	ListCell *lc;

	foreach (lc, config->sources)
	{
		Oid source = ((OutboxSourceConfig *) lfirst(lc))->relation;

		if (!OutboxHasTriggers(config, source) || lacking_truncate(config, source))
			lacking = lappend_oid(lacking, source);
	}
	if (lacking == NIL)
		return;
	OutboxLockInAttempts(lacking, ShareRowExclusiveLock);
	foreach (lc, lacking)
		create_triggers(config, lfirst_oid(lc));
}

static void
create_triggers(const OutboxContractConfig *config, Oid source)
{
	ListCell *lc;

	create_trigger(source, psprintf(OUTBOX_TRIGGER_PREFIX "%s", config->name), "INSERT OR UPDATE OR DELETE",
				   "FOR EACH ROW EXECUTE FUNCTION outbox.capture()");
	foreach (lc, lacking_truncate(config, source))
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
	char *name = psprintf(OUTBOX_TRUNCATE_TRIGGER_PREFIX "%s", config->name);
	List *lacking = NIL;
	ListCell *lc;

	foreach (lc, OutboxSourceTables(source))
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
	List *tables = NIL;
	ListCell *lc;

	foreach (lc, config->sources)
	{
		Oid source = ((OutboxSourceConfig *) lfirst(lc))->relation;

		if (get_rel_relkind(source) != '\0' && has_any_trigger(config, source))
			tables = lappend_oid(tables, source);
	}
	if (tables == NIL)
		return;
	OutboxLockInAttempts(tables, AccessExclusiveLock);
	foreach (lc, tables)
		drop_triggers(config, lfirst_oid(lc));
}

static bool
has_any_trigger(const OutboxContractConfig *config, Oid source)
{
	char *name = psprintf(OUTBOX_TRUNCATE_TRIGGER_PREFIX "%s", config->name);
	ListCell *lc;

	foreach (lc, OutboxSourceTables(source))
	{
		if (OidIsValid(get_trigger_oid(lfirst_oid(lc), name, true)))
			return true;
	}
	return OutboxHasTriggers(config, source);
}

static void
drop_triggers(const OutboxContractConfig *config, Oid source)
{
	ListCell *lc;

	drop_trigger(config, source, OUTBOX_TRIGGER_PREFIX);
	foreach (lc, OutboxSourceTables(source))
		drop_trigger(config, lfirst_oid(lc), OUTBOX_TRUNCATE_TRIGGER_PREFIX);
}

static void
drop_trigger(const OutboxContractConfig *config, Oid table, const char *prefix)
{
	char *name = psprintf("%s%s", prefix, config->name);

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

/* DDL on the source is the caller's, with the caller's rights. */
static void
execute_as_caller(const char *command)
{
	int rc;

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
