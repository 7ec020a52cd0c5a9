/*-------------------------------------------------------------------------
 *
 * commit_guard.c
 *	  What keeps user-defined code in bounds while a transaction commits.
 *
 * Functions behind a contract's view run where PostgreSQL expects no
 * user-defined code any more: what they write escapes deferred constraints, a
 * foreign table's callback may already be over, temporary tables are about to
 * be emptied, and timeouts of the session stand still. So they read only, in a
 * subtransaction that is always rolled back, and against a timer of our own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/timeout.h"

#include "capture/transition/transition_private.h"
#include "compat.h"
#include "util/util.h"

static struct
{
	bool active;
	bool timer_running;
	bool read_only; /* XactReadOnly as we found it */
	int guc_nest_level;
	int patience;     /* milliseconds that a lock may be waited for while armed */
	int lock_timeout; /* LockTimeout as we found it, while armed */
	volatile sig_atomic_t armed;
	volatile sig_atomic_t expired;
	volatile sig_atomic_t cancel_sent; /* and not seen yet */
} guard;

typedef struct ArmedStep
{
	OutboxGuardedStep step;
	void *arg;
} ArmedStep;

static TimeoutId flush_timeout = MAX_TIMEOUTS; /* not registered yet */
static ExecutorCheckPerms_hook_type previous_hook = NULL;

static bool check_relations(OUTBOX_CHECK_PERMS_ARGS);
static void start_timer(int timeout_ms);
static void handle_timeout(void);
static void send_cancel(void);
static void run_armed(void *arg);

/* from _PG_init */
void
OutboxCommitGuardInit(void)
{
	previous_hook = ExecutorCheckPerms_hook;
	ExecutorCheckPerms_hook = check_relations;
}

/*
 * From here to OutboxCommitGuardEnd nothing may be written, foreign and temporary tables are
 * refused, settings are pinned, and a timer runs (timeout_ms 0: none) that
 * interrupts what runs between Arm and Disarm. There a lock is waited for lock_timeout_ms.
 * An error that leaves in between must call Forget on its way; the abort restores the settings.
 */
void
OutboxCommitGuardBegin(int timeout_ms, int lock_timeout_ms)
{
	memset(&guard, 0, sizeof(guard));
	guard.patience = lock_timeout_ms;
	guard.read_only = XactReadOnly;
	guard.guc_nest_level = NewGUCNestLevel();
	OutboxSetInScope("row_security", "on");
	OutboxSetInScope("max_parallel_workers_per_gather", "0");
	OutboxSetInScope("jit", "off"); /* compiling takes longer than a commit may */
	XactReadOnly = true;
	guard.active = true;
	if (timeout_ms > 0)
		start_timer(timeout_ms);
}

static void
start_timer(int timeout_ms)
{
	if (flush_timeout == MAX_TIMEOUTS)
		flush_timeout = RegisterTimeout(USER_TIMEOUT, handle_timeout);
	guard.timer_running = true;
	enable_timeout_after(flush_timeout, timeout_ms);
}

/* The timer begins anew; not while armed. */
void
OutboxCommitGuardRestart(int timeout_ms)
{
	if (!guard.timer_running)
		return;
	disable_timeout(flush_timeout, false);
	guard.expired = false;
	start_timer(timeout_ms);
}

/* The bounds end. Never raises. */
void
OutboxCommitGuardEnd(void)
{
	OutboxCommitGuardForget();
	XactReadOnly = guard.read_only;
	AtEOXact_GUC(false, guard.guc_nest_level);
}

/* Stops the timer, on the way of an error; the abort restores the settings. Never raises. */
void
OutboxCommitGuardForget(void)
{
	if (guard.timer_running)
		disable_timeout(flush_timeout, false);
	guard.timer_running = false;
	OutboxCommitGuardDisarm();
	guard.active = false;
	guard.expired = false;
}

/* Has the time run out? */
bool
OutboxCommitGuardExpired(void)
{
	return guard.expired;
}

/* May the timer interrupt? Ours alone; a cancel by the user always may. */
void
OutboxCommitGuardArm(void)
{
	if (!guard.active || guard.armed)
		return;
	guard.lock_timeout = LockTimeout;
	LockTimeout = guard.patience;
	guard.armed = true;
	/* it may have run out just before */
	if (guard.expired)
		send_cancel();
}

/* A cancel of ours that nobody saw must not end what comes next, a wait for a standby say. */
void
OutboxCommitGuardDisarm(void)
{
	if (!guard.armed)
		return;
	guard.armed = false;
	LockTimeout = guard.lock_timeout;
	if (guard.cancel_sent)
		QueryCancelPending = false;
	guard.cancel_sent = false;
	OutboxOwnCancel = false;
}

/* Runs in a signal handler. */
static void
handle_timeout(void)
{
	guard.expired = true;
	if (guard.armed)
		send_cancel();
}

static void
send_cancel(void)
{
	OutboxOwnCancel = true;
	guard.cancel_sent = true;
	InterruptPending = true;
	QueryCancelPending = true;
}

/*
 * Runs step(arg), armed, in an internal subtransaction that is rolled back
 * however it ends: what user-defined code did there never happened. Returns
 * the error as OutboxRunGuarded does, the timer's cancel included.
 */
ErrorData *
OutboxCommitGuardRun(OutboxGuardedStep step, void *arg, MemoryContext context)
{
	ArmedStep armed = {.step = step, .arg = arg};
	ErrorData *error = OutboxCatchAndUndo(run_armed, &armed, context);
	bool rethrow = error && OutboxMustRethrow(error);

	/* Only now: a function's own lock_timeout went back to ours first, and now ours goes back to the session's. */
	OutboxCommitGuardDisarm();
	if (rethrow)
		ReThrowError(error);
	return error;
}

static void
run_armed(void *arg)
{
	ArmedStep *armed = arg;

	OutboxCommitGuardArm();
	CHECK_FOR_INTERRUPTS();
	armed->step(armed->arg);
}

/* Called for every query of every function, the plans of the views included. */
static bool
check_relations(OUTBOX_CHECK_PERMS_ARGS)
{
	ListCell *lc;

	if (guard.active)
	{
		foreach (lc, range_table)
		{
			RangeTblEntry *entry = lfirst_node(RangeTblEntry, lc);
			bool foreign;

			if (entry->rtekind != RTE_RELATION)
				continue;
			foreign = entry->relkind == RELKIND_FOREIGN_TABLE;
			if (foreign || get_rel_persistence(entry->relid) == RELPERSISTENCE_TEMP)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 foreign ? errmsg("the foreign table \"%s\" cannot be used while a transaction commits", get_rel_name(entry->relid))
								 : errmsg("the temporary table \"%s\" cannot be used while a transaction commits", get_rel_name(entry->relid)),
						 errdetail("A function behind a contract's view uses it."),
						 errhint("Read ordinary tables in the functions that the view calls.")));
		}
	}
	return previous_hook ? previous_hook(OUTBOX_CHECK_PERMS_CALL) : true;
}
