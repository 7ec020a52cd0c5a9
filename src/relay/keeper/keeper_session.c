/*-------------------------------------------------------------------------
 *
 * keeper_session.c
 *	  The keeper's transactions, which wait for no lock.
 *
 * Locks on leaves are taken conditionally. For what the server locks on the
 * way (catalogs, the parent table, rows) lock_timeout is the limit, and that
 * works only while SIGINT cancels, which it otherwise does not in a relay.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "executor/spi.h"
#include "tcop/tcopprot.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "relay/keeper/keeper_private.h"
#include "relay/session/session.h"
#include "util/util.h"

#define LOCK_TIMEOUT "100ms"

/* Pause before a leaf that somebody uses is tried again: doubles each time. */
#define HOLD_OFF_FIRST_MS 100
#define HOLD_OFF_LONGEST_MS 10000
#define LEAVE_ALONE_MS 60000

/*
 * Begins a transaction with SPI as the extension's owner. Its commit is on the
 * local disk before writers follow it; it waits for no standby.
 */
void
OutboxKeeperBegin(OutboxOwnerScope *scope)
{
	pqsignal(SIGINT, StatementCancelHandler);
	OutboxSessionBegin();
	OutboxSetInTransaction("lock_timeout", LOCK_TIMEOUT);
	OutboxSetInTransaction("synchronous_commit", "local");
	PushActiveSnapshot(GetTransactionSnapshot());
	OutboxOwnerBegin(scope);
	SPI_connect();
}

void
OutboxKeeperEnd(const OutboxOwnerScope *scope)
{
	OutboxSessionEndQuery(scope);
	pqsignal(SIGINT, OUTBOX_SIG_IGN);
}

void
OutboxKeeperAbort(void)
{
	pqsignal(SIGINT, OUTBOX_SIG_IGN);
	OutboxSessionAbort();
}

/* True while a leaf is to be left alone after a failed try. */
bool
OutboxKeeperHeldOff(const OutboxKeeper *keeper, int number)
{
	TimestampTz now = GetCurrentTimestamp();
	const OutboxLeafRetry *retry = &keeper->retry[number];

	return retry->not_before > now && retry->not_before <= TimestampTzPlusMilliseconds(now, LEAVE_ALONE_MS);
}

void
OutboxKeeperHoldOff(OutboxKeeper *keeper, int number)
{
	OutboxLeafRetry *retry = &keeper->retry[number];

	retry->delay_ms = Min(Max(retry->delay_ms * 2, HOLD_OFF_FIRST_MS), HOLD_OFF_LONGEST_MS);
	retry->not_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), retry->delay_ms);
}

/* A step on this leaf has raised an error: the keeper leaves it alone for a minute. */
void
OutboxKeeperLeaveAlone(OutboxKeeper *keeper, int number)
{
	keeper->retry[number].not_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LEAVE_ALONE_MS);
}

void
OutboxKeeperSucceeded(OutboxKeeper *keeper, int number)
{
	keeper->retry[number] = (OutboxLeafRetry){0};
}
