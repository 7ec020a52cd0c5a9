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
#include "catalog/pg_type_d.h"
#include "datatype/timestamp.h"
#include "utils/elog.h"
#include "utils/guc.h"
#include "utils/palloc.h"
#include "utils/relcache.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

/* ---- catch.c: catching an error, and going on in the same transaction ---- */

typedef void (*OutboxGuardedStep)(void *arg);

/* Shall this error leave the catch after all? Asked when everything is rolled back; must not raise. */
typedef bool (*OutboxRethrowRule)(const ErrorData *error);

extern ErrorData *OutboxCatch(OutboxGuardedStep step, void *arg, MemoryContext context, OutboxRethrowRule must_rethrow);
extern ErrorData *OutboxCatchAndUndo(OutboxGuardedStep step, void *arg, MemoryContext context);

/* ---- pause.c: short waits, and timeouts that stand still meanwhile ---- */

/* statement_timeout, and transaction_timeout where there is one. */
#define OUTBOX_HELD_TIMERS 2

typedef struct OutboxHeldTimers
{
	TimestampTz since;
	TimestampTz ends[OUTBOX_HELD_TIMERS]; /* 0: it does not run */
} OutboxHeldTimers;

extern void OutboxPause(long ms, uint32 wait_event);
extern void OutboxHoldTimers(OutboxHeldTimers *held);
extern void OutboxReleaseTimers(const OutboxHeldTimers *held);

/* ---- look.c: locks that end before the transaction does ---- */

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

/* ---- query.c: Statements of SQL with typed arguments, and the rows that they return. ---- */

typedef struct OutboxArg
{
	Oid type;
	Datum value;
	bool isnull;
} OutboxArg;

/* The last two parameters of OutboxSelect() and OutboxRun(). */
#define OUTBOX_ARGS(...) lengthof(((OutboxArg[]){__VA_ARGS__})), ((OutboxArg[]){__VA_ARGS__})
#define OUTBOX_NO_ARGS 0, NULL

#define OUTBOX_DATUM(type, value) ((OutboxArg){(type), (value), false})
#define OUTBOX_BOOL(value) OUTBOX_DATUM(BOOLOID, BoolGetDatum(value))
#define OUTBOX_INT2(value) OUTBOX_DATUM(INT2OID, Int16GetDatum(value))
#define OUTBOX_INT4(value) OUTBOX_DATUM(INT4OID, Int32GetDatum(value))
#define OUTBOX_INT8(value) OUTBOX_DATUM(INT8OID, Int64GetDatum(value))
#define OUTBOX_OID(value) OUTBOX_DATUM(OIDOID, ObjectIdGetDatum(value))
#define OUTBOX_FLOAT8(value) OUTBOX_DATUM(FLOAT8OID, Float8GetDatum(value))
#define OUTBOX_TIME(value) OUTBOX_DATUM(TIMESTAMPTZOID, TimestampTzGetDatum(value))
#define OUTBOX_TEXT(string) OutboxTextValue(string)
#define OUTBOX_UTF8(string) OutboxUtf8Value(string)

/* The rows of a statement, in SPI's memory. */
typedef struct OutboxRows
{
	struct SPITupleTable *table; /* NULL: the statement returned none */
	uint64 n;                    /* that it returned, or else changed */
} OutboxRows;

typedef struct _SPI_plan OutboxPlan;

typedef enum OutboxPlanLife
{
	OUTBOX_PLAN_TO_END,  /* SPI_finish frees it */
	OUTBOX_PLAN_FOR_GOOD /* as long as the process */
} OutboxPlanLife;

extern OutboxArg OutboxTextValue(const char *text);
extern OutboxArg OutboxUtf8Value(const char *utf8);
extern OutboxRows OutboxSelect(const char *query, int nargs, const OutboxArg *args);
extern OutboxRows OutboxRun(const char *query, int nargs, const OutboxArg *args);
extern OutboxRows OutboxRunPlanned(OutboxPlan **plan, OutboxPlanLife life, const char *query, int nargs, const OutboxArg *args);
extern Datum OutboxRowDatum(const OutboxRows *rows, uint64 row, int column, bool *isnull);
extern char *OutboxRowText(const OutboxRows *rows, uint64 row, int column);
extern int64 OutboxRowInt(const OutboxRows *rows, uint64 row, int column, int64 missing);
extern bool OutboxRowBool(const OutboxRows *rows, uint64 row, int column);
extern void OutboxSetText(Datum *values, bool *nulls, int column, const char *text);

/* ---- relation.c: names as they are written in SQL; a relation opened without waiting ---- */

extern char *OutboxQualifiedName(Oid relation);
extern Relation OutboxOpenWithoutWaiting(Oid relid);

/* ---- server_error.c: which errors the server itself has raised ---- */

extern bool OutboxIsCancel(const ErrorData *error);
extern bool OutboxIsIntervention(const ErrorData *error);
extern bool OutboxIsSerializationFailure(const ErrorData *error);
extern bool OutboxIsDoomed(const ErrorData *error);
extern bool OutboxIsStorageTrouble(const ErrorData *error);
extern bool OutboxIsDiskFull(const ErrorData *error);
extern bool OutboxIsShortage(const ErrorData *error);

/* ----
 * A setting that has another value for a while. Both raise when the value is refused, and an error in between takes
 * the value back by itself.
 * ---- */

/* Until AtEOXact_GUC() of the caller's NewGUCNestLevel(). */
static inline void
OutboxSetInScope(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* For the rest of the transaction. */
static inline void
OutboxSetInTransaction(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

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
