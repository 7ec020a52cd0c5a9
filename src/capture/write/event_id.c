/*-------------------------------------------------------------------------
 *
 * event_id.c
 *	  The identity of an event: a UUID version 7.
 *
 * 48 bits of milliseconds, 12 bits of the fraction of the millisecond (method
 * 3 of RFC 9562, section 6.2), 62 random bits.  Asking for strong random
 * bytes event by event costs more than everything else about an event, so
 * they are fetched in pages.  The page belongs to one process: a child of
 * fork() must not repeat its parent's ids.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "datatype/timestamp.h"
#include "miscadmin.h"

#include "capture/write/write_private.h"

#define RANDOM_PAGE 2048
#define RANDOM_PER_ID 8
#define UNIX_EPOCH_OFFSET ((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

static unsigned char random_page[RANDOM_PAGE];
static int random_used = RANDOM_PAGE;
static int random_pid = 0;

/* Without a source of strong random numbers ids are still unique enough: no write fails for it. */
static void
refill(void)
{
	if (!pg_strong_random(random_page, RANDOM_PAGE))
	{
		for (int i = 0; i < RANDOM_PAGE; i += sizeof(uint64))
		{
			uint64 word = pg_prng_uint64(&pg_global_prng_state);

			memcpy(random_page + i, &word, sizeof(word));
		}
	}
	random_used = 0;
	random_pid = MyProcPid;
}

/* Fills a new UUID version 7 (RFC 9562, section 5.7) for this moment. Never raises. */
void
OutboxEventId(pg_uuid_t *id, TimestampTz now)
{
	uint64 usec = (uint64) (now + UNIX_EPOCH_OFFSET);
	uint64 msec = usec / 1000;
	uint32 fraction = (uint32) (usec % 1000) * 4096 / 1000;

	if (random_used > RANDOM_PAGE - RANDOM_PER_ID || random_pid != MyProcPid)
		refill();
	for (int i = 0; i < 6; i++)
		id->data[i] = (unsigned char) (msec >> (8 * (5 - i)));
	id->data[6] = (unsigned char) (0x70 | (fraction >> 8));
	id->data[7] = (unsigned char) fraction;
	memcpy(id->data + 8, random_page + random_used, RANDOM_PER_ID);
	id->data[8] = (id->data[8] & 0x3F) | 0x80;
	random_used += RANDOM_PER_ID;
}
