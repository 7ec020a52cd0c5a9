/*-------------------------------------------------------------------------
 *
 * sink_driver.c
 *	  Drives a sink library without a relay, for tests and benchmarks.
 *
 * Behaves towards the sink as a relay does: hands messages over in order,
 * collects acks, keeps the contiguous prefix as its watermark, and after a
 * retry or an error shuts the sink down and starts a new attempt from there.
 * A rejected or blocked message counts as finished, so that the ones behind it are seen.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/resource.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "sink/sink_private.h"

PG_MODULE_MAGIC;

#define ACKS_MAX 4096

/* Payloads are pieces of this: half of their bits are random, as in real records. */
#define PAYLOAD_POOL 1048576

/* The loader's setting; the Makefile gives it a name of its own in this module. */
char *outbox_sink_libraries = NULL;
char *outbox_http_hosts = NULL; /* any */

typedef struct Driver
{
	/* what to send */
	const OutboxSinkCallbacks *sink;
	OutboxSinkOption *options;
	int noptions;
	const char *topic;
	int64 n;
	int64 keys;
	int payload_bytes;
	int64 large_at;
	int large_bytes;
	int64 keyless_at;
	int64 tombstone_at;
	int batch;
	OutboxSchema schema;
	TimestampTz end;

	/* where it stands */
	OutboxSinkState state;
	char *payload;
	OutboxMessage *messages;
	char (*key_texts)[24];
	uint8 *done; /* per message */
	int64 next;
	int64 watermark;
	bool restart;

	/* what came of it */
	int64 ok;
	int64 rejected;
	int64 blocked;
	int64 retried;
	int attempts;
	int32 registered_id;
	char detail[512];
	char trouble[512];
} Driver;

static void prepare(Driver *driver);
static bool run_attempt(Driver *driver);
static void pump(Driver *driver);
static int64 publish_some(Driver *driver);
static void fill_message(Driver *driver, int slot, int64 index);
static void collect(Driver *driver, long timeout_ms);
static void load_options(const char *library, Jsonb *options, Driver *driver);
static Datum result(const Driver *driver, double seconds, double main_cpu, double all_cpu);
static double cpu_seconds(int who);

PG_FUNCTION_INFO_V1(sink_driver_validate_options);
PG_FUNCTION_INFO_V1(sink_driver_publish_n);

Datum
sink_driver_validate_options(PG_FUNCTION_ARGS)
{
	Driver driver = {0};

	load_options(text_to_cstring(PG_GETARG_TEXT_PP(0)), PG_GETARG_JSONB_P(1), &driver);
	driver.sink->validate_cb(driver.options, driver.noptions);
	PG_RETURN_VOID();
}

Datum
sink_driver_publish_n(PG_FUNCTION_ARGS)
{
	Driver driver = {0};
	double main_cpu;
	double all_cpu;
	TimestampTz start;

	load_options(text_to_cstring(PG_GETARG_TEXT_PP(0)), PG_GETARG_JSONB_P(1), &driver);
	driver.topic = text_to_cstring(PG_GETARG_TEXT_PP(2));
	driver.n = PG_GETARG_INT64(3);
	driver.payload_bytes = PG_GETARG_INT32(4);
	driver.keys = PG_ARGISNULL(5) ? driver.n : PG_GETARG_INT64(5);
	driver.schema.text = PG_ARGISNULL(6) ? "{\"type\":\"bytes\"}" : text_to_cstring(PG_GETARG_TEXT_PP(6));
	driver.large_at = PG_ARGISNULL(7) ? -1 : PG_GETARG_INT64(7);
	driver.large_bytes = PG_GETARG_INT32(8);
	driver.keyless_at = PG_ARGISNULL(9) ? -1 : PG_GETARG_INT64(9);
	driver.tombstone_at = PG_ARGISNULL(10) ? -1 : PG_GETARG_INT64(10);
	driver.end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), PG_GETARG_INT32(11) * INT64CONST(1000));
	driver.batch = PG_GETARG_INT32(12);
	prepare(&driver);

	start = GetCurrentTimestamp();
	main_cpu = cpu_seconds(RUSAGE_THREAD);
	all_cpu = cpu_seconds(RUSAGE_SELF);
	while (!run_attempt(&driver))
		CHECK_FOR_INTERRUPTS();
	return result(&driver, (GetCurrentTimestamp() - start) / 1e6,
				  cpu_seconds(RUSAGE_THREAD) - main_cpu, cpu_seconds(RUSAGE_SELF) - all_cpu);
}

static void
load_options(const char *library, Jsonb *options, Driver *driver)
{
	outbox_sink_libraries = "outbox_kafka, outbox_log";
	driver->sink = OutboxSinkLoad(library);
	driver->options = OutboxSinkOptions(options, true, &driver->noptions);
}

