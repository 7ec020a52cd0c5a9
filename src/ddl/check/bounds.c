/*-------------------------------------------------------------------------
 *
 * bounds.c
 *	  How long the check may take, and wait.
 *
 * The check runs in migrations of others. It waits for a lock hardly long enough
 * that anybody's deadlock check could see it, and all looks of a transaction
 * together have outbox.ddl_check_timeout. What is not seen by then is not judged.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "portability/instr_time.h"
#include "storage/proc.h"

#include "capture/transition/transition.h"
#include "contract/environment/environment.h"
#include "ddl/check/check_private.h"
#include "guc.h"

/* Milliseconds that the check may wait for a lock. */
#define LOCK_TIMEOUT 20

static double spent_ms = 0; /* by this transaction */
static instr_time begun;

/*
 * From here to OutboxCheckEnd() looks are bounded; nothing may be written. False:
 * the transaction has no time left, and nothing began.
 */
bool
OutboxCheckBegin(void)
{
	double left = outbox_ddl_check_timeout - spent_ms;

	if (left < 1)
		return false;
	INSTR_TIME_SET_CURRENT(begun);
	OutboxCommitGuardBegin((int) left, LOCK_TIMEOUT);
	return true;
}

void
OutboxCheckEnd(void)
{
	instr_time now;

	OutboxCommitGuardEnd();
	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, begun);
	spent_ms += INSTR_TIME_GET_MILLISEC(now);
}

void
OutboxCheckTransactionEnded(void)
{
	spent_ms = 0;
}

/*
 * Runs a step that takes next to no time, outside of the above, as OutboxRunGuarded()
 * does, and lets it wait for a lock no longer than a look. It may write.
 */
ErrorData *
OutboxCheckBriefly(OutboxGuardedStep step, void *arg)
{
	int lock_timeout = LockTimeout;
	ErrorData *error = NULL;

	LockTimeout = LOCK_TIMEOUT;
	PG_TRY();
	{
		error = OutboxRunGuarded(step, arg, CurrentMemoryContext);
	}
	PG_FINALLY();
	{
		LockTimeout = lock_timeout;
	}
	PG_END_TRY();
	return error;
}
