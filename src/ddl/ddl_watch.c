/*-------------------------------------------------------------------------
 *
 * ddl_watch.c
 *	  What DDL on a source does to live contracts, judged when it is committed.
 *
 * Columns that swap their names, an index or a NOT NULL of the key that goes: the
 * view follows the columns by number, and two rows may have one key from then on,
 * silently. The migration that does it fails, in its own COMMIT; by then it may
 * have put things right again, so only the result counts. What makes dead letters
 * is not silent, and no reason to refuse anything.
 *
 * An event trigger notes before the command which contracts the table is a
 * source of, and whether their keys are proven: a key that was not proven before
 * is no reason either. What is noted is looked at before the transaction
 * commits or is prepared. It needs no undo at ROLLBACK TO: looking again is
 * harmless. Another kind of object (a view, a type) would be one more case in
 * concerned_tables(), and one more judgement in judge_contracts().
 *
 * Fails open: trouble of ours that is no verdict goes to the log. A key that nobody could look at then is not
 * looked at by capture either, so it leaves a gap, "unseen": status says who has to look, and enable() looks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
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
#include "contract/prove/prove.h"
#include "contract/view/view.h"
#include "ddl/ddl_private.h"
#include "letters/letters.h"
#include "util/util.h"

PG_FUNCTION_INFO_V1(outbox_source_changes);

/* What a look at a contract's key finds. */
typedef enum Finding
{
	PROVEN,
	NOT_PROVEN,
	BROKEN,  /* changes become dead letters, which say why; or nothing is captured */
	NOT_SEEN /* a lock, memory or other resource was not to be had */
} Finding;

/* A contract of which a source is changed by this transaction. */
typedef struct WatchedContract
{
	int32 id;
	char *name;
	Oid source;
	Finding before; /* the first such command */
} WatchedContract;

/* One look at a contract. */
typedef struct Look
{
	const char *name;
	OutboxContractConfig *config; /* NULL: there is none to be judged */
	ErrorData *verdict;           /* why its key is not proven, or was not seen; NULL: it is */
} Look;

/* A gap to be made. */
typedef struct Mark
{
	const WatchedContract *watched;
	const char *reason;
} Mark;

/* In TopTransactionContext; NIL, and false, between transactions. */
static List *contracts = NIL;
static bool overlooked = false; /* which contracts a command concerns is not known */

static void note_step(void *arg);
static List *concerned_tables(Node *parsetree, bool *renames);
static bool only_partitions(const AlterTableStmt *stmt);
static void note_table(Oid table, bool renames);
static void note_contract(const char *name, Oid source);
static Finding look_at(Look *look);
static void look_step(void *arg);
static void prove_step(void *arg);
static void at_transaction_end(XactEvent event, void *arg);
static void judge_contracts(void);
static void judge(const WatchedContract *watched);
static void judge_all(void *arg);
static void mark_unseen(const WatchedContract *watched, const ErrorData *reason);
static void mark_step(void *arg);
static char *key_columns(const OutboxContractConfig *config);
static char *source_name(const OutboxContractConfig *config);
static void log_trouble(const ErrorData *error);
OUTBOX_NORETURN static void refuse(const OutboxContractConfig *config, const ErrorData *error);

/* outbox_internal.source_changes(): ON ddl_command_start. */
Datum
outbox_source_changes(PG_FUNCTION_ARGS)
{
	static bool registered = false;
	ErrorData *error;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("outbox_internal.source_changes() was not called as its event trigger")));
	if (!registered)
		RegisterXactCallback(at_transaction_end, NULL);
	registered = true;
	error = OutboxRunGuarded(note_step, ((EventTriggerData *) fcinfo->context)->parsetree, CurrentMemoryContext);
	if (error)
	{
		log_trouble(error);
		overlooked = true;
	}
	PG_RETURN_NULL();
}

static void
note_step(void *arg)
{
	bool renames = false;
	ListCell *lc;

	foreach (lc, concerned_tables(arg, &renames))
		note_table(lfirst_oid(lc), renames);
}

/* The tables whose definition the command changes, if that can matter. */
static List *
concerned_tables(Node *parsetree, bool *renames)
{
	RangeVar *name = NULL;
	List *tables = NIL;
	ListCell *lc;

	switch (nodeTag(parsetree))
	{
		case T_AlterTableStmt:
			/* partitions that come and go have watchers of their own */
			if (!only_partitions((AlterTableStmt *) parsetree))
				name = ((AlterTableStmt *) parsetree)->relation;
			break;
		case T_RenameStmt:
			*renames = ((RenameStmt *) parsetree)->renameType == OBJECT_TABLE;
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
		const char *args[] = {psprintf("%u", lfirst_oid(lc))};
		List *names = OutboxExecuteRows("SELECT c.name FROM outbox_internal.contract c JOIN outbox_internal.source s ON s.contract_id = c.id"
										" WHERE c.enabled AND s.relation = $1::oid",
										lengthof(args), args);
		ListCell *name;

		foreach (name, names)
			note_contract(((char **) lfirst(name))[0], lfirst_oid(lc));
	}
	if (renames && list_member_oid(sources, table))
		OutboxNoteRenamedSource(table);
}

static void
note_contract(const char *name, Oid source)
{
	Look look = {.name = name};
	WatchedContract *watched;
	MemoryContext caller;
	Finding before;
	ListCell *lc;

	foreach (lc, contracts)
	{
		if (strcmp(((WatchedContract *) lfirst(lc))->name, name) == 0)
			return;
	}
	before = look_at(&look);
	if (before == BROKEN)
		return;
	caller = MemoryContextSwitchTo(TopTransactionContext);
	watched = palloc(sizeof(WatchedContract));
	watched->id = look.config ? look.config->id : 0;
	watched->name = pstrdup(name);
	watched->source = source;
	watched->before = before;
	contracts = lappend(contracts, watched);
	MemoryContextSwitchTo(caller);
}

