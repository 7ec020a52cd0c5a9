/*-------------------------------------------------------------------------
 *
 * source_trigger.c
 *	  The triggers that a contract has on its sources.
 *
 * Triggers need locks on tables of the application, which lock_attempts.c takes.
 *
 * A name proves nothing: the owner of a table may disable a trigger, replace it by
 * one that never fires, or give its name to another. A trigger counts as whole
 * only if it differs in nothing from the one that is created here. enable()
 * replaces any other one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "catalog/outbox_catalog.h"
#include "contract/api/api_private.h"
#include "contract/environment/environment.h"
#include "contract/view/view.h"
#include "util/util.h"

/* A kind of trigger: its name is the prefix and the contract's name. */
typedef struct TriggerKind
{
	const char *prefix;
	const char *function;
	const char *events;
	const char *level;
	int16 type; /* pg_trigger.tgtype */
} TriggerKind;

typedef enum TriggerState
{
	TRIGGER_MISSING,
	TRIGGER_FOREIGN, /* its function is not ours */
	TRIGGER_DIFFERS, /* ours, but it does not fire as it should */
	TRIGGER_WHOLE
} TriggerState;

static const TriggerKind row_trigger = {
	OUTBOX_TRIGGER_PREFIX, "capture", "INSERT OR UPDATE OR DELETE", "ROW",
	TRIGGER_TYPE_ROW | TRIGGER_TYPE_AFTER | TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE};
static const TriggerKind truncate_trigger = {
	OUTBOX_TRUNCATE_TRIGGER_PREFIX, "capture_truncate", "TRUNCATE", "STATEMENT",
	TRIGGER_TYPE_STATEMENT | TRIGGER_TYPE_AFTER | TRIGGER_TYPE_TRUNCATE};

static void create_and_hold(const OutboxContractConfig *config, List *held, LOCKMODE mode);
static bool lacks_triggers(const OutboxContractConfig *config, Oid source);
static bool must_drop(const OutboxContractConfig *config, Oid source);
static void create_triggers(const OutboxContractConfig *config, Oid source);
static void drop_triggers(const OutboxContractConfig *config, Oid source);
static List *lacking_truncate(const OutboxContractConfig *config, Oid source);
static void drop_trigger(const OutboxContractConfig *config, Oid table, const TriggerKind *kind);
static bool has_any_trigger(const OutboxContractConfig *config, Oid source);
static void create_trigger(const OutboxContractConfig *config, Oid table, const TriggerKind *kind);
static char *trigger_name(const OutboxContractConfig *config, const TriggerKind *kind);
static TriggerState trigger_state(const OutboxContractConfig *config, Oid table, const TriggerKind *kind, bool *is_constraint);
static bool is_whole(Relation triggers, HeapTuple tuple, const TriggerKind *kind);
static Oid trigger_function(const TriggerKind *kind);
static void execute_as_caller(const char *command);

/*
 * Creates the contract's triggers on its sources where they are missing, and
 * replaces those that do not fire as they should, with the caller's rights. Locks
 * such a source in SHARE ROW EXCLUSIVE; in ACCESS EXCLUSIVE where a constraint
 * trigger has the name. Waits several times for a short while, so that the
 * application does not queue behind us. Raises when a lock cannot be had.
 */
void
OutboxCreateTriggers(const OutboxContractConfig *config)
{
	create_and_hold(config, NIL, ShareUpdateExclusiveLock);
}

/*
 * The same for whoever switches capture on, before the key is proven. From then on until the transaction ends no other
 * one drops the index that proves it, or the NOT NULL: whoever does it after us knows that the contract is enabled, and
 * judges what it does (ddl/check/watch.c). SHARE UPDATE EXCLUSIVE, which no writer waits for, where no trigger is created.
 */
void
OutboxCreateTriggersToProve(const OutboxContractConfig *config)
{
	create_and_hold(config, list_make1_oid(config->root), ShareUpdateExclusiveLock);
}

/*
 * The same for whoever publishes a further version. It waits for all who are writing to a source, in SHARE ROW
 * EXCLUSIVE: nobody commits a change after us that the new version has no event of. A consumer may so move to it at
 * any moment after its first event.
 */
void
OutboxCreateTriggersAlone(const OutboxContractConfig *config)
{
	List *tables = NIL;
	ListCell *lc;

	foreach (lc, config->sources)
	{
		tables = list_append_unique_oid(tables, ((OutboxSourceConfig *) lfirst(lc))->relation);
		tables = list_concat_unique_oid(tables, OutboxSourceTables(((OutboxSourceConfig *) lfirst(lc))->relation));
	}
	create_and_hold(config, tables, ShareRowExclusiveLock);
}