static void
prepare(Driver *driver)
{
	int size;
	int i;

	driver->schema.id = 1;
	driver->schema.full_name = "test.Driven";
	driver->schema.fingerprint = UINT64CONST(0x0123456789ABCDEF);
	size = PAYLOAD_POOL + Max(driver->payload_bytes, driver->large_bytes);
	driver->payload = palloc(size);
	for (i = 0; i < size; i++)
		driver->payload[i] = 'a' + (random() & 15);
	driver->messages = palloc0(sizeof(OutboxMessage) * driver->batch);
	driver->key_texts = palloc0(sizeof(*driver->key_texts) * driver->batch);
	driver->done = MemoryContextAllocExtended(CurrentMemoryContext, driver->n + 1, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

/* True: finished, or out of time. */
static bool
run_attempt(Driver *driver)
{
	MemoryContext caller = CurrentMemoryContext;
	OutboxSinkState *state = &driver->state;

	driver->attempts++;
	driver->next = driver->watermark;
	driver->restart = false;
	*state = (OutboxSinkState){.sink_name = "driven", .database = "postgres", .options = driver->options, .noptions = driver->noptions};
	state->attempt = driver->attempts;
	state->context = AllocSetContextCreate(caller, "sink driver attempt", ALLOCSET_DEFAULT_SIZES);

	PG_TRY();
	{
		driver->sink->startup_cb(state);
		pump(driver);
		if (driver->sink->flush_cb != NULL)
			driver->sink->flush_cb(state, 1000);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		if (error->sqlerrcode != ERRCODE_CONNECTION_FAILURE)
		{
			driver->sink->shutdown_cb(state);
			PG_RE_THROW();
		}
		FlushErrorState();
		snprintf(driver->detail, sizeof(driver->detail), "%s: %s", error->message, error->detail ? error->detail : "");
		driver->restart = true;
	}
	PG_END_TRY();
	driver->sink->shutdown_cb(state);
	MemoryContextDelete(state->context);
	return !driver->restart || GetCurrentTimestamp() >= driver->end;
}

static void
pump(Driver *driver)
{
	OutboxSinkState *state = &driver->state;

	while (driver->watermark < driver->n && !driver->restart && GetCurrentTimestamp() < driver->end)
	{
		const char *trouble;
		int64 taken = publish_some(driver);

		CHECK_FOR_INTERRUPTS();
		trouble = driver->sink->trouble_cb ? driver->sink->trouble_cb(state) : NULL;
		if (trouble != NULL)
			strlcpy(driver->trouble, trouble, sizeof(driver->trouble));
		collect(driver, 0);
		if (taken == 0 && !driver->restart && driver->watermark < driver->n)
			collect(driver, 100);
	}
}

static int64
publish_some(Driver *driver)
{
	int n = Min(driver->batch, driver->n - driver->next);
	int taken;
	int i;

	if (n <= 0)
		return 0;
	for (i = 0; i < n; i++)
		fill_message(driver, i, driver->next + i);
	taken = driver->sink->publish_cb(&driver->state, driver->messages, n);
	driver->next += taken;
	return taken;
}

static void
fill_message(Driver *driver, int slot, int64 index)
{
	OutboxMessage *message = &driver->messages[slot];

	message->position = (OutboxPosition){.attempt = driver->state.attempt, .index = index};
	message->destination = driver->topic;
	message->key.data = index == driver->keyless_at ? NULL : driver->key_texts[slot];
	message->key.len = message->key.data ? pg_lltoa(index % driver->keys, driver->key_texts[slot]) : 0;
	message->payload.data = index == driver->tombstone_at ? NULL : driver->payload + index * 61 % PAYLOAD_POOL;
	message->payload.len = index == driver->tombstone_at ? 0 : driver->payload_bytes;
	if (index == driver->large_at)
		message->payload.len = driver->large_bytes;
	message->schema = &driver->schema;
	memset(message->id, 0, sizeof(message->id));
	memcpy(message->id, &index, sizeof(index));
	message->seq = index;
	message->timeline = 1;
	message->occurred_at = index;
	message->event_type = (OutboxSlice){"Driven", strlen("Driven")};
	message->ce_type = "test.driven.driven";
	message->aggregate_type = (OutboxSlice){"driven", strlen("driven")};
}

static void
collect(Driver *driver, long timeout_ms)
{
	OutboxAck acks[ACKS_MAX];
	int n;
	int i;

	ResetLatch(MyLatch);
	n = driver->sink->poll_cb(&driver->state, acks, ACKS_MAX, timeout_ms);
	for (i = 0; i < n; i++)
	{
		if (acks[i].position.attempt != driver->state.attempt)
			elog(ERROR, "an ack of attempt %u arrived in attempt %u", acks[i].position.attempt, driver->state.attempt);
		if (acks[i].registration.id != 0)
			driver->registered_id = acks[i].registration.id;
		if (acks[i].detail != NULL)
			strlcpy(driver->detail, acks[i].detail, sizeof(driver->detail));
		if (acks[i].status == OUTBOX_ACK_RETRY)
		{
			driver->retried++;
			driver->restart = true;
			continue;
		}
		if (driver->done[acks[i].position.index])
			continue; /* again, after a restart */
		driver->done[acks[i].position.index] = 1;
		if (acks[i].status == OUTBOX_ACK_OK)
			driver->ok++;
		else if (acks[i].status == OUTBOX_ACK_REJECT)
			driver->rejected++;
		else
			driver->blocked++;
	}
	while (driver->watermark < driver->n && driver->done[driver->watermark])
		driver->watermark++;
}

static Datum
result(const Driver *driver, double seconds, double main_cpu, double all_cpu)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfo(&json, "{\"seconds\": %.4f, \"per_second\": %.0f, \"cpu_us\": %.3f, \"main_cpu_us\": %.3f,"
							" \"ok\": " INT64_FORMAT ", \"rejected\": " INT64_FORMAT ", \"blocked\": " INT64_FORMAT ", \"retried\": " INT64_FORMAT ", \"attempts\": %d, \"registered_id\": %d, \"detail\": ",
					 seconds, driver->n / seconds, all_cpu * 1e6 / driver->n, main_cpu * 1e6 / driver->n,
					 driver->ok, driver->rejected, driver->blocked, driver->retried, driver->attempts, driver->registered_id);
	escape_json(&json, driver->detail);
	appendStringInfoString(&json, ", \"trouble\": ");
	escape_json(&json, driver->trouble);
	appendStringInfoChar(&json, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

static double
cpu_seconds(int who)
{
	struct rusage usage;

	getrusage(who, &usage);
	return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}
