/*-------------------------------------------------------------------------
 *
 * latency.c
 *	  From commit to consumer: one connection writes one-row transactions at
 *	  a steady rate, a consumer in the same process waits for their events.
 *
 *	  latency relay|direct BROKERS TOPIC RATE SECONDS FIRST_KEY SQL
 *
 * SQL has one parameter, the row's number, which is also the message key.
 * direct: the process itself produces the message after the commit (a dual
 * write), to a table that is not captured: what the broker, the client library
 * and the machine need without any relay.
 * The connection comes from the environment (PGHOST, ...).  Both clocks are
 * this process's monotonic clock: read when the server's answer to the
 * transaction is here, and when the consumer returns the message.  A
 * transaction that is late against the rate is not skipped.  Prints one JSON
 * object with every latency in microseconds, negative when the consumer was
 * faster than the answer of the server.
 *
 *-------------------------------------------------------------------------
 */
#include <libpq-fe.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PATIENCE_SECONDS 20

typedef struct Row
{
	double committed;
	double consumed;
} Row;

typedef struct Run
{
	const char *brokers;
	const char *topic;
	long first_key;
	long nrows;
	Row *rows;
	rd_kafka_t *consumer;
	rd_kafka_t *producer; /* NULL: the relay produces */
	rd_kafka_topic_t *produced_topic;
	int partitions;
	atomic_int at_end; /* partitions whose end the consumer has reached */
	atomic_long received;
	atomic_long repeated;
	atomic_bool done;
} Run;

static void die(const char *what, const char *why);
static double microseconds(void);
static void sleep_until(double when);
static void open_consumer(Run *run);
static void open_producer(Run *run);
static void *consume(void *arg);
static void take(Run *run, const rd_kafka_message_t *message);
static PGconn *open_connection(const char *sql);
static void write_row(PGconn *conn, Run *run, long i);
static void print(const Run *run, double behind);

int
main(int argc, char **argv)
{
	Run run = {0};
	PGconn *conn;
	pthread_t thread;
	double rate;
	double start;
	double deadline;
	long i;

	if (argc != 8)
	{
		fprintf(stderr, "usage: latency relay|direct BROKERS TOPIC RATE SECONDS FIRST_KEY SQL\n");
		return 2;
	}
	run.brokers = argv[2];
	run.topic = argv[3];
	rate = atof(argv[4]);
	run.nrows = (long) (rate * atof(argv[5]));
	run.first_key = atol(argv[6]);
	run.rows = calloc(run.nrows, sizeof(Row));

	open_consumer(&run);
	if (strcmp(argv[1], "direct") == 0)
		open_producer(&run);
	if (pthread_create(&thread, NULL, consume, &run) != 0)
		die("the consumer's thread", "did not start");
	while (atomic_load(&run.at_end) < run.partitions)
		sleep_until(microseconds() + 1000);
	conn = open_connection(argv[7]);

	start = microseconds();
	for (i = 0; i < run.nrows; i++)
	{
		sleep_until(start + i * 1e6 / rate);
		write_row(conn, &run, i);
	}
	rate = microseconds() - start - run.nrows * 1e6 / rate;
	deadline = microseconds() + PATIENCE_SECONDS * 1e6;
	while (atomic_load(&run.received) < run.nrows && microseconds() < deadline)
		sleep_until(microseconds() + 1000);
	atomic_store(&run.done, true);
	pthread_join(thread, NULL);
	PQfinish(conn);
	print(&run, rate);
	return atomic_load(&run.received) != run.nrows;
}

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "latency: %s: %s\n", what, why);
	exit(1);
}

static double
microseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static void
sleep_until(double when)
{
	struct timespec until = {.tv_sec = (time_t) (when / 1e6)};

	until.tv_nsec = (long) ((when - until.tv_sec * 1e6) * 1e3);
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

/* Begins at the end of every partition, so that only this run's events arrive. */
static void
open_consumer(Run *run)
{
	static const char *const settings[][2] = {
		{"group.id", "bench"}, {"enable.auto.commit", "false"}, {"enable.partition.eof", "true"}, {"fetch.wait.max.ms", "100"}};
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_topic_partition_list_t *list;
	const struct rd_kafka_metadata *metadata;
	rd_kafka_topic_t *topic;
	char reason[512] = "";
	size_t i;
	int p;

	rd_kafka_conf_set(conf, "bootstrap.servers", run->brokers, reason, sizeof(reason));
	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
	{
		if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], reason, sizeof(reason)) != RD_KAFKA_CONF_OK)
			die(settings[i][0], reason);
	}
	run->consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof(reason));
	if (run->consumer == NULL)
		die("consumer", reason);
	rd_kafka_poll_set_consumer(run->consumer);
	topic = rd_kafka_topic_new(run->consumer, run->topic, NULL);
	if (rd_kafka_metadata(run->consumer, 0, topic, &metadata, 10000) != RD_KAFKA_RESP_ERR_NO_ERROR)
		die(run->topic, "no metadata");
	run->partitions = metadata->topics[0].partition_cnt;
	rd_kafka_metadata_destroy(metadata);
	rd_kafka_topic_destroy(topic);
	list = rd_kafka_topic_partition_list_new(run->partitions);
	for (p = 0; p < run->partitions; p++)
		rd_kafka_topic_partition_list_add(list, run->topic, p)->offset = RD_KAFKA_OFFSET_END;
	if (rd_kafka_assign(run->consumer, list) != RD_KAFKA_RESP_ERR_NO_ERROR)
		die(run->topic, "cannot be consumed");
	rd_kafka_topic_partition_list_destroy(list);
}

