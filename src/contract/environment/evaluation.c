/*-------------------------------------------------------------------------
 *
 * evaluation.c
 *	  The one way in and out for code that is parsed, planned or run for a
 *	  contract.
 *
 * Code behind a contract runs in the sessions of all roles that write to its
 * source, and they do not know it. It must get neither a writer's rights nor his
 * settings, and must leave nothing behind. So it runs as the view's owner in a
 * security-restricted operation, under our settings, on a nest level of settings
 * that is rolled back. Planning is in the same danger: constants are folded and
 * literals of types are read while a text is parsed and planned.
 *
 * When a (sub)transaction aborts, the server restores user and settings. A stack
 * here has the rest, which a callback of the abort restores.
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

/* The traits for which there is anything to do. */
#define OUTBOX_ENTERS (OUTBOX_READS_ALL | OUTBOX_SPEAKS | OUTBOX_FOREIGN)

/* The session as it was when an evaluation was entered. */
typedef struct Session
{
	int transaction_level;
	const char *statement;
	int guc_nest_level; /* opened after our values were set: code sets its own on top of them */
	OutboxDirectSettings settings;
	bool foreign;  /* that evaluation, or one around it, runs code of users */
	bool commands; /* and all of these run commands of ours (OUTBOX_COMMANDS) */
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

/* Installs hooks and callbacks; called by _PG_init(). */
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
 * Enters the evaluation of code with these traits. For functions of PostgreSQL
 * that read no setting there is nothing to do. For functions of PostgreSQL that
 * read settings these are pinned. For all other code, all settings are pinned; the
 * statement and the functions around it are hidden; the session's cursors are out
 * of reach (portals.c); and actions that no rollback takes back are refused
 * (evaluation_refuse.c). Such code runs as `owner`, in a security-restricted
 * operation, and sends nothing but errors to the client.
 *
 * After an error the abort of the (sub)transaction leaves the evaluation: catch
 * errors with util/catch.c alone, which rolls a subtransaction back.
 */
void
OutboxEvaluationBegin(OutboxEvaluation *evaluation, Oid owner, OutboxTraits traits)
{
	bool foreign = (traits & OUTBOX_FOREIGN) != 0;

	evaluation->entered = (traits & OUTBOX_ENTERS) != 0;
	if (!evaluation->entered)
		return;
	/* code of users may read any setting */
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
	error_context_stack = evaluation->error_context; /* after an error PG_CATCH restores it */
	pop();
}

/* The number of nested evaluations: functions behind a view may write to sources of contracts. */
int
OutboxEvaluationDepth(void)
{
	return depth;
}

/* Is code of users running now, neither PostgreSQL's own nor ours? */
bool
OutboxEvaluatesForeignCode(void)
{
	return depth > 0 && stack[depth - 1].foreign;
}

/* Is the code that is running now run by commands of ours alone (OUTBOX_COMMANDS)? */
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

/* Do all evaluations around this one run commands of ours? Code that these run may execute no commands in its own evaluations. */
static bool
is_strict(OutboxTraits traits)
{
	return (traits & OUTBOX_FOREIGN) && !(traits & OUTBOX_COMMANDS);
}

static void
pop(void)
{
	Session *session = &stack[--depth];

	/* this undoes all changes of settings by the code, so the ones below have our values again */
	AtEOXact_GUC(false, session->guc_nest_level);
	if (session->watched)
		OutboxUnwatchPlpgsql(session->plugin);
	if (session->portals >= 0)
		OutboxThawPortals(session->portals);
	OutboxRestoreDirectSettings(&session->settings);
	debug_query_string = session->statement;
}

/* A callback of aborts: leaves the evaluations that an error has ended. */
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
