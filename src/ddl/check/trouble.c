/*-------------------------------------------------------------------------
 *
 * trouble.c
 *	  What the check could not do, and what it only tells.
 *
 * Our own trouble never stops a migration, and the client sees nothing of it. It
 * goes to the server's log, to outbox.ddl_check_log, and into a gap, by which
 * outbox.status says who has to look.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "ddl/check/check_private.h"
#include "letters/letters.h"

/* A row of outbox.ddl_check_log. */
typedef struct Entry
{
	const char *command;
	const char *contract; /* or NULL */
	const char *what;
} Entry;

/* In TopTransactionContext. */
static List *entries = NIL;

typedef struct Mark
{
	const OutboxWatchedContract *watched;
	const char *why;
} Mark;

static void keep(const char *command, const char *contract, const char *what);
static void insert_step(void *arg);
static void mark_step(void *arg);

/* Tells that nobody could look, at a contract or (NULL) at a command. Raises only what is not ours to swallow. */
void
OutboxTellTrouble(const char *command, const char *contract, const ErrorData *error)
{
	ereport(LOG_SERVER_ONLY,
			(errcode(error->sqlerrcode),
			 errmsg("could not see what DDL does to contracts: %s", error->message),
			 errdetail("%s%s%s", command ? command : "DDL", contract ? " concerns contract " : ".", contract ? contract : ""),
			 errhint("outbox.validate() says which contracts do not work any more, and why.")));
	keep(command, contract, psprintf("not looked at: %s", error->message));
}

/* Tells what would be refused if outbox.ddl_check were "enforce". */
void
OutboxTellVerdict(const OutboxWatchedContract *watched, const ErrorData *verdict)
{
	ereport(LOG_SERVER_ONLY,
			(errcode(verdict->sqlerrcode),
			 errmsg("DDL breaks contract \"%s\": %s", watched->name, verdict->message),
			 verdict->detail ? errdetail("%s", verdict->detail) : 0,
			 verdict->hint ? errhint("%s", verdict->hint) : 0));
	keep(watched->command, watched->name, psprintf("not refused: %s", verdict->message));
}

/* Leaves a gap. The migration goes on; outbox.status says who has to look. */
void
OutboxMarkUnseen(const OutboxWatchedContract *watched, const char *why)
{
	Mark mark = {.watched = watched, .why = why};
	ErrorData *error = OutboxCheckBriefly(mark_step, &mark);

	if (error)
		OutboxTellTrouble(watched->command, watched->name, error);
}

static void
mark_step(void *arg)
{
	const Mark *mark = arg;
	const char *args[] = {mark->watched->name};
	bool pushed = OutboxEnsureSnapshot();

	/* one is enough to say that somebody has to look */
	if (OutboxExecute("SELECT '' FROM outbox_internal.gap WHERE contract = $1 AND reason = 'unseen' AND resolved_at IS NULL LIMIT 1", lengthof(args), args) == NULL)
		OutboxGapInsert(mark->watched->name, mark->watched->source, "unseen", mark->why);
	if (pushed)
		PopActiveSnapshot();
}

/*
 * The row is written at the end of the transaction. Before a command it would give the transaction a number, with which
 * DROP INDEX CONCURRENTLY, say, does not begin any more.
 */
static void
keep(const char *command, const char *contract, const char *what)
{
	MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
	Entry *entry = palloc(sizeof(Entry));

	entry->command = command;
	entry->contract = contract ? pstrdup(contract) : NULL;
	entry->what = pstrdup(what);
	entries = lappend(entries, entry);
	MemoryContextSwitchTo(caller);
}

/* Writes what was told in this transaction to outbox.ddl_check_log. Where that cannot be, the server's log has to do. */
void
OutboxKeepTroubles(void)
{
	ListCell *lc;

	foreach (lc, entries)
	{
		ErrorData *error = OutboxCheckBriefly(insert_step, lfirst(lc));

		if (error == NULL)
			continue;
		ereport(LOG_SERVER_ONLY,
				(errcode(error->sqlerrcode),
				 errmsg("could not write to outbox.ddl_check_log: %s", error->message)));
	}
	entries = NIL;
}

/* The transaction has ended, and its memory with it. */
void
OutboxForgetTroubles(void)
{
	entries = NIL;
}

static void
insert_step(void *arg)
{
	const Entry *entry = arg;
	bool pushed = OutboxEnsureSnapshot();

	OutboxDdlCheckLogInsert(entry->command, entry->contract, entry->what);
	if (pushed)
		PopActiveSnapshot();
}