/* With the settings of the Kafka sink. */
static void
open_producer(Run *run)
{
	static const char *const settings[][2] = {
		{"enable.idempotence", "true"},
		{"acks", "all"},
		{"linger.ms", "0"},
		{"compression.codec", "lz4"},
		{"partitioner", "murmur2_random"},
		{"socket.nagle.disable", "true"},
		{"delivery.report.only.error", "true"}};
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	const struct rd_kafka_metadata *metadata;
	char reason[512] = "";
	size_t i;

	rd_kafka_conf_set(conf, "bootstrap.servers", run->brokers, reason, sizeof(reason));
	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
	{
		if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], reason, sizeof(reason)) != RD_KAFKA_CONF_OK)
			die(settings[i][0], reason);
	}
	run->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
	if (run->producer == NULL)
		die("producer", reason);
	run->produced_topic = rd_kafka_topic_new(run->producer, run->topic, NULL);
	if (rd_kafka_metadata(run->producer, 0, run->produced_topic, &metadata, 10000) != RD_KAFKA_RESP_ERR_NO_ERROR)
		die(run->topic, "no metadata");
	rd_kafka_metadata_destroy(metadata);
}

static void *
consume(void *arg)
{
	Run *run = arg;

	while (!atomic_load(&run->done))
	{
		rd_kafka_message_t *message = rd_kafka_consumer_poll(run->consumer, 100);

		if (message == NULL)
			continue;
		if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
			take(run, message);
		else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
			atomic_fetch_add(&run->at_end, 1);
		rd_kafka_message_destroy(message);
	}
	rd_kafka_consumer_close(run->consumer);
	rd_kafka_destroy(run->consumer);
	return NULL;
}

static void
take(Run *run, const rd_kafka_message_t *message)
{
	double now = microseconds();
	char key[24] = "";
	long i;

	if (message->key_len >= sizeof(key))
		return;
	memcpy(key, message->key, message->key_len);
	i = atol(key) - run->first_key;
	if (i < 0 || i >= run->nrows)
		return;
	if (run->rows[i].consumed != 0)
	{
		atomic_fetch_add(&run->repeated, 1);
		return;
	}
	run->rows[i].consumed = now;
	atomic_fetch_add(&run->received, 1);
}

static PGconn *
open_connection(const char *sql)
{
	PGconn *conn = PQconnectdb("");
	PGresult *result;

	if (PQstatus(conn) != CONNECTION_OK)
		die("connection", PQerrorMessage(conn));
	result = PQprepare(conn, "row", sql, 1, NULL);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		die("statement", PQerrorMessage(conn));
	PQclear(result);
	return conn;
}

static void
write_row(PGconn *conn, Run *run, long i)
{
	static char payload[146]; /* about what the captured event has */
	char number[24];
	const char *values[] = {number};
	PGresult *result;

	snprintf(number, sizeof(number), "%ld", run->first_key + i);
	result = PQexecPrepared(conn, "row", 1, values, NULL, NULL, 0);
	run->rows[i].committed = microseconds();
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		die("transaction", PQerrorMessage(conn));
	PQclear(result);
	if (run->producer == NULL)
		return;
	if (rd_kafka_produce(run->produced_topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, payload, sizeof(payload),
						 number, strlen(number), NULL) != 0)
		die("message", rd_kafka_err2str(rd_kafka_last_error()));
	rd_kafka_poll(run->producer, 0);
}

static void
print(const Run *run, double behind)
{
	const char *separator = "";
	long i;

	printf("{\"rows\": %ld, \"received\": %ld, \"repeated\": %ld, \"behind_us\": %.0f, \"latencies_us\": [", run->nrows,
		   (long) run->received, (long) run->repeated, behind);
	for (i = 0; i < run->nrows; i++)
	{
		if (run->rows[i].consumed == 0)
			continue;
		printf("%s%.0f", separator, run->rows[i].consumed - run->rows[i].committed);
		separator = ",";
	}
	printf("]}\n");
}
