/*-------------------------------------------------------------------------
 *
 * kafka_sink.c
 *	  Publishes to Kafka: the callbacks of outbox_sink.h.
 *
 * One idempotent producer per attempt.  All callbacks run in the relay's main
 * thread and never wait for the broker or the registry: what comes back is
 * read from librdkafka's queue (kafka_report.c) and from libcurl's sockets
 * (kafka_registry.c), both of which make one descriptor readable.
 *
 * Order and what happens when a message fails: README.md in this folder.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "kafka_sink.h"
#include "sinks/kafka/registry/kafka_registry.h"

PG_MODULE_MAGIC;

/* Reports of what was on the way when a message failed come quickly, or not at all. */
#define FAILURE_DRAIN_MS 3000

/* Without any report for so long, say so; brokers answer within milliseconds. */
#define STALL_MS 10000

/* How often to look whether a broker is back while nothing is under way that could tell. */
#define PROBE_MS 500

/* Between two looks at librdkafka's queue while producing. */
#define PRODUCE_SLICE 256

/* Between two looks for partitions that acknowledged nothing for very long. */
#define LOOK_MS 10000

/* Acks that wait for poll_cb; more are not collected while publishing. */
#define UNREPORTED_MAX 65536

static void open_descriptors(KafkaSink *sink);
static bool watch(KafkaSink *sink, int fd);
static void serve(KafkaSink *sink, int enough);
static void check_forgotten(KafkaSink *sink);
static void raise_failure(KafkaSink *sink);
static void probe(KafkaSink *sink);
static bool older_than(TimestampTz at, int ms);

static void
kafka_validate(const OutboxSinkOption *options, int noptions)
{
	KafkaConfig config;
	KafkaBatchLimits unlimited = {0};

	KafkaParseOptions(options, noptions, &config);
	rd_kafka_conf_destroy(KafkaBuildConf(options, noptions, &unlimited));
}

static void
kafka_guard(const OutboxSinkOption *options, int noptions)
{
	int i;

	for (i = 0; i < noptions; i++)
		KafkaGuardProperty(&options[i]);
}

static void
kafka_startup(OutboxSinkState *state)
{
	KafkaSink *sink = MemoryContextAllocZero(state->context, sizeof(KafkaSink));
	MemoryContext caller = MemoryContextSwitchTo(state->context);

	sink->state = state;
	sink->event_fd = -1;
	sink->wait_fd = -1;
	state->private_data = sink; /* from here on shutdown_cb releases what there is */

	KafkaParseOptions(state->options, state->noptions, &sink->config);
	KafkaCarefulBegin(state->options, state->noptions);
	sink->source = sink->config.source ? sink->config.source : KafkaDefaultSource(state->origin != NULL ? state->origin : state->database);
	sink->source_len = strlen(sink->source);
	initStringInfo(&sink->value);
	sink->report_context = AllocSetContextCreate(state->context, "outbox kafka reports", ALLOCSET_SMALL_SIZES);
	sink->held_context = AllocSetContextCreate(state->context, "outbox kafka held messages", ALLOCSET_DEFAULT_SIZES);
	sink->now = sink->progress_at = GetCurrentTimestamp();

	if (sink->config.registry_url != NULL)
		sink->registry = KafkaRegistryCreate(state, &sink->config);
	open_descriptors(sink);
	KafkaProducerOpen(sink);
	MemoryContextSwitchTo(caller);
}

/*
 * Takes messages until librdkafka's queue is full, the registry has to answer
 * first, or something failed.
 */
static int
kafka_publish(OutboxSinkState *state, const OutboxMessage *messages, int n)
{
	KafkaSink *sink = state->private_data;
	int taken;

	if (sink->failed)
		raise_failure(sink);
	KafkaReserveAcks(sink, n);
	sink->now = GetCurrentTimestamp();
	if (sink->outstanding == 0)
		sink->progress_at = sink->now;
	for (taken = 0; taken < n; taken++)
	{
		/* A failure that has happened by now must stop what comes after it. */
		if (taken % PRODUCE_SLICE == 0)
			KafkaServeEvents(sink, UNREPORTED_MAX);
		if (sink->failed || sink->unheard || sink->acks.tail - sink->acks.head >= UNREPORTED_MAX ||
			!KafkaTakeMessage(sink, &messages[taken]))
			break;
	}
	if (sink->acks.head < sink->acks.tail)
		KafkaSignalSelf(sink);
	return taken;
}

static int
kafka_poll(OutboxSinkState *state, OutboxAck *acks, int max, long timeout_ms)
{
	KafkaSink *sink = state->private_data;
	int n;

	if (sink->acks.head == sink->acks.tail)
	{
		sink->acks.head = sink->acks.tail = 0;
		MemoryContextReset(sink->report_context);
		sink->last_text = NULL;
	}
	serve(sink, max);
	if (sink->acks.head == sink->acks.tail && timeout_ms > 0)
	{
		(void) WaitLatchOrSocket(MyLatch, WL_LATCH_SET | WL_SOCKET_READABLE | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
								 sink->wait_fd, timeout_ms, PG_WAIT_EXTENSION);
		serve(sink, max);
	}

	n = KafkaTakeAcks(sink, acks, max);
	if (sink->acks.head < sink->acks.tail)
		KafkaSignalSelf(sink);
	if (n == 0 && sink->failed && !sink->blamed)
		raise_failure(sink); /* otherwise the relay knows from acks */
	return n;
}

static pgsocket
kafka_socket(OutboxSinkState *state)
{
	return ((KafkaSink *) state->private_data)->wait_fd;
}

