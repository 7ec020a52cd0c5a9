/*-------------------------------------------------------------------------
 *
 * rejected.c
 *	  Events that a broker rejected, worked by a person.
 *
 * They are kept in outbox_internal.held_event; the relay of the sink publishes and
 * removes them.  It notices by a number in the sink's row, which it reads every
 * second anyway.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"

#include "catalog/outbox_catalog.h"
#include "letters/letters_private.h"
#include "util/util.h"

static uint64 execute(const char *query, int nargs, const OutboxArg *args);

/* The relay shall offer the event of a dead letter again. False: it is not kept any more. */
bool
OutboxRedriveRejected(int64 letter)
{
	return execute("UPDATE outbox_internal.held_event SET state = 'redrive' WHERE letter = $1 AND state = 'rejected'",
				   OUTBOX_ARGS(OUTBOX_INT8(letter))) > 0;
}

/* The event of a dead letter is not wanted any more; whatever waits behind it may go. False: it is not kept. */
bool
OutboxDropRejected(int64 letter)
{
	return execute("DELETE FROM outbox_internal.held_event WHERE letter = $1", OUTBOX_ARGS(OUTBOX_INT8(letter))) > 0;
}

/*
 * Once after any number of the above: makes the relays look.
 *
 * All of them, in one order: two callers never wait for each other.  Nor does a relay for a caller who leaves his
 * transaction open: it stores rows that refer to the sink.
 */
void
OutboxTellSinks(void)
{
	(void) execute("UPDATE outbox_internal.sink SET resolved = resolved + 1"
				   " WHERE id IN (SELECT id FROM outbox_internal.sink ORDER BY id FOR NO KEY UPDATE)",
				   OUTBOX_NO_ARGS);
}

static uint64
execute(const char *query, int nargs, const OutboxArg *args)
{
	OutboxOwnerScope scope;
	uint64 n;

	OutboxOwnerBegin(&scope);
	SPI_connect();
	n = OutboxRun(query, nargs, args).n;
	SPI_finish();
	OutboxOwnerEnd(&scope);
	return n;
}