static void
create_and_hold(const OutboxContractConfig *config, List *held, LOCKMODE mode)
{
	List *lacking = NIL;
	ListCell *lc;

	foreach (lc, config->sources)
	{
		Oid source = ((OutboxSourceConfig *) lfirst(lc))->relation;

		if (!lacks_triggers(config, source))
			continue;
		lacking = lappend_oid(lacking, source);
		mode = Max(mode, must_drop(config, source) ? AccessExclusiveLock : ShareRowExclusiveLock);
	}
	held = list_concat_unique_oid(held, lacking);
	if (held != NIL)
		OutboxLockInAttempts(held, mode);
	foreach (lc, lacking)
		create_triggers(config, lfirst_oid(lc));
}

/* Is a trigger missing or different, on the source or on a partition? There PostgreSQL's copy may have been disabled. */
static bool
lacks_triggers(const OutboxContractConfig *config, Oid source)
{
	ListCell *lc;

	if (trigger_state(config, source, &row_trigger, NULL) != TRIGGER_WHOLE || lacking_truncate(config, source))
		return true;
	foreach (lc, OutboxSourceTables(source))
	{
		if (trigger_state(config, lfirst_oid(lc), &row_trigger, NULL) != TRIGGER_WHOLE)
			return true;
	}
	return false;
}

/* Has a constraint trigger the name of one that must be created? It cannot be replaced, only dropped. */
static bool
must_drop(const OutboxContractConfig *config, Oid source)
{
	bool is_constraint;
	ListCell *lc;

	(void) trigger_state(config, source, &row_trigger, &is_constraint);
	foreach (lc, lacking_truncate(config, source))
	{
		bool one;

		(void) trigger_state(config, lfirst_oid(lc), &truncate_trigger, &one);
		is_constraint |= one;
	}
	return is_constraint;
}

static void
create_triggers(const OutboxContractConfig *config, Oid source)
{
	ListCell *lc;

	/* replacing the source's trigger replaces its copies on partitions, too */
	create_trigger(config, source, &row_trigger);
	foreach (lc, lacking_truncate(config, source))
		OutboxCreateTruncateTrigger(config, lfirst_oid(lc));
}

/* Has the source a trigger of ours that captures its rows, whole or not? Takes no lock. */
bool
OutboxHasTriggers(const OutboxContractConfig *config, Oid source)
{
	return trigger_state(config, source, &row_trigger, NULL) > TRIGGER_FOREIGN;
}

/* Creates the TRUNCATE trigger of one table of a source, with the caller's rights, unless there is a whole one. */
void
OutboxCreateTruncateTrigger(const OutboxContractConfig *config, Oid table)
{
	if (get_rel_relkind(table) == RELKIND_RELATION &&
		trigger_state(config, table, &truncate_trigger, NULL) != TRIGGER_WHOLE)
		create_trigger(config, table, &truncate_trigger);
}

/* The source's tables without a whole TRUNCATE trigger: statement triggers are not copied to partitions. */
static List *
lacking_truncate(const OutboxContractConfig *config, Oid source)
{
	List *lacking = NIL;
	ListCell *lc;

	foreach (lc, OutboxSourceTables(source))
	{
		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_RELATION &&
			trigger_state(config, lfirst_oid(lc), &truncate_trigger, NULL) != TRIGGER_WHOLE)
			lacking = lappend_oid(lacking, lfirst_oid(lc));
	}
	return lacking;
}

/*
 * Drops the contract's triggers on its sources, if they are ours. Locks the sources in ACCESS EXCLUSIVE, as
 * OutboxCreateTriggers() does. Raises when a lock cannot be had.
 */
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
	ListCell *lc;

	foreach (lc, OutboxSourceTables(source))
	{
		if (trigger_state(config, lfirst_oid(lc), &truncate_trigger, NULL) > TRIGGER_FOREIGN)
			return true;
	}
	return OutboxHasTriggers(config, source);
}

static void
drop_triggers(const OutboxContractConfig *config, Oid source)
{
	ListCell *lc;

	drop_trigger(config, source, &row_trigger);
	foreach (lc, OutboxSourceTables(source))
		drop_trigger(config, lfirst_oid(lc), &truncate_trigger);
}

static void
drop_trigger(const OutboxContractConfig *config, Oid table, const TriggerKind *kind)
{
	if (trigger_state(config, table, kind, NULL) > TRIGGER_FOREIGN)
		execute_as_caller(psprintf("DROP TRIGGER %s ON %s", quote_identifier(trigger_name(config, kind)), OutboxQualifiedName(table)));
}

