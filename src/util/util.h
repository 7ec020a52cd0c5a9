/*-------------------------------------------------------------------------
 *
 * util.h
 *	  What several rooms need and PostgreSQL does not give.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_UTIL_UTIL_H
#define OUTBOX_UTIL_UTIL_H

#include "access/xact.h"
#include "datatype/timestamp.h"
#include "utils/elog.h"
#include "utils/palloc.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

/* ---- catch.c: Catching an error, and going on in the same transaction. ---- */

typedef void (*OutboxGuardedStep)(void *arg);

/* Shall this error leave the catch after all? Asked when everything is rolled back; must not raise. */
typedef bool (*OutboxRethrowRule)(const ErrorData *error);

extern ErrorData *OutboxCatch(OutboxGuardedStep step, void *arg, MemoryContext context, OutboxRethrowRule must_rethrow);
extern ErrorData *OutboxCatchAndUndo(OutboxGuardedStep step, void *arg, MemoryContext context);

/* ---- held_timers.c: The application's timeouts stand still while it waits for us. ---- */

/* statement_timeout, and transaction_timeout where there is one. */
#define OUTBOX_HELD_TIMERS 2

typedef struct OutboxHeldTimers
{
	TimestampTz since;
	TimestampTz ends[OUTBOX_HELD_TIMERS]; /* 0: it does not run */
} OutboxHeldTimers;

extern void OutboxHoldTimers(OutboxHeldTimers *held);
extern void OutboxReleaseTimers(const OutboxHeldTimers *held);

/* ---- look.c: Locks that end before the transaction does. ---- */

typedef struct OutboxLook
{
	ResourceOwner owner;  /* of what the look takes; NULL: there is none */
	ResourceOwner caller; /* while it is entered */
	CommandId command;    /* the present one when it was entered */
	bool wrote;           /* something was written while it was entered */
} OutboxLook;

extern void OutboxLookEnter(OutboxLook *look, ResourceOwner parent);
extern void OutboxLookLeave(OutboxLook *look);
extern void OutboxLookClose(OutboxLook *look);
extern bool OutboxLookHasRoom(int ntables);
extern void OutboxLookAwaitRoom(int ntables, int timeout_ms);

/* ---- pause.c: A short wait between two looks at something. ---- */

extern void OutboxPause(long ms, uint32 wait_event);

/* ---- server_error.c: Which errors the server itself has raised. ---- */

extern bool OutboxIsCancel(const ErrorData *error);
extern bool OutboxIsIntervention(const ErrorData *error);
extern bool OutboxIsSerializationFailure(const ErrorData *error);
extern bool OutboxIsDoomed(const ErrorData *error);
extern bool OutboxIsStorageTrouble(const ErrorData *error);
extern bool OutboxIsDiskFull(const ErrorData *error);
extern bool OutboxIsShortage(const ErrorData *error);

/* ---- A snapshot where the server has none. ---- */

/*
 * While a transaction commits, no snapshot is active any more. Functions want
 * one, and so does whoever stores a value out of line or reads one.
 */

/* True: one was pushed, which the caller pops again. An error pops it by itself. */
static inline bool
OutboxEnsureSnapshot(void)
{
	if (ActiveSnapshotSet())
		return false;
	PushActiveSnapshot(GetTransactionSnapshot());
	return true;
}

#endif /* OUTBOX_UTIL_UTIL_H */
