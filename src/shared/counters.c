/*-------------------------------------------------------------------------
 *
 * counters.c
 *	  What was captured per contract and per schema since the server started, and
 *	  what it cost.
 *
 * Small open-addressing tables per database.  Entries are only added while a
 * slot keeps its owner, so that they can be found without a lock.  What finds
 * its table full is not counted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "shared/shared_private.h"

static OutboxCounter *
find_counter(OutboxDatabase *db, int32 contract_id, bool add)
{
	uint32 start = murmurhash32((uint32) contract_id);

	for (uint32 probe = 0; probe < OUTBOX_COUNTERS; probe++)
	{
		OutboxCounter *counter = &db->counters[(start + probe) & (OUTBOX_COUNTERS - 1)];
		uint32 present = pg_atomic_read_u32(&counter->contract_id);

		if (present == 0 && add &&
			pg_atomic_compare_exchange_u32(&counter->contract_id, &present, (uint32) contract_id))
			present = (uint32) contract_id;
		if (present == (uint32) contract_id)
			return counter;
		if (present == 0)
			break;
	}
	return NULL;
}

/* This contract's counters in this database; NULL: they are not counted. */
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
 * Adds to a contract's cost. The same terms; OutboxCountersFind in the same transaction makes sure that it is heard.
 */
void
OutboxCountCost(int32 contract_id, const OutboxCost *cost)
{
	OutboxCounter *counter = my_counter(contract_id);

	if (counter == NULL)
		return;
	add(counter, COUNTER_CALLS, cost->calls);
	add(counter, COUNTER_SKIPS, cost->skips);
	add(counter, COUNTER_TRANSITIONS, cost->transitions);
	add(counter, COUNTER_CALL_NS, cost->call_ns);
	raise_to(counter, COUNTER_MAX_CALL_NS, cost->max_call_ns);
	add(counter, COUNTER_FLUSHES, cost->flushes);
	add(counter, COUNTER_FLUSH_KEYS, cost->flush_keys);
	add(counter, COUNTER_FLUSH_NS, cost->flush_ns);
	raise_to(counter, COUNTER_MAX_FLUSH_NS, cost->max_flush_ns);
}

/* A commit callback can only use a slot that is known by then. */
void
OutboxCountersFind(void)
{
	if (OutboxMyDatabaseCached() == NULL)
		(void) OutboxMyDatabase();
}

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
		.cost = {
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

static OutboxSchemaCounter *
find_schema(OutboxDatabase *db, int32 schema_id, bool add)
{
	uint32 start = murmurhash32((uint32) schema_id);

	for (uint32 probe = 0; probe < OUTBOX_COUNTERS; probe++)
	{
		OutboxSchemaCounter *counter = &db->schema_counters[(start + probe) & (OUTBOX_COUNTERS - 1)];
		uint32 present = pg_atomic_read_u32(&counter->schema_id);

		if (present == 0 && add &&
			pg_atomic_compare_exchange_u32(&counter->schema_id, &present, (uint32) schema_id))
			present = (uint32) schema_id;
		if (present == (uint32) schema_id)
			return counter;
		if (present == 0)
			break;
	}
	return NULL;
}

/* The same for events by pinned schema, which tells the event type. */
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
