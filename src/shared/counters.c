/*-------------------------------------------------------------------------
 *
 * counters.c
 *	  What was captured per contract since the server started.
 *
 * A small open-addressing table per database.  Entries are only added while a
 * slot keeps its owner, so that they can be found without a lock.  A contract
 * that finds the table full is not counted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "shared/shared_state.h"

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

void
OutboxCountCaptured(int32 contract_id, uint64 events, uint64 dead_letters)
{
	OutboxDatabase *db = OutboxMyDatabaseCached();
	OutboxCounter *counter;

	if (db == NULL || contract_id == 0)
		return;
	counter = find_counter(db, contract_id, true);
	if (counter == NULL)
		return;
	if (events > 0)
		pg_atomic_fetch_add_u64(&counter->events, (int64) events);
	if (dead_letters > 0)
		pg_atomic_fetch_add_u64(&counter->dead_letters, (int64) dead_letters);
}

bool
OutboxGetCounters(int32 contract_id, uint64 *events, uint64 *dead_letters)
{
	OutboxDatabase *db = OutboxMyDatabase();
	OutboxCounter *counter;

	*events = *dead_letters = 0;
	if (db == NULL)
		return false;
	counter = find_counter(db, contract_id, false);
	if (counter != NULL)
	{
		*events = pg_atomic_read_u64(&counter->events);
		*dead_letters = pg_atomic_read_u64(&counter->dead_letters);
	}
	return true;
}
