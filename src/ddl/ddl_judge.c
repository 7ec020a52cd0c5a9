/*-------------------------------------------------------------------------
 *
 * ddl_judge.c
 *	  Is the key of a live contract still proven after DDL on its source?
 *
 * Our own trouble that is no verdict goes to the log, and the migration goes on. A
 * key that nobody could look at leaves a gap, "unseen", because capture does not
 * look at keys either. outbox.status says who has to look, and enable() looks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/environment/environment.h"
#include "contract/prove/prove.h"
#include "ddl/ddl_private.h"
#include "letters/letters.h"
#include "util/util.h"

/* One look at a contract. */
typedef struct Look
{
	const char *name;
	OutboxContractConfig *config; /* NULL: there is no live contract to judge, or nobody could look */
	ErrorData *verdict;           /* why the key is not proven, or could not be seen; NULL: it is proven */
} Look;

/* A gap to be made. */
typedef struct Mark
{
	const OutboxWatchedContract *watched;
	const char *reason;
} Mark;

static OutboxKeyFinding look_at(Look *look);
static void look_step(void *arg);
static void mark_unseen(const OutboxWatchedContract *watched, const ErrorData *reason);
static void mark_step(void *arg);
OUTBOX_NORETURN static void refuse(const OutboxContractConfig *config, const ErrorData *error);
static char *key_columns(const OutboxContractConfig *config);

/*
 * Is the key of the contract of that name proven? *id is the contract's, or 0 when
 * nobody could look. Raises the errors that are not ours to swallow (guard.c).
 */
OutboxKeyFinding
OutboxLookAtKey(const char *name, int32 *id)
{
	Look look = {.name = name};
	OutboxKeyFinding finding = look_at(&look);

	*id = look.config ? look.config->id : 0;
	return finding;
}

/* Is the key of a contract proven? Only a live contract is judged. What prevents a look goes to the log. */
static OutboxKeyFinding
look_at(Look *look)
{
	ErrorData *error = OutboxRunGuarded(look_step, look, CurrentMemoryContext);

	if (error)
		look->verdict = error;
	else if (look->config == NULL)
		return OUTBOX_KEY_BROKEN;
	else if (look->verdict == NULL)
		return OUTBOX_KEY_PROVEN;
	else if (look->verdict->sqlerrcode == ERRCODE_INVALID_TABLE_DEFINITION)
		return OUTBOX_KEY_NOT_PROVEN;
	else if (look->verdict->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE && !OutboxIsShortage(look->verdict))
		return OUTBOX_KEY_BROKEN;
	OutboxLogDdlTrouble(look->verdict);
	return OUTBOX_KEY_NOT_SEEN;
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
	look->verdict = OutboxContractKeyFault(config, CurrentMemoryContext);
	if (push)
		PopActiveSnapshot();
}

/*
 * Judges a contract at the end of the transaction. Raises when its key was proven
 * before and is not any more. Leaves a gap when nobody knows whether the key was
 * proven before, or whether it is. A key that was not proven before is no reason
 * for anything.
 */
void
OutboxJudgeContract(const OutboxWatchedContract *watched)
{
	Look look = {.name = watched->name};
	OutboxKeyFinding after;

	if (watched->before == OUTBOX_KEY_NOT_PROVEN || watched->before == OUTBOX_KEY_BROKEN)
		return;
	after = look_at(&look);
	if (look.config && watched->id != 0 && look.config->id != watched->id)
		return;
	if (after == OUTBOX_KEY_NOT_PROVEN && watched->before == OUTBOX_KEY_PROVEN)
		refuse(look.config, look.verdict);
	if (after == OUTBOX_KEY_NOT_PROVEN || after == OUTBOX_KEY_NOT_SEEN)
		mark_unseen(watched, look.verdict);
}

/* An OutboxGuardedStep: judges all enabled contracts when nobody knows which ones were concerned. May raise. */
void
OutboxJudgeAllContracts(void *arg)
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
		OutboxWatchedContract watched = {.name = row[0], .source = atooid(row[1]), .before = OUTBOX_KEY_NOT_SEEN};

		OutboxJudgeContract(&watched);
	}
}

/* Leaves a gap. The migration goes on; outbox.status says who has to look. */
static void
mark_unseen(const OutboxWatchedContract *watched, const ErrorData *reason)
{
	Mark mark = {.watched = watched, .reason = reason->message};
	ErrorData *error = OutboxRunGuarded(mark_step, &mark, CurrentMemoryContext);

	if (error)
		OutboxLogDdlTrouble(error);
}

static void
mark_step(void *arg)
{
	const Mark *mark = arg;

	const char *args[] = {mark->watched->name};

	PushActiveSnapshot(GetTransactionSnapshot());
	/* one is enough to say that somebody has to look */
	if (OutboxExecute("SELECT '' FROM outbox_internal.gap WHERE contract = $1 AND reason = 'unseen' AND resolved_at IS NULL LIMIT 1", lengthof(args), args) == NULL)
		OutboxGapInsert(mark->watched->name, mark->watched->source, "unseen", mark->reason);
	PopActiveSnapshot();
}

/* Writes our own trouble to the server's log. The client sees nothing of it. */
void
OutboxLogDdlTrouble(const ErrorData *error)
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
			 errhint("Give %s a unique index over the columns behind (%s) as its view reads them, all NOT NULL, in this transaction. Or let the view step aside and create it as the change needs it: SELECT outbox.detach('%s'), the change, the view, SELECT outbox.reattach('%s'). Or switch the contract off: SELECT outbox.disable('%s');",
					 OutboxQualifiedName(config->root), key_columns(config), OutboxQualifiedName(config->root), OutboxQualifiedName(config->root), config->name)));
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
