/*-------------------------------------------------------------------------
 *
 * partition_ddl.c
 *	  Partitions of sources that come and go.
 *
 * Rows come and go with a partition that is attached, detached or dropped, and no
 * row trigger fires. Event triggers see these commands. They leave a gap, or refuse
 * the command where the contract says so. They also give a new partition the
 * TRUNCATE trigger, which PostgreSQL does not copy.
 *
 * The triggers run in every such command of the database, mostly for tables of
 * others. So the parse tree, or what is known of live contracts, tells whether there is
 * anything to do. Our own trouble goes to the server's log and does not stop the
 * command.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/event_trigger.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "catalog/outbox_catalog.h"
#include "contract/api/api.h"
#include "contract/environment/environment.h"
#include "contract/view/view.h"
#include "ddl/check/check.h"
#include "ddl/ddl_private.h"
#include "guc.h"
#include "letters/letters.h"
#include "util/util.h"

PG_FUNCTION_INFO_V1(outbox_partitions_changed);
PG_FUNCTION_INFO_V1(outbox_tables_dropped);

typedef struct Watch
{
	Node *parsetree;
	bool refused; /* the error is one that the contract asked for */
} Watch;

static void run_watch(OutboxGuardedStep step, Watch *watch);
static bool concerns_partitions(Node *parsetree);
static bool is_partition(const Node *create);
static void look_at_command(void *arg);
static void look_at_alter(Watch *watch, AlterTableStmt *stmt);
static void look_at_schema(Watch *watch, CreateSchemaStmt *stmt);
static void partition_came(Watch *watch, RangeVar *name, bool attached);
static void table_came(Watch *watch, const OutboxContractConfig *config, Oid table, bool attached);
static void partition_went(Watch *watch, RangeVar *name, RangeVar *parent_name);
static void table_went(Watch *watch, const OutboxContractConfig *config, Oid table);
static List *contracts_over(const List *tables);
static bool is_partitioned(Oid source);
static void look_at_drops(void *arg);
static void dropped(Watch *watch, const char *trigger, Oid table, const char *name);
static void report(Watch *watch, const OutboxContractConfig *config, Oid source, const char *reason, const char *table);
static List *select_texts(const char *query, int nargs, const OutboxArg *args);

/* outbox_internal.partitions_changed(): ON ddl_command_end. */
Datum
outbox_partitions_changed(PG_FUNCTION_ARGS)
{
	Watch watch = {0};

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("outbox_internal.partitions_changed() was not called as its event trigger")));
	watch.parsetree = ((EventTriggerData *) fcinfo->context)->parsetree;
	if (concerns_partitions(watch.parsetree))
		run_watch(look_at_command, &watch);
	PG_RETURN_NULL();
}

/* outbox_internal.tables_dropped(): ON sql_drop. */
Datum
outbox_tables_dropped(PG_FUNCTION_ARGS)
{
	Watch watch = {0};

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("outbox_internal.tables_dropped() was not called as its event trigger")));
	run_watch(look_at_drops, &watch);
	PG_RETURN_NULL();
}

static void
run_watch(OutboxGuardedStep step, Watch *watch)
{
	ErrorData *error = OutboxRunGuarded(step, watch, CurrentMemoryContext);

	if (error == NULL)
		return;
	if (watch->refused)
		ReThrowError(error);
	/* the extension was dropped while the command waited for one of our tables */
	if (!OidIsValid(OutboxExtensionOid(true)))
		return;
	ereport(LOG_SERVER_ONLY,
			(errcode(error->sqlerrcode),
			 errmsg("could not record a change of partitions: %s", error->message),
			 errhint("SELECT outbox.enable(...) of the contracts over the table creates missing triggers.")));
}

static bool
concerns_partitions(Node *parsetree)
{
	ListCell *lc;

	switch (nodeTag(parsetree))
	{
		case T_CreateStmt:
		case T_CreateForeignTableStmt:
			return is_partition(parsetree);
		case T_CreateSchemaStmt:
			return true;
		case T_AlterTableStmt:
			foreach (lc, ((AlterTableStmt *) parsetree)->cmds)
			{
				AlterTableType type = lfirst_node(AlterTableCmd, lc)->subtype;

				if (type == AT_AttachPartition || type == AT_DetachPartition || type == AT_DetachPartitionFinalize)
					return true;
			}
			return false;
		default:
			return false;
	}
}

