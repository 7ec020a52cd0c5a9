/*-------------------------------------------------------------------------
 *
 * ddl_watch.c
 *	  What DDL on a source does to live contracts, judged when it is committed.
 *
 * Columns may swap their names, and an index or a NOT NULL behind the key may go.
 * The view follows the columns by number. From then on two rows may silently have
 * one key. So the migration that does it fails, in its own COMMIT. By then it may
 * have put things right again, so only the result counts. A change that makes dead
 * letters is not silent, and no reason to refuse anything.
 *
 * An event trigger notes before the command which contracts have the table as a
 * source, and whether their keys are proven. A key that was not proven before is
 * no reason to refuse either. ddl_judge.c looks at the noted contracts again before
 * the transaction commits or is prepared. ROLLBACK TO needs no undo: looking again
 * is harmless. A contract that another session enables while the command waits for
 * its lock is found then, by the tables that the commands named. Another kind of object (a view, a type) would be one more case in
 * concerned_tables(), and one more judgement in judge_contracts().
 *
 * A source may get another name, too. A table that takes its place is written to
 * from then on, and nobody captures it. That leaves a gap. It is no harm when
 * nobody has the former name, or the source has it again.
 *
 * Our own trouble never stops a migration: it goes to the server's log.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "commands/event_trigger.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/environment/environment.h"
#include "contract/view/view.h"
#include "ddl/ddl_private.h"
#include "letters/letters.h"
#include "util/util.h"

PG_FUNCTION_INFO_V1(outbox_source_changes);

/* A source that this transaction gives another name or schema, and its name before. */
typedef struct RenamedSource
{
	Oid relation;
	char *schema;
	char *name;
} RenamedSource;

/* The lists are in TopTransactionContext; between transactions they are NIL, and the flag is false. */
static List *contracts = NIL;   /* of OutboxWatchedContract * */
static List *renamed = NIL;     /* of RenamedSource * */
static List *tables = NIL;      /* oids: of all tables that a command names */
static bool overlooked = false; /* it is not known which contracts a command concerns */

static void note_step(void *arg);
static List *concerned_tables(Node *parsetree, bool *renames);
static bool may_drop_indexes(Node *parsetree);
static bool only_partitions(const AlterTableStmt *stmt);
static void note_table(Oid table, bool renames);
static void note_contract(const char *name, Oid source);
static OutboxWatchedContract *watched_contract(const char *name);
static void watch(const OutboxWatchedContract *watched);
static void note_enabled_meanwhile(void *arg);
static void expect_end(void);
static void at_transaction_end(XactEvent event, void *arg);
static void judge_contracts(void);
static void note_renamed(Oid table);
static void judge_renamed(void *arg);
static Oid relation_named(const RenamedSource *source);
static List *enabled_contracts(Oid source);

/* outbox_internal.source_changes(): ON ddl_command_start. */
Datum
outbox_source_changes(PG_FUNCTION_ARGS)
{
	ErrorData *error;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("outbox_internal.source_changes() was not called as its event trigger")));
	expect_end();
	error = OutboxRunGuarded(note_step, ((EventTriggerData *) fcinfo->context)->parsetree, CurrentMemoryContext);
	if (error)
	{
		OutboxLogDdlTrouble(error);
		overlooked = true;
	}
	PG_RETURN_NULL();
}

static void
note_step(void *arg)
{
	bool renames = false;
	ListCell *lc;

	foreach (lc, may_drop_indexes(arg) ? OutboxAllSources() : concerned_tables(arg, &renames))
	{
		Oid table = lfirst_oid(lc);
		MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);

		tables = OidIsValid(table) ? list_append_unique_oid(tables, table) : tables;
		MemoryContextSwitchTo(caller);
		note_table(table, renames);
	}
}

/* An index goes with its operator class or its collation, say, when those are dropped with CASCADE. */
static bool
may_drop_indexes(Node *parsetree)
{
	if (IsA(parsetree, DropOwnedStmt))
		return ((DropOwnedStmt *) parsetree)->behavior == DROP_CASCADE;
	return IsA(parsetree, DropStmt) && ((DropStmt *) parsetree)->removeType != OBJECT_INDEX &&
		((DropStmt *) parsetree)->behavior == DROP_CASCADE;
}