static const char *
kafka_trouble(OutboxSinkState *state)
{
	KafkaSink *sink = state->private_data;

	/* The report of the message that made the producer give up says more than the producer does. */
	if (sink->failed)
		return sink->blamed || sink->outstanding == 0 ? sink->failure : NULL;
	if (sink->outstanding == 0 && sink->error[0] != '\0')
		probe(sink);
	if (sink->error[0] != '\0')
		return sink->error;
	if (sink->outstanding > 0 && older_than(sink->progress_at, STALL_MS))
	{
		snprintf(sink->trouble, sizeof(sink->trouble),
				 "no acknowledgement for more than %d s, " UINT64_FORMAT " messages are under way",
				 STALL_MS / 1000, sink->outstanding + sink->held);
		return sink->trouble;
	}
	return NULL;
}

/*
 * Without a message under way librdkafka has no reason to connect, and reports
 * nothing when it is connected.  Asked for metadata without waiting for the
 * answer, it connects if it is not, and says whether it is: a connection counts
 * when the broker has answered on it.
 */
static void
probe(KafkaSink *sink)
{
	const struct rd_kafka_metadata *metadata = NULL;
	rd_kafka_resp_err_t err;

	if (!older_than(Max(sink->error_at, sink->probed_at), PROBE_MS))
		return;
	sink->probed_at = GetCurrentTimestamp();
	err = rd_kafka_metadata(sink->rk, 0, NULL, &metadata, 0);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		rd_kafka_metadata_destroy(metadata);
	if (err != RD_KAFKA_RESP_ERR__TRANSPORT)
		sink->error[0] = '\0';
}

/* Is the registry back, after it gave no answer or none of any use? */
static bool
kafka_revived(OutboxSinkState *state)
{
	KafkaSink *sink = state->private_data;

	return sink->registry != NULL && KafkaRegistryRevived(sink->registry);
}

/* Collects reports for poll_cb. Nothing lingers for long, so there is nothing to push. */
static bool
kafka_flush(OutboxSinkState *state, long timeout_ms)
{
	KafkaSink *sink = state->private_data;
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms);

	serve(sink, INT_MAX);
	while (sink->outstanding + sink->held > 0)
	{
		long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end);
		struct epoll_event event;

		if (left <= 0)
			return true;
		if (sink->failed)
			KafkaPurgeQueue(sink);
		/* Not the latch: whoever stops the relay has set it already. */
		(void) epoll_wait(sink->wait_fd, &event, 1, left);
		serve(sink, INT_MAX);
	}
	return false;
}

static void
kafka_shutdown(OutboxSinkState *state)
{
	KafkaSink *sink = state->private_data;

	if (sink == NULL)
		return;
	state->private_data = NULL;
	if (sink->registry != NULL)
		KafkaRegistryDestroy(sink->registry);
	KafkaProducerClose(sink);
	if (sink->event_fd >= 0)
		close(sink->event_fd);
	if (sink->wait_fd >= 0)
		close(sink->wait_fd);
}

static const OutboxSinkCallbacks kafka_callbacks = {
	.magic = OUTBOX_SINK_MAGIC,
	.validate_cb = kafka_validate,
	.guard_cb = kafka_guard,
	.subject_cb = KafkaSubjectOf,
	.registry_cb = KafkaInspectRegistry,
	.startup_cb = kafka_startup,
	.publish_cb = kafka_publish,
	.poll_cb = kafka_poll,
	.socket_cb = kafka_socket,
	.trouble_cb = kafka_trouble,
	.revived_cb = kafka_revived,
	.flush_cb = kafka_flush,
	.shutdown_cb = kafka_shutdown,
};

const OutboxSinkCallbacks *
_PG_outbox_sink_init(void)
{
	return &kafka_callbacks;
}

static void
open_descriptors(KafkaSink *sink)
{
	sink->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	sink->wait_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!watch(sink, sink->event_fd) ||
		(sink->registry != NULL && !watch(sink, KafkaRegistryDescriptor(sink->registry))))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not create descriptors for sink \"%s\": %m", sink->state->sink_name),
				 errhint("Raise the operating system's limit of open files.")));
}

static bool
watch(KafkaSink *sink, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(sink->wait_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Reads whatever has arrived, until `enough` acks wait to be handed over. */
static void
serve(KafkaSink *sink, int enough)
{
	if (sink->registry != NULL)
	{
		/* what waits for the answer is to be offered at once */
		if (KafkaRegistryServe(sink->registry))
		{
			KafkaSignalSelf(sink);
			sink->checked_at = 0;
		}
		KafkaCheckRoutes(sink);
	}
	KafkaServeEvents(sink, enough);
	KafkaServeCareful(sink, enough);
	check_forgotten(sink);
}

/* The broker may not know any more what was acknowledged before a long outage. */
static void
check_forgotten(KafkaSink *sink)
{
	if (sink->failed || !TimestampDifferenceExceeds(sink->looked_at, sink->now, LOOK_MS))
		return;
	sink->looked_at = sink->now;
	if (KafkaForgotten(sink))
		KafkaFail(sink, "no acknowledgement for so long that the broker may have forgotten the producer");
}

/* Once every report there is was handed over: only a new attempt gets any further. */
static void
raise_failure(KafkaSink *sink)
{
	if (sink->acks.head < sink->acks.tail)
		return;
	if (sink->outstanding > 0 && !older_than(sink->failed_at, FAILURE_DRAIN_MS))
	{
		/* What was on the way behind the failed message has been put back meanwhile. */
		KafkaPurgeQueue(sink);
		return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("sink \"%s\" has to start its producer again", sink->state->sink_name),
			 errdetail("%s.", sink->failure),
			 errhint("The relay tries again by itself; if this goes on, see the broker's log.")));
}

static bool
older_than(TimestampTz at, int ms)
{
	return TimestampDifferenceExceeds(at, GetCurrentTimestamp(), ms);
}