static bool
is_partition(const Node *create)
{
	return (IsA(create, CreateStmt) || IsA(create, CreateForeignTableStmt)) &&
		((const CreateStmt *) create)->partbound != NULL;
}

static void
look_at_command(void *arg)
{
	Watch *watch = arg;

	if (IsA(watch->parsetree, AlterTableStmt))
		look_at_alter(watch, (AlterTableStmt *) watch->parsetree);
	else if (IsA(watch->parsetree, CreateSchemaStmt))
		look_at_schema(watch, (CreateSchemaStmt *) watch->parsetree);
	else
		partition_came(watch, ((CreateStmt *) watch->parsetree)->relation, false);
}

static void
look_at_alter(Watch *watch, AlterTableStmt *stmt)
{
	ListCell *lc;

	foreach (lc, stmt->cmds)
	{
		AlterTableCmd *command = lfirst_node(AlterTableCmd, lc);

		if (command->subtype == AT_AttachPartition)
			partition_came(watch, ((PartitionCmd *) command->def)->name, true);
		else if (command->subtype == AT_DetachPartition || command->subtype == AT_DetachPartitionFinalize)
			partition_went(watch, ((PartitionCmd *) command->def)->name, stmt->relation);
	}
}

static void
look_at_schema(Watch *watch, CreateSchemaStmt *stmt)
{
	char *schema = stmt->schemaname ? stmt->schemaname : get_rolespec_name(stmt->authrole);
	ListCell *lc;

	foreach (lc, stmt->schemaElts)
	{
		if (is_partition(lfirst(lc)))
			partition_came(watch, makeRangeVar(schema, ((CreateStmt *) lfirst(lc))->relation->relname, -1), false);
	}
}

/* A table became a partition, perhaps with partitions of its own. One that was not attached is new and has no rows. */
static void
partition_came(Watch *watch, RangeVar *name, bool attached)
{
	Oid partition = RangeVarGetRelid(name, NoLock, true);
	ListCell *lc;

	if (!OidIsValid(partition) || !get_rel_relispartition(partition))
		return;
	foreach (lc, contracts_over(get_partition_ancestors(partition)))
	{
		OutboxContractConfig *config = lfirst(lc);
		ListCell *table;

		if (config->enabled)
			OutboxWatchPartition(config);
		foreach (table, OutboxSourceTables(partition))
			table_came(watch, config, lfirst_oid(table), attached);
	}
}

static void
table_came(Watch *watch, const OutboxContractConfig *config, Oid table, bool attached)
{
	Oid user;
	int sec_context;

	if (attached && config->enabled && OutboxTableHasRows(table))
		report(watch, config, table, "partition", OutboxQualifiedName(table));
	/* the role that runs the command may have fewer rights than the owner */
	GetUserIdAndSecContext(&user, &sec_context);
	SetUserIdAndSecContext(OutboxRelationOwner(table), sec_context | SECURITY_LOCAL_USERID_CHANGE);
	OutboxCreateTruncateTrigger(config, table);
	SetUserIdAndSecContext(user, sec_context);
}

/* A table was detached. Its former parent comes from the command: the names of triggers prove nothing. */
static void
partition_went(Watch *watch, RangeVar *name, RangeVar *parent_name)
{
	Oid partition = RangeVarGetRelid(name, NoLock, true);
	Oid parent = RangeVarGetRelid(parent_name, NoLock, true);
	ListCell *lc;

	if (!OidIsValid(partition) || !OidIsValid(parent))
		return;
	foreach (lc, contracts_over(list_concat(list_make1_oid(parent), get_rel_relispartition(parent) ? get_partition_ancestors(parent) : NIL)))
	{
		OutboxContractConfig *config = lfirst(lc);
		ListCell *table;

		foreach (table, OutboxSourceTables(partition))
			table_went(watch, config, lfirst_oid(table));
	}
}

/* A table is no partition of the source any more. It loses its TRUNCATE trigger, too. */
static void
table_went(Watch *watch, const OutboxContractConfig *config, Oid table)
{
	if (OutboxIsWithinSource(config, table))
		return;
	if (config->enabled && OutboxTableHasRows(table))
		report(watch, config, table, "partition_detached", OutboxQualifiedName(table));
	OutboxRemoveTruncateTrigger(config, table);
}

