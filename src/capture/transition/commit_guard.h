/*-------------------------------------------------------------------------
 *
 * commit_guard.h
 *	  What keeps user-defined code in bounds while a transaction commits.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_COMMIT_GUARD_H
#define OUTBOX_COMMIT_GUARD_H

#include "contract/environment/guard.h"

extern void OutboxCommitGuardInit(void); /* from _PG_init */

/*
 * From Begin to End: nothing may be written, foreign and temporary tables are
 * refused, settings are pinned, and a timer runs (timeout_ms 0: none) that
 * interrupts what runs between Arm and Disarm. An error that leaves in between
 * must call Forget on its way; the abort restores the settings.
 */
extern void OutboxCommitGuardBegin(int timeout_ms);
extern void OutboxCommitGuardEnd(void);
extern void OutboxCommitGuardForget(void);

/* The timer begins anew; not while armed. */
extern void OutboxCommitGuardRestart(int timeout_ms);

/* Has the time run out? */
extern bool OutboxCommitGuardExpired(void);

/* May the timer interrupt? Ours alone; a cancel by the user always may. */
extern void OutboxCommitGuardArm(void);
extern void OutboxCommitGuardDisarm(void);

/*
 * Runs step(arg), armed, in an internal subtransaction that is rolled back
 * however it ends: what user-defined code did there never happened. Returns
 * the error as OutboxRunGuarded does, the timer's cancel included.
 */
extern ErrorData *OutboxCommitGuardRun(OutboxGuardedStep step, void *arg, MemoryContext context);

#endif /* OUTBOX_COMMIT_GUARD_H */
