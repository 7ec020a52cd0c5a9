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

#include "catalog/pg_type.h"
#include "executor/spi.h"

#include "catalog/outbox_catalog.h"
#include "letters/letters_private.h"

static uint64 execute(const char *query, int nargs, int64 letter);

/* The relay shall offer the event of a dead letter again. False: it is not kept any more. */
bool
OutboxRedriveRejected(int64 letter)
{
	return execute("UPDATE outbox_internal.held_event SET state = 'redrive' WHERE letter = $1 AND state = 'rejected'", 1, letter) > 0;
}

/* The event of a dead letter is not wanted any more; whatever waits behind it may go. False: it is not kept. */
bool
OutboxDropRejected(int64 letter)
{
	return execute("DELETE FROM outbox_internal.held_event WHERE letter = $1", 1, letter) > 0;
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
				   0, 0);
}

static uint64
execute(const char *query, int nargs, int64 letter)
{
	Oid types[] = {INT8OID};
	Datum values[] = {Int64GetDatum(letter)};
	uint64 processed;
	OutboxOwnerScope scope;
	int rc;

	OutboxOwnerBegin(&scope);
	SPI_connect();
	rc = SPI_execute_with_args(query, nargs, types, values, NULL, false, 0);
	if (rc < 0)
		elog(ERROR, "SPI_execute_with_args failed: %s", SPI_result_code_string(rc));
	processed = SPI_processed;
	SPI_finish();
	OutboxOwnerEnd(&scope);
	return processed;
}