/* The contracts that have one of these tables as a source. */
static List *
contracts_over(const List *tables)
{
	List *contracts = NIL;
	ListCell *lc;

	foreach (lc, tables)
	{
		List *names = select_texts("SELECT c.name FROM outbox_internal.contract c JOIN outbox_internal.source s ON s.contract_id = c.id"
								   " WHERE s.relation = $1",
								   OUTBOX_ARGS(OUTBOX_OID(lfirst_oid(lc))));
		ListCell *name;

		foreach (name, names)
		{
			OutboxContractConfig *config = OutboxContractLoad(lfirst(name));

			if (config && OutboxHasTriggers(config, lfirst_oid(lc)))
				contracts = lappend(contracts, config);
		}
	}
	return contracts;
}

static bool
is_partitioned(Oid source)
{
	return get_rel_relkind(source) == RELKIND_PARTITIONED_TABLE;
}

/*
 * An OutboxGuardedStep. Looks for tables that were dropped together with a TRUNCATE
 * trigger of ours. A partition that was detached before has none any more.
 */
static void
look_at_drops(void *arg)
{
	List *drops;
	ListCell *lc;

	/* this settles most drops, which are those of temporary tables */
	if (!OutboxAnyLiveSource(is_partitioned))
		return;
	drops = select_texts("SELECT t.address_names[3], r.objid::text, pg_catalog.format('%I.%I', r.schema_name, r.object_name)"
						 " FROM pg_catalog.pg_event_trigger_dropped_objects() t"
						 " JOIN pg_catalog.pg_event_trigger_dropped_objects() r ON r.classid = 'pg_catalog.pg_class'::pg_catalog.regclass"
						 " AND r.object_type = 'table' AND r.schema_name = t.address_names[1] AND r.object_name = t.address_names[2]"
						 " WHERE t.object_type = 'trigger' AND NOT t.original"
						 " AND pg_catalog.starts_with(t.address_names[3], '" OUTBOX_TRUNCATE_TRIGGER_PREFIX "')",
						 OUTBOX_NO_ARGS);
	for (lc = list_head(drops); lc != NULL; lc = lnext(drops, lc))
	{
		const char *trigger = lfirst(lc);
		const char *oid = lfirst(lc = lnext(drops, lc));

		dropped(arg, trigger, atooid(oid), lfirst(lc = lnext(drops, lc)));
	}
}

/* Reports a dropped table if it was a partition of a source of the contract, and that source is still there. */
static void
dropped(Watch *watch, const char *trigger, Oid table, const char *name)
{
	OutboxContractConfig *config = OutboxContractLoad(trigger + strlen(OUTBOX_TRUNCATE_TRIGGER_PREFIX));
	ListCell *lc;

	if (config == NULL || !config->enabled)
		return;
	foreach (lc, OutboxFormerAncestors(table))
	{
		if (OutboxContractSource(config, lfirst_oid(lc)) == NULL || get_rel_relkind(lfirst_oid(lc)) != RELKIND_PARTITIONED_TABLE)
			continue;
		report(watch, config, lfirst_oid(lc), "dropped", name);
		return;
	}
}

/* Leaves a gap, or refuses the command. */
static void
report(Watch *watch, const OutboxContractConfig *config, Oid source, const char *reason, const char *table)
{
	/* row triggers do nothing then, either */
	if (!outbox_capture || SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA)
		return;
	if (!config->reject_truncate)
	{
		OutboxGapInsert(config->name, source, reason, table);
		return;
	}
	watch->refused = true;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("contract \"%s\" does not let partition %s come or go with its rows", config->name, table),
			 errdetail("There would be no events for these rows."),
			 errhint("Insert or delete the rows instead. Or disable the contract first: SELECT outbox.disable('%s');", config->name)));
}

/* All columns of all rows in one list, in CurrentMemoryContext. Runs as the extension's owner. */
static List *
select_texts(const char *query, int nargs, const OutboxArg *args)
{
	MemoryContext caller = CurrentMemoryContext;
	List *texts = NIL;
	OutboxOwnerScope scope;
	OutboxRows rows;

	OutboxOwnerBegin(&scope);
	SPI_connect();
	rows = OutboxSelect(query, nargs, args);
	MemoryContextSwitchTo(caller);
	for (uint64 i = 0; i < rows.n; i++)
	{
		for (int column = 1; column <= rows.table->tupdesc->natts; column++)
			texts = lappend(texts, OutboxRowText(&rows, i, column));
	}
	SPI_finish();
	OutboxOwnerEnd(&scope);
	return texts;
}
