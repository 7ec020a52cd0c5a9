/*-------------------------------------------------------------------------
 *
 * meter.h
 *	  What a sink's relay has counted since the server started.
 *
 * Kept in the relay's slot over any number of its processes, so that a
 * monitoring system sees counters that only grow. The relay counts in a copy
 * of its own and stores it along with its report.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_METER_H
#define OUTBOX_METER_H

#include "datatype/timestamp.h"

/* Pinned schemas that are counted apart; a power of two. */
#define OUTBOX_METER_TYPES 256
#define OUTBOX_METER_NO_TYPE 0xFFFF

/* Upper bounds in microseconds, as Prometheus has them; the last bucket has none. */
#define OUTBOX_LATENCY_BOUNDS                                                                               \
	{                                                                                                       \
		250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, \
			10000000, 30000000, 60000000, 300000000, INT64CONST(3600000000)                                 \
	}
#define OUTBOX_LATENCY_BUCKETS 20

typedef struct OutboxMeterType
{
	int32 schema_id; /* 0 = unused */
	uint64 events;
} OutboxMeterType;

typedef struct OutboxMeter
{
	uint64 events;                          /* acknowledged */
	uint64 bytes;                           /* key and payload of their messages */
	uint64 retries;                         /* lives of the sink that ended early */
	uint64 latency_sum;                     /* microseconds from occurred_at to the acknowledgement */
	uint64 latency[OUTBOX_LATENCY_BUCKETS]; /* events per bucket, not cumulated */
	OutboxMeterType types[OUTBOX_METER_TYPES];
} OutboxMeter;

/* Index of a schema in types, added if need be; OUTBOX_METER_NO_TYPE when they are full. */
static inline uint16
OutboxMeterFindType(OutboxMeter *meter, int32 schema_id)
{
	for (uint32 probe = 0; probe < OUTBOX_METER_TYPES; probe++)
	{
		uint32 i = ((uint32) schema_id + probe) & (OUTBOX_METER_TYPES - 1);

		if (meter->types[i].schema_id == schema_id)
			return (uint16) i;
		if (meter->types[i].schema_id == 0)
		{
			meter->types[i].schema_id = schema_id;
			return (uint16) i;
		}
	}
	return OUTBOX_METER_NO_TYPE;
}

/* An event was acknowledged. */
static inline void
OutboxMeterEvent(OutboxMeter *meter, uint16 type, TimestampTz occurred_at, TimestampTz now)
{
	static const int64 bounds[OUTBOX_LATENCY_BUCKETS - 1] = OUTBOX_LATENCY_BOUNDS;
	int64 latency = now > occurred_at ? now - occurred_at : 0;
	int bucket = 0;

	while (bucket < OUTBOX_LATENCY_BUCKETS - 1 && latency > bounds[bucket])
		bucket++;
	meter->events++;
	meter->latency_sum += (uint64) latency;
	meter->latency[bucket]++;
	if (type != OUTBOX_METER_NO_TYPE)
		meter->types[type].events++;
}

#endif /* OUTBOX_METER_H */