/* Is the contract's key proven? Only a live contract is judged. */
static Finding
look_at(Look *look)
{
	ErrorData *error = OutboxRunGuarded(look_step, look, CurrentMemoryContext);

	if (error)
		look->verdict = error;
	else if (look->config == NULL)
		return BROKEN;
	else if (look->verdict == NULL)
		return PROVEN;
	else if (look->verdict->sqlerrcode == ERRCODE_INVALID_TABLE_DEFINITION)
		return NOT_PROVEN;
	else if (look->verdict->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE && !OutboxIsShortage(look->verdict))
		return BROKEN;
	log_trouble(look->verdict);
	return NOT_SEEN;
}

static void
look_step(void *arg)
{
	Look *look = arg;
	OutboxContractConfig *config = OutboxContractLoad(look->name);
	bool push = !ActiveSnapshotSet();

	look->config = NULL;
	if (config == NULL || !config->enabled || config->detached ||
		get_rel_relkind(config->view) == '\0' || get_rel_relkind(config->root) == '\0')
		return;
	look->config = config;
	if (push)
		PushActiveSnapshot(GetTransactionSnapshot());
	look->verdict = OutboxRunGuarded(prove_step, config, CurrentMemoryContext);
	if (push)
		PopActiveSnapshot();
}

static void
prove_step(void *arg)
{
	OutboxProveContractKey(arg);
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
			if (contracts || overlooked || OutboxHasRenamedSources())
				CommandCounterIncrement();
			judge_contracts();
			error = OutboxHasRenamedSources() ? OutboxRunGuarded(OutboxJudgeRenamedSources, NULL, CurrentMemoryContext) : NULL;
			if (error)
				log_trouble(error);
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			contracts = NIL;
			overlooked = false;
			OutboxForgetRenamedSources();
			break;
		default:
			break;
	}
}

static void
judge_contracts(void)
{
	ErrorData *error;
	ListCell *lc;

	foreach (lc, contracts)
		judge(lfirst(lc));
	if (!overlooked)
		return;
	error = OutboxRunGuarded(judge_all, NULL, CurrentMemoryContext);
	if (error)
		log_trouble(error);
}

/* What was not proven before is not refused, nor is it told where nobody saw whether it was. */
static void
judge(const WatchedContract *watched)
{
	Look look = {.name = watched->name};
	Finding after;

	if (watched->before == NOT_PROVEN)
		return;
	after = look_at(&look);
	if (look.config && watched->id != 0 && look.config->id != watched->id)
		return;
	if (after == NOT_PROVEN && watched->before == PROVEN)
		refuse(look.config, look.verdict);
	if (after == NOT_PROVEN || after == NOT_SEEN)
		mark_unseen(watched, look.verdict);
}

/* An OutboxGuardedStep. */
static void
judge_all(void *arg)
{
	List *names;
	ListCell *lc;

	PushActiveSnapshot(GetTransactionSnapshot());
	names = OutboxExecuteRows("SELECT c.name, s.relation::oid FROM outbox_internal.contract c JOIN outbox_internal.source s ON s.contract_id = c.id"
							  " WHERE c.enabled AND s.role = 'root'",
							  0, NULL);
	PopActiveSnapshot();
	foreach (lc, names)
	{
		char **row = lfirst(lc);
		WatchedContract watched = {.name = row[0], .source = atooid(row[1]), .before = NOT_SEEN};

		judge(&watched);
	}
}

/* The migration goes on; status tells somebody to look. */
static void
mark_unseen(const WatchedContract *watched, const ErrorData *reason)
{
	Mark mark = {.watched = watched, .reason = reason->message};
	ErrorData *error = OutboxRunGuarded(mark_step, &mark, CurrentMemoryContext);

	if (error)
		log_trouble(error);
}

static void
mark_step(void *arg)
{
	const Mark *mark = arg;

	PushActiveSnapshot(GetTransactionSnapshot());
	OutboxGapInsert(mark->watched->name, mark->watched->source, "unseen", mark->reason);
	PopActiveSnapshot();
}

static void
log_trouble(const ErrorData *error)
{
	ereport(LOG_SERVER_ONLY,
			(errcode(error->sqlerrcode),
			 errmsg("could not see what DDL does to contracts: %s", error->message),
			 errhint("outbox.validate() says which contracts do not work any more, and why.")));
}

static void
refuse(const OutboxContractConfig *config, const ErrorData *error)
{
	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("contract \"%s\" would give two rows one key: %s", config->name, error->message),
			 error->detail ? errdetail("%s", error->detail) : 0,
			 errhint("Give %s a unique index over the columns behind (%s) as its view reads them, all NOT NULL, in this transaction. Or let the view step aside and create it as the change needs it: SELECT outbox.detach('%s'), the change, the view, SELECT outbox.reattach('%s'). Or switch the contract off: SELECT outbox.disable('%s').",
					 source_name(config), key_columns(config), source_name(config), source_name(config), config->name)));
}

static char *
key_columns(const OutboxContractConfig *config)
{
	StringInfoData names;
	ListCell *lc;

	initStringInfo(&names);
	foreach (lc, config->key)
		appendStringInfo(&names, "%s%s", names.len ? ", " : "", (char *) lfirst(lc));
	return names.data;
}

static char *
source_name(const OutboxContractConfig *config)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(config->root)), get_rel_name(config->root));
}
