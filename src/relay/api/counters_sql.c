/*-------------------------------------------------------------------------
 *
 * counters_sql.c
 *	  outbox_internal.counters(): what was counted in shared memory, as rows.
 *
 * The view outbox.metrics gives them names and labels. They grow from the
 * start of the server on, over any number of relay processes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>

#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/tuplestore.h"

#include "catalog/outbox_catalog.h"
#include "shared/outbox_shared.h"
#include "util/util.h"

PG_FUNCTION_INFO_V1(outbox_counters);

/* Columns of counters(). */
enum
{
	COUNTER_NAME,
	COUNTER_SINK_ID,
	COUNTER_SCHEMA_ID,
	COUNTER_LE,
	COUNTER_VALUE,
	COUNTER_COLUMNS
};

/* What a counter counts; 0: it has no such label. */
typedef struct CounterLabels
{
	int32 sink_id;
	int32 schema_id;
	float8 le; /* upper bound of a bucket, in seconds */
} CounterLabels;

static void put_captured(ReturnSetInfo *result);
static void put_relays(ReturnSetInfo *result);
static void put_relay_counters(ReturnSetInfo *result, int32 sink_id, const OutboxRelayCounters *counters);
static void put(ReturnSetInfo *result, const char *name, CounterLabels labels, float8 value);

/* counters(): no rows when the library is not preloaded. */
Datum
outbox_counters(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	OutboxOwnerScope scope;

	InitMaterializedSRF(fcinfo, 0);
	if (!OutboxSharedAvailable())
		return (Datum) 0;
	OutboxOwnerBegin(&scope);
	SPI_connect();
	put_captured(result);
	put_relays(result);
	SPI_finish();
	OutboxOwnerEnd(&scope);
	return (Datum) 0;
}

static void
put_captured(ReturnSetInfo *result)
{
	OutboxRows rows = OutboxSelect("SELECT id FROM outbox_internal.event_schema", OUTBOX_NO_ARGS);

	for (uint64 i = 0; i < rows.n; i++)
	{
		int32 schema_id = (int32) OutboxRowInt(&rows, i, 1, 0);
		uint64 events;

		if (OutboxGetSchemaCounter(schema_id, &events))
			put(result, "captured", (CounterLabels){.schema_id = schema_id}, (float8) events);
	}
}

static void
put_relays(ReturnSetInfo *result)
{
	OutboxRows rows = OutboxSelect("SELECT id FROM outbox_internal.sink", OUTBOX_NO_ARGS);

	for (uint64 i = 0; i < rows.n; i++)
	{
		int32 sink_id = (int32) OutboxRowInt(&rows, i, 1, 0);
		OutboxRelayCounters counters;

		if (OutboxRelayLookupCounters(sink_id, &counters))
			put_relay_counters(result, sink_id, &counters);
	}
}

static void
put_relay_counters(ReturnSetInfo *result, int32 sink_id, const OutboxRelayCounters *counters)
{
	static const int64 bounds[OUTBOX_LATENCY_BUCKETS - 1] = OUTBOX_LATENCY_BOUNDS;
	uint64 cumulated = 0;

	put(result, "bytes", (CounterLabels){.sink_id = sink_id}, (float8) counters->bytes);
	put(result, "retries", (CounterLabels){.sink_id = sink_id}, (float8) counters->retries);
	put(result, "latency_sum", (CounterLabels){.sink_id = sink_id}, (float8) counters->latency_sum / 1000000.0);
	put(result, "latency_count", (CounterLabels){.sink_id = sink_id}, (float8) counters->events);
	for (int b = 0; b < OUTBOX_LATENCY_BUCKETS; b++)
	{
		float8 le = b < OUTBOX_LATENCY_BUCKETS - 1 ? (float8) bounds[b] / 1000000.0 : get_float8_infinity();

		cumulated += counters->latency[b];
		put(result, "latency_bucket", (CounterLabels){.sink_id = sink_id, .le = le}, (float8) cumulated);
	}
	for (int t = 0; t < OUTBOX_COUNTED_TYPES; t++)
	{
		if (counters->types[t].schema_id != 0)
			put(result, "published", (CounterLabels){.sink_id = sink_id, .schema_id = counters->types[t].schema_id},
				(float8) counters->types[t].events);
	}
}

static void
put(ReturnSetInfo *result, const char *name, CounterLabels labels, float8 value)
{
	Datum values[COUNTER_COLUMNS] = {CStringGetTextDatum(name), Int32GetDatum(labels.sink_id), Int32GetDatum(labels.schema_id),
									 Float8GetDatum(labels.le), Float8GetDatum(value)};
	bool nulls[COUNTER_COLUMNS] = {false, labels.sink_id == 0, labels.schema_id == 0, labels.le == 0, false};

	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}