/* The tables whose definition the command changes, if that can matter. *renames: the command changes a name or schema. */
static List *
concerned_tables(Node *parsetree, bool *renames)
{
	RangeVar *name = NULL;
	List *tables = NIL;
	ListCell *lc;

	switch (nodeTag(parsetree))
	{
		case T_AlterTableStmt:
			/* partition_ddl.c watches partitions that come and go */
			if (!only_partitions((AlterTableStmt *) parsetree))
				name = ((AlterTableStmt *) parsetree)->relation;
			break;
		case T_RenameStmt:
			/* ALTER INDEX renames tables, too */
			*renames = ((RenameStmt *) parsetree)->renameType == OBJECT_TABLE || ((RenameStmt *) parsetree)->renameType == OBJECT_INDEX;
			name = ((RenameStmt *) parsetree)->relation;
			break;
		case T_AlterObjectSchemaStmt:
			*renames = true;
			name = ((AlterObjectSchemaStmt *) parsetree)->relation;
			break;
		case T_DropStmt:
			foreach (lc, ((DropStmt *) parsetree)->removeType == OBJECT_INDEX ? ((DropStmt *) parsetree)->objects : NIL)
			{
				Oid index = RangeVarGetRelid(makeRangeVarFromNameList(lfirst(lc)), NoLock, true);

				if (OidIsValid(index))
					tables = list_append_unique_oid(tables, IndexGetRelation(index, true));
			}
			break;
		default:
			break;
	}
	return name ? list_make1_oid(RangeVarGetRelid(name, NoLock, true)) : tables;
}

static bool
only_partitions(const AlterTableStmt *stmt)
{
	AlterTableType type = linitial_node(AlterTableCmd, stmt->cmds)->subtype;

	return type == AT_AttachPartition || type == AT_DetachPartition || type == AT_DetachPartitionFinalize;
}

static void
note_table(Oid table, bool renames)
{
	List *sources = NIL;
	ListCell *lc;

	foreach (lc, OidIsValid(table) ? OutboxAllSources() : NIL)
	{
		if (OutboxIsWithin(table, lfirst_oid(lc)))
			sources = list_append_unique_oid(sources, lfirst_oid(lc));
	}
	foreach (lc, sources)
	{
		ListCell *name;

		foreach (name, enabled_contracts(lfirst_oid(lc)))
			note_contract(((char **) lfirst(name))[0], lfirst_oid(lc));
	}
	if (renames && list_member_oid(sources, table))
		note_renamed(table);
}

/*
 * A key that was not proven is looked at again: the transaction, or the rollback to a savepoint, may have put right what was
 * missing.
 */
static void
note_contract(const char *name, Oid source)
{
	OutboxWatchedContract *known = watched_contract(name);
	OutboxWatchedContract watched = {.name = unconstify(char *, name), .source = source};

	if (known && known->before == OUTBOX_KEY_PROVEN)
		return;
	watched.before = OutboxLookAtKey(name, &watched.id);
	/* not live: the session that makes it live proves the key */
	if (watched.before == OUTBOX_KEY_BROKEN && watched.id == 0)
		return;
	if (known == NULL)
		watch(&watched);
	else if (watched.before == OUTBOX_KEY_PROVEN)
		known->before = OUTBOX_KEY_PROVEN;
}

static OutboxWatchedContract *
watched_contract(const char *name)
{
	ListCell *lc;

	foreach (lc, contracts)
	{
		if (strcmp(((OutboxWatchedContract *) lfirst(lc))->name, name) == 0)
			return lfirst(lc);
	}
	return NULL;
}

static void
watch(const OutboxWatchedContract *watched)
{
	MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
	OutboxWatchedContract *copy = palloc(sizeof(OutboxWatchedContract));

	*copy = *watched;
	copy->name = pstrdup(watched->name);
	contracts = lappend(contracts, copy);
	MemoryContextSwitchTo(caller);
}

/*
 * An OutboxGuardedStep: contracts that another session enabled since the commands. A command waited behind that session's
 * lock on the table. That session has proven the key, with what was dropped afterwards.
 */
static void
note_enabled_meanwhile(void *arg)
{
	ListCell *lc;

	/* mostly the tables are no sources, and a query is not worth it */
	foreach (lc, tables)
	{
		if (OutboxIsWithinAnySource(lfirst_oid(lc)))
			break;
	}
	if (lc == NULL)
		return;
	/* a REPEATABLE READ transaction has a snapshot of before */
	foreach (lc, OutboxReadRowsNow("SELECT c.name, s.relation::oid FROM outbox_internal.contract c JOIN outbox_internal.source s ON s.contract_id = c.id"
								   " WHERE c.enabled",
								   0, NULL))
	{
		char **row = lfirst(lc);
		OutboxWatchedContract watched = {.name = row[0], .source = atooid(row[1]), .before = OUTBOX_KEY_PROVEN};
		ListCell *table;

		foreach (table, watched_contract(row[0]) ? NIL : tables)
		{
			if (!OutboxIsWithin(lfirst_oid(table), watched.source))
				continue;
			watch(&watched);
			break;
		}
	}
}

