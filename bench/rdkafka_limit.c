/*-------------------------------------------------------------------------
 *
 * rdkafka_limit.c
 *	  How fast librdkafka alone produces: the limit for the Kafka sink.
 *
 *	  rdkafka_limit BROKERS TOPIC N PAYLOAD_BYTES[@FILE] none|minimal|cloudevents [PROPERTY=VALUE...]
 *
 * The settings are the sink's defaults, the messages have its sizes and its
 * headers (constant ones: nothing is formatted), everything is prepared before
 * the clock starts.  Payloads are pieces of FILE, which may hold real ones, or
 * of letters half of whose bits are random.  Prints one JSON object.
 *
 *	  cc -O2 -o build/rdkafka_limit bench/rdkafka_limit.c -lrdkafka
 *
 *-------------------------------------------------------------------------
 */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define PAYLOAD_POOL 1048576

typedef struct Header
{
	const char *name;
	const char *value;
} Header;

/* What the sink sends; the first three are those of headers = minimal. */
static const Header headers[] = {
	{"ce_id", "01234567-89ab-cdef-0123-456789abcdef"},
	{"ce_type", "test.driven.driven"},
	{"content-type", "application/avro"},
	{"ce_specversion", "1.0"},
	{"ce_source", "/postgres"},
	{"ce_subject", "123456"},
	{"ce_partitionkey", "123456"},
	{"ce_time", "2000-01-01T00:00:00.000000Z"},
	{"ce_dataschema", "urn:avro:crc64:0123456789abcdef"},
	{"ce_sequence", "0000000001-0000000000000000001"},
};

static const char *const settings[] = {
	"enable.idempotence=true", "enable.gapless.guarantee=true", "acks=all", "message.timeout.ms=0",
	"partitioner=murmur2_random", "linger.ms=0", "compression.codec=lz4", "log_level=3", "message.max.bytes=1048576",
	"socket.nagle.disable=true", "queue.buffering.max.messages=30000", "queue.buffering.max.kbytes=65536"};

typedef struct Run
{
	rd_kafka_t *rk;
	rd_kafka_topic_t *topic;
	rd_kafka_queue_t *queue;
	char *pool;
	size_t pool_bytes; /* where a payload may begin */
	size_t payload_bytes;
	int nheaders;
	long acked;
	long failed;
} Run;

static void fill_pool(Run *run, const char *payload);
static void set(rd_kafka_conf_t *conf, const char *setting);
static void open_producer(Run *run, const char *brokers, const char *topic, int nsettings, char **more);
static int produce(Run *run, long i);
static void collect(Run *run, int timeout_ms);
static double seconds(void);
static double cpu_seconds(void);

int
main(int argc, char **argv)
{
	Run run = {0};
	long n;
	long i = 0;
	double start;
	double cpu;

	if (argc < 6)
	{
		fprintf(stderr, "usage: rdkafka_limit BROKERS TOPIC N PAYLOAD_BYTES[@FILE] none|minimal|cloudevents [PROPERTY=VALUE...]\n");
		return 2;
	}
	n = atol(argv[3]);
	fill_pool(&run, argv[4]);
	run.nheaders = strcmp(argv[5], "none") == 0 ? 0 : strcmp(argv[5], "minimal") == 0 ? 3
																					  : sizeof(headers) / sizeof(headers[0]);
	open_producer(&run, argv[1], argv[2], argc - 6, argv + 6);

	start = seconds();
	cpu = cpu_seconds();
	while (i < n)
	{
		if (produce(&run, i))
		{
			if (++i % 1000 == 0)
				collect(&run, 0);
		}
		else
			collect(&run, 10);
	}
	while (run.acked + run.failed < n)
		collect(&run, 100);
	printf("{\"seconds\": %.4f, \"per_second\": %.0f, \"cpu_us\": %.3f, \"failed\": %ld}\n", seconds() - start,
		   n / (seconds() - start), (cpu_seconds() - cpu) * 1e6 / n, run.failed);
	return run.failed != 0;
}

