/*-------------------------------------------------------------------------
 *
 * evaluation.c
 *	  The one way in and out for whatever is parsed, planned, folded or run for
 *	  a contract.
 *
 * Code behind a contract runs in the session of whoever writes to its source,
 * who does not know it. It must get neither his rights nor his settings, and
 * leave nothing behind: it runs as the view's owner in a security-restricted
 * operation, under settings of ours, on a nest level of settings that is
 * rolled back. Whoever plans it is in the same danger: constants are folded and
 * literals of types are read while a text is parsed and planned.
 *
 * The server puts user and settings back when a (sub)transaction aborts. What
 * it does not know of is kept here on a stack and put back by a callback of the
 * abort.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "contract/environment/environment_private.h"

/* The traits that make it necessary to do anything at all. */
#define OUTBOX_ENTERS (OUTBOX_READS_ALL | OUTBOX_SPEAKS | OUTBOX_FOREIGN)

/* The session as it was when an evaluation was entered. */
typedef struct Session
{
	int transaction_level;
	const char *statement;
	int guc_nest_level; /* opened since: whatever is set goes on top of our values */
	OutboxDirectSettings settings;
	bool foreign;  /* that evaluation, or one around it */
	bool commands; /* and all of these run commands of ours */
	int portals;   /* a mark of portals.c; -1: none */
	bool watched;  /* calls of PL/pgSQL are, instead of by: */
	void *plugin;
} Session;

static Session *stack = NULL; /* in TopMemoryContext */
static int depth = 0;
static int capacity = 0;

static void push(OutboxTraits traits);
static bool is_strict(OutboxTraits traits);
static void pop(void);
static void pop_aborted(int transaction_level);
static void on_transaction(XactEvent event, void *arg);
static void on_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg);

/* from _PG_init */
void
OutboxEvaluationInit(void)
{
	RegisterXactCallback(on_transaction, NULL);
	RegisterSubXactCallback(on_subtransaction, NULL);
	OutboxRefuseInit();
	OutboxDefinerInit();
	OutboxRefuseOperatorsInit();
}

/*
 * Enters evaluation for what has these traits: nothing to do for PostgreSQL's
 * own functions that read no setting; what they can read is pinned for others;
 * and for everything else all settings are pinned, the statement and the functions around it are hidden, the
 * session's cursors are out of reach (portals.c), and what could not be taken
 * back is refused (evaluation_refuse.c).
 * Anything runs as `owner`, in a security-restricted operation, and says
 * nothing to the client but errors.
 *
 * An error in between is undone by the abort of the (sub)transaction: whoever
 * catches it rolls one back (util/catch.h), as everywhere.
 */
void
OutboxEvaluationBegin(OutboxEvaluation *evaluation, Oid owner, OutboxTraits traits)
{
	bool foreign = (traits & OUTBOX_FOREIGN) != 0;

	evaluation->entered = (traits & OUTBOX_ENTERS) != 0;
	if (!evaluation->entered)
		return;
	/* it may read anything */
	if (foreign)
		traits |= OUTBOX_ANYTHING;
	push(traits);
	evaluation->error_context = error_context_stack;
	GetUserIdAndSecContext(&evaluation->user, &evaluation->sec_context);
	SetUserIdAndSecContext(owner, evaluation->sec_context | SECURITY_RESTRICTED_OPERATION);
	if (foreign)
	{
		debug_query_string = NULL;
		error_context_stack = NULL; /* what PG_CONTEXT shows: the functions and statements of the writer */
		stack[depth - 1].portals = OutboxFreezePortals();
		stack[depth - 1].plugin = OutboxWatchPlpgsql();
		stack[depth - 1].watched = true;
	}
	OutboxPinSettings(traits);
}

void
OutboxEvaluationEnd(const OutboxEvaluation *evaluation)
{
	if (!evaluation->entered)
		return;
	if (stack[depth - 1].portals >= 0)
		OutboxDropNewPortals(stack[depth - 1].portals);
	SetUserIdAndSecContext(evaluation->user, evaluation->sec_context);
	error_context_stack = evaluation->error_context; /* whoever catches an error puts back what he had */
	pop();
}

/*
 * How many evaluations that were entered have not ended: functions behind a view may write to sources of contracts.
 */
int
OutboxEvaluationDepth(void)
{
	return depth;
}

/* Is code running now that is not PostgreSQL's own and not ours? */
bool
OutboxEvaluatesForeignCode(void)
{
	return depth > 0 && stack[depth - 1].foreign;
}

/* And is that nothing but what a command of ours runs (OUTBOX_COMMANDS)? */
bool
OutboxRunsCommands(void)
{
	return depth > 0 && stack[depth - 1].commands;
}

static void
push(OutboxTraits traits)
{
	if (depth == capacity)
	{
		int room = Max(8, 2 * capacity);

		stack = stack ? repalloc(stack, sizeof(Session) * room) : MemoryContextAlloc(TopMemoryContext, sizeof(Session) * room);
		capacity = room;
	}
	stack[depth] = (Session){
		.transaction_level = GetCurrentTransactionNestLevel(),
		.statement = debug_query_string,
		.foreign = (traits & OUTBOX_FOREIGN) || OutboxEvaluatesForeignCode(),
		.portals = -1,
		.commands = OutboxEvaluatesForeignCode() ? OutboxRunsCommands() && !is_strict(traits) : (traits & OUTBOX_COMMANDS) != 0,
	};
	OutboxPinDirectSettings(traits, &stack[depth].settings);
	/*
	 * Always, whatever the code is taken for: on a level of its own the server saves our value and puts it back. Without
	 * one it would keep ours for after the transaction, or free a string that is none of its own.
	 */
	stack[depth].guc_nest_level = NewGUCNestLevel();
	depth++;
}

/* Whatever such code evaluates itself, it may execute no command there. */
static bool
is_strict(OutboxTraits traits)
{
	return (traits & OUTBOX_FOREIGN) && !(traits & OUTBOX_COMMANDS);
}

static void
pop(void)
{
	Session *session = &stack[--depth];

	/* after this whatever code did to the settings below is what it found there */
	AtEOXact_GUC(false, session->guc_nest_level);
	if (session->watched)
		OutboxUnwatchPlpgsql(session->plugin);
	if (session->portals >= 0)
		OutboxThawPortals(session->portals);
	OutboxRestoreDirectSettings(&session->settings);
	debug_query_string = session->statement;
}

/* Evaluations that an error has left. */
static void
pop_aborted(int transaction_level)
{
	while (depth > 0 && stack[depth - 1].transaction_level >= transaction_level)
		pop();
}

static void
on_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT)
		pop_aborted(0);
}

static void
on_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		pop_aborted(GetCurrentTransactionNestLevel());
}