/*
 * A partition came to a source of the contract. It is judged at the end of the transaction, when its index may have
 * followed. A key that is not proven then leaves a gap, "unseen", and no error: the command may be that of a nightly
 * job, and the writes after it need the partition.
 */
void
OutboxWatchPartition(const OutboxContractConfig *config)
{
	OutboxWatchedContract watched = {.id = config->id, .name = config->name, .source = config->root, .before = OUTBOX_KEY_NOT_SEEN};

	expect_end();
	if (watched_contract(config->name) == NULL)
		watch(&watched);
}

static void
expect_end(void)
{
	static bool registered = false;

	if (!registered)
		RegisterXactCallback(at_transaction_end, NULL);
	registered = true;
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	ErrorData *error;

	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			/* DROP INDEX CONCURRENTLY commits while its first step is not visible yet */
			if (contracts || tables || overlooked || renamed)
				CommandCounterIncrement();
			judge_contracts();
			error = renamed ? OutboxRunGuarded(judge_renamed, NULL, CurrentMemoryContext) : NULL;
			if (error)
				OutboxLogDdlTrouble(error);
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			contracts = NIL;
			tables = NIL;
			overlooked = false;
			renamed = NIL;
			break;
		default:
			break;
	}
}

static void
judge_contracts(void)
{
	/* where a command was overlooked, all contracts are judged below */
	ErrorData *error = tables && !overlooked ? OutboxRunGuarded(note_enabled_meanwhile, NULL, CurrentMemoryContext) : NULL;
	ListCell *lc;

	if (error)
		OutboxLogDdlTrouble(error);
	foreach (lc, contracts)
		OutboxJudgeContract(lfirst(lc));
	if (!overlooked)
		return;
	error = OutboxRunGuarded(OutboxJudgeAllContracts, NULL, CurrentMemoryContext);
	if (error)
		OutboxLogDdlTrouble(error);
}

/* Notes the name of a source before the command that changes its name or schema. */
static void
note_renamed(Oid table)
{
	MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
	RenamedSource *source = palloc(sizeof(RenamedSource));

	source->relation = table;
	source->schema = get_namespace_name(get_rel_namespace(table));
	source->name = get_rel_name(table);
	renamed = lappend(renamed, source);
	MemoryContextSwitchTo(caller);
}

/*
 * An OutboxGuardedStep: leaves a gap for each source whose former name now belongs
 * to another table. The application writes to that table, and nobody captures it.
 * At the end of the transaction; may raise.
 */
static void
judge_renamed(void *arg)
{
	ListCell *lc;

	PushActiveSnapshot(GetTransactionSnapshot());
	foreach (lc, renamed)
	{
		const RenamedSource *source = lfirst(lc);
		Oid other = relation_named(source);
		ListCell *row;

		if (!OidIsValid(other) || other == source->relation)
			continue;
		foreach (row, enabled_contracts(source->relation))
			OutboxGapInsert(((char **) lfirst(row))[0], source->relation, "swapped",
							quote_qualified_identifier(source->schema, source->name));
	}
	PopActiveSnapshot();
}

/* The table that has the source's former name now, or InvalidOid. */
static Oid
relation_named(const RenamedSource *source)
{
	Oid schema = get_namespace_oid(source->schema, true);
	Oid relation = OidIsValid(schema) ? get_relname_relid(source->name, schema) : InvalidOid;

	return OidIsValid(relation) && strchr("rpfv", get_rel_relkind(relation)) ? relation : InvalidOid;
}

/* The enabled contracts with this source: rows (name), as of OutboxExecuteRows(). */
static List *
enabled_contracts(Oid source)
{
	const char *args[] = {psprintf("%u", source)};

	return OutboxExecuteRows("SELECT c.name FROM outbox_internal.contract c JOIN outbox_internal.source s ON s.contract_id = c.id"
							 " WHERE c.enabled AND s.relation = $1::oid",
							 lengthof(args), args);
}