static void
fill_pool(Run *run, const char *payload)
{
	const char *at = strchr(payload, '@');
	FILE *file = NULL;
	size_t i;

	run->payload_bytes = atol(payload) + 10; /* the frame */
	run->pool = malloc(PAYLOAD_POOL + run->payload_bytes);
	run->pool_bytes = PAYLOAD_POOL;
	if (at == NULL)
	{
		for (i = 0; i < PAYLOAD_POOL + run->payload_bytes; i++)
			run->pool[i] = 'a' + (random() & 15);
		return;
	}
	file = fopen(at + 1, "rb");
	i = file ? fread(run->pool, 1, PAYLOAD_POOL + run->payload_bytes, file) : 0;
	if (i <= run->payload_bytes)
	{
		fprintf(stderr, "rdkafka_limit: %s cannot be read or is too short\n", at + 1);
		exit(2);
	}
	fclose(file);
	run->pool_bytes = i - run->payload_bytes;
}

static void
set(rd_kafka_conf_t *conf, const char *setting)
{
	const char *equals = strchr(setting, '=');
	char name[128];
	char reason[512] = "PROPERTY=VALUE expected";

	if (equals != NULL)
	{
		snprintf(name, sizeof(name), "%.*s", (int) (equals - setting), setting);
		if (rd_kafka_conf_set(conf, name, equals + 1, reason, sizeof(reason)) == RD_KAFKA_CONF_OK)
			return;
	}
	fprintf(stderr, "rdkafka_limit: %s: %s\n", setting, reason);
	exit(2);
}

static void
open_producer(Run *run, const char *brokers, const char *topic, int nsettings, char **more)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	const struct rd_kafka_metadata *metadata;
	char reason[512];
	size_t i;

	rd_kafka_conf_set(conf, "bootstrap.servers", brokers, NULL, 0);
	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		set(conf, settings[i]);
	for (i = 0; i < (size_t) nsettings; i++)
		set(conf, more[i]);
	rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
	run->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
	if (run->rk == NULL)
	{
		fprintf(stderr, "rdkafka_limit: %s\n", reason);
		exit(1);
	}
	run->queue = rd_kafka_queue_get_main(run->rk);
	run->topic = rd_kafka_topic_new(run->rk, topic, NULL);
	if (rd_kafka_metadata(run->rk, 0, run->topic, &metadata, 10000) == RD_KAFKA_RESP_ERR_NO_ERROR)
		rd_kafka_metadata_destroy(metadata);
}

/* 0: the queue is full. */
static int
produce(Run *run, long i)
{
	char key[24];
	int key_len = snprintf(key, sizeof(key), "%ld", i);
	rd_kafka_headers_t *list;
	rd_kafka_error_t *error;
	char *payload = run->pool + i * (run->payload_bytes - 10) % run->pool_bytes;
	int h;

	if (run->nheaders == 0)
		return rd_kafka_produce(run->topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, payload,
								run->payload_bytes, key, key_len, (void *) i) == 0;

	list = rd_kafka_headers_new(run->nheaders);
	for (h = 0; h < run->nheaders; h++)
		rd_kafka_header_add(list, headers[h].name, -1, headers[h].value, -1);
	{
		rd_kafka_vu_t parts[] = {
			{.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = run->topic},
			{.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
			{.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {.ptr = payload, .size = run->payload_bytes}},
			{.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {.ptr = key, .size = key_len}},
			{.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = list},
			{.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = (void *) i},
		};

		error = rd_kafka_produceva(run->rk, parts, sizeof(parts) / sizeof(parts[0]));
	}
	if (error == NULL)
		return 1;
	rd_kafka_error_destroy(error);
	rd_kafka_headers_destroy(list);
	return 0;
}

static void
collect(Run *run, int timeout_ms)
{
	const rd_kafka_message_t *report;
	rd_kafka_event_t *event;

	while ((event = rd_kafka_queue_poll(run->queue, timeout_ms)) != NULL)
	{
		if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR)
		{
			while ((report = rd_kafka_event_message_next(event)) != NULL)
			{
				if (report->err == RD_KAFKA_RESP_ERR_NO_ERROR)
					run->acked++;
				else
					run->failed++;
			}
		}
		rd_kafka_event_destroy(event);
		timeout_ms = 0;
	}
}

static double
seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static double
cpu_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}
