/*-------------------------------------------------------------------------
 *
 * counters.c
 *	  What was captured per contract and per schema since the server started, and
 *	  the time that it took the writers.
 *
 * Small open-addressing tables per database.  While a database's entry keeps its
 * owner, counters are added and never removed, so they are found without a lock.
 * When a table is full, further contracts or schemas are not counted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "shared/shared_private.h"

/*
 * The counter of this id in an open-addressing table of OUTBOX_COUNTERS counters, which begin with their id and are
 * `size` bytes apart; added if need be. NULL: there is none, or the table is full. Needs no lock.
 */
static void *
find_id(void *table, Size size, int32 id, bool add)
{
	uint32 start = murmurhash32((uint32) id);

	for (uint32 probe = 0; probe < OUTBOX_COUNTERS; probe++)
	{
		pg_atomic_uint32 *place = (pg_atomic_uint32 *) ((char *) table + size * ((start + probe) & (OUTBOX_COUNTERS - 1)));
		uint32 present = pg_atomic_read_u32(place);

		if (present == 0 && add && pg_atomic_compare_exchange_u32(place, &present, (uint32) id))
			present = (uint32) id;
		if (present == (uint32) id)
			return place;
		if (present == 0)
			break;
	}
	return NULL;
}

static OutboxCounter *
find_counter(OutboxDatabase *db, int32 contract_id, bool add)
{
	StaticAssertStmt(offsetof(OutboxCounter, contract_id) == 0, "a counter begins with its id");
	return find_id(db->counters, sizeof(OutboxCounter), contract_id, add);
}

static OutboxSchemaCounter *
find_schema(OutboxDatabase *db, int32 schema_id, bool add)
{
	StaticAssertStmt(offsetof(OutboxSchemaCounter, schema_id) == 0, "a counter begins with its id");
	return find_id(db->schema_counters, sizeof(OutboxSchemaCounter), schema_id, add);
}

/* The contract's counter in this database; NULL: it is not counted. */
static OutboxCounter *
my_counter(int32 contract_id)
{
	OutboxDatabase *db = OutboxMyDatabaseCached();

	return db == NULL || contract_id == 0 ? NULL : find_counter(db, contract_id, true);
}

static void
add(OutboxCounter *counter, int value, uint64 amount)
{
	if (amount > 0)
		pg_atomic_fetch_add_u64(&counter->values[value], (int64) amount);
}

static void
raise_to(OutboxCounter *counter, int value, uint64 amount)
{
	uint64 present = pg_atomic_read_u64(&counter->values[value]);

	while (present < amount &&
		   !pg_atomic_compare_exchange_u64(&counter->values[value], &present, amount))
		;
}

/* Adds to a contract's counters (since server start). Never raises; no-op without shared memory. */
void
OutboxCountCaptured(int32 contract_id, uint64 events, uint64 dead_letters)
{
	OutboxCounter *counter = my_counter(contract_id);

	if (counter == NULL)
		return;
	add(counter, COUNTER_EVENTS, events);
	add(counter, COUNTER_DEAD_LETTERS, dead_letters);
}

/*
 * Adds what the writers did for a contract, and their time. Never raises; no-op without shared memory, and in a commit
 * callback unless OutboxCountersFind was called in the same transaction.
 */
void
OutboxCountWriters(int32 contract_id, const OutboxWriterCounters *writers)
{
	OutboxCounter *counter = my_counter(contract_id);

	if (counter == NULL)
		return;
	add(counter, COUNTER_CALLS, writers->calls);
	add(counter, COUNTER_SKIPS, writers->skips);
	add(counter, COUNTER_TRANSITIONS, writers->transitions);
	add(counter, COUNTER_CALL_NS, writers->call_ns);
	raise_to(counter, COUNTER_MAX_CALL_NS, writers->max_call_ns);
	add(counter, COUNTER_FLUSHES, writers->flushes);
	add(counter, COUNTER_FLUSH_KEYS, writers->flush_keys);
	add(counter, COUNTER_FLUSH_NS, writers->flush_ns);
	raise_to(counter, COUNTER_MAX_FLUSH_NS, writers->max_flush_ns);
}

/* Looks up the database's entry, since a commit callback cannot. Needs a transaction; may raise. */
void
OutboxCountersFind(void)
{
	if (OutboxMyDatabaseCached() == NULL)
		(void) OutboxMyDatabase();
}

/* False without shared memory; zeros for a contract that is not counted. Needs a transaction. */
bool
OutboxGetCounters(int32 contract_id, OutboxContractCounters *counters)
{
	OutboxDatabase *db = OutboxMyDatabase();
	OutboxCounter *counter;
	uint64 values[OUTBOX_COUNTER_VALUES] = {0};

	if (db == NULL)
		return false;
	counter = find_counter(db, contract_id, false);
	for (int i = 0; counter != NULL && i < OUTBOX_COUNTER_VALUES; i++)
		values[i] = pg_atomic_read_u64(&counter->values[i]);
	*counters = (OutboxContractCounters){
		.events = values[COUNTER_EVENTS],
		.dead_letters = values[COUNTER_DEAD_LETTERS],
		.writers = {
			.calls = values[COUNTER_CALLS],
			.skips = values[COUNTER_SKIPS],
			.transitions = values[COUNTER_TRANSITIONS],
			.call_ns = values[COUNTER_CALL_NS],
			.max_call_ns = values[COUNTER_MAX_CALL_NS],
			.flushes = values[COUNTER_FLUSHES],
			.flush_keys = values[COUNTER_FLUSH_KEYS],
			.flush_ns = values[COUNTER_FLUSH_NS],
			.max_flush_ns = values[COUNTER_MAX_FLUSH_NS],
		}};
	return true;
}

/* Adds to the events of a pinned schema, which tells the event type. Never raises; no-op without shared memory. */
void
OutboxCountSchema(int32 schema_id, uint64 events)
{
	OutboxDatabase *db = OutboxMyDatabaseCached();
	OutboxSchemaCounter *counter;

	if (db == NULL || schema_id == 0 || events == 0)
		return;
	counter = find_schema(db, schema_id, true);
	if (counter != NULL)
		pg_atomic_fetch_add_u64(&counter->events, (int64) events);
}

/* False without shared memory; zero for a schema that is not counted. Needs a transaction. */
bool
OutboxGetSchemaCounter(int32 schema_id, uint64 *events)
{
	OutboxDatabase *db = OutboxMyDatabase();
	OutboxSchemaCounter *counter;

	*events = 0;
	if (db == NULL)
		return false;
	counter = find_schema(db, schema_id, false);
	if (counter != NULL)
		*events = pg_atomic_read_u64(&counter->events);
	return true;
}