/*
 * Drops the TRUNCATE trigger of a table that is not part of a source any more.
 * Needs no rights. The command that detached the table has it locked.
 */
void
OutboxRemoveTruncateTrigger(const OutboxContractConfig *config, Oid table)
{
	ObjectAddress trigger;

	if (get_rel_relkind(table) != RELKIND_RELATION || trigger_state(config, table, &truncate_trigger, NULL) <= TRIGGER_FOREIGN)
		return;
	ObjectAddressSet(trigger, TriggerRelationId, get_trigger_oid(table, trigger_name(config, &truncate_trigger), false));
	performDeletion(&trigger, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
}

/* Creates a trigger that depends on the extension: DROP EXTENSION then drops it, too. */
static void
create_trigger(const OutboxContractConfig *config, Oid table, const TriggerKind *kind)
{
	char *name = trigger_name(config, kind);
	ObjectAddress trigger;
	ObjectAddress extension;
	bool is_constraint;

	if (trigger_state(config, table, kind, &is_constraint) != TRIGGER_MISSING && is_constraint)
		execute_as_caller(psprintf("DROP TRIGGER %s ON %s", quote_identifier(name), OutboxQualifiedName(table)));
	execute_as_caller(psprintf("CREATE OR REPLACE TRIGGER %s AFTER %s ON %s FOR EACH %s EXECUTE FUNCTION %s.%s()",
							   quote_identifier(name), kind->events, OutboxQualifiedName(table), kind->level, OUTBOX_SCHEMA, kind->function));
	ObjectAddressSet(trigger, TriggerRelationId, get_trigger_oid(table, name, false));
	ObjectAddressSet(extension, ExtensionRelationId, OutboxExtensionOid(false));
	recordDependencyOn(&trigger, &extension, DEPENDENCY_AUTO_EXTENSION);
}

static char *
trigger_name(const OutboxContractConfig *config, const TriggerKind *kind)
{
	return psprintf("%s%s", kind->prefix, config->name);
}

/* The state of the trigger of that kind on a table. *is_constraint (may be NULL): it can only be dropped. */
static TriggerState
trigger_state(const OutboxContractConfig *config, Oid table, const TriggerKind *kind, bool *is_constraint)
{
	Relation triggers = table_open(TriggerRelationId, AccessShareLock);
	TriggerState state = TRIGGER_MISSING;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&keys[0], Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
	ScanKeyInit(&keys[1], Anum_pg_trigger_tgname, BTEqualStrategyNumber, F_NAMEEQ, CStringGetDatum(trigger_name(config, kind)));
	scan = systable_beginscan(triggers, TriggerRelidNameIndexId, true, NULL, 2, keys);
	tuple = systable_getnext(scan);
	if (is_constraint)
		*is_constraint = false;
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);

		if (form->tgfoid != trigger_function(kind))
			state = TRIGGER_FOREIGN;
		else
			state = is_whole(triggers, tuple, kind) ? TRIGGER_WHOLE : TRIGGER_DIFFERS;
		if (is_constraint)
			*is_constraint = OidIsValid(form->tgconstraint);
	}
	systable_endscan(scan);
	table_close(triggers, AccessShareLock);
	return state;
}

/* Does it fire for every change, with what the function expects? outbox.status asks the same of pg_trigger. */
static bool
is_whole(Relation triggers, HeapTuple tuple, const TriggerKind *kind)
{
	Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);

	return form->tgtype == kind->type && form->tgattr.dim1 == 0 && !OidIsValid(form->tgconstraint) &&
		heap_attisnull(tuple, Anum_pg_trigger_tgqual, RelationGetDescr(triggers)) &&
		(form->tgenabled == TRIGGER_FIRES_ON_ORIGIN || form->tgenabled == TRIGGER_FIRES_ALWAYS);
}

/* The oid of our trigger function of that name; raises when there is none. */
static Oid
trigger_function(const TriggerKind *kind)
{
	Oid function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(kind->function),
								   PointerGetDatum(buildoidvector(NULL, 0)), ObjectIdGetDatum(OutboxSchemaOid()));

	if (!OidIsValid(function))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function %s.%s() does not exist", OUTBOX_SCHEMA, kind->function)));
	return function;
}

/* Runs a command with the caller's rights: DDL on a source needs them. */
static void
execute_as_caller(const char *command)
{
	SPI_connect();
	(void) OutboxRun(command, OUTBOX_NO_ARGS);
	SPI_finish();
}
