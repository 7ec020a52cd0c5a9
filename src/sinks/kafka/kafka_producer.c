/*-------------------------------------------------------------------------
 *
 * kafka_producer.c
 *	  Life of librdkafka's producers.
 *
 * librdkafka's threads must not receive the process's signals, so they are
 * started with all signals blocked.  Closing may hang in a name look-up or a
 * TLS library, so it is left to a thread of its own that is waited for with a
 * limit: a relay has to be able to stop.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <pthread.h>
#include <time.h>

#include "utils/memutils.h"

#include "kafka_sink.h"

#define CLOSE_TIMEOUT_SECONDS 5

static rd_kafka_t *open_producer(KafkaSink *sink, bool careful, rd_kafka_queue_t **queue);
static rd_kafka_t *new_producer(KafkaSink *sink, bool careful);
static void be_careful(rd_kafka_conf_t *conf);
static void get_property(const rd_kafka_conf_t *conf, const char *name, char *value, size_t size);
static bool close_producer(rd_kafka_t *rk, rd_kafka_queue_t *queue);
static void *destroy_producer(void *rk);

void
KafkaBlockSignals(sigset_t *saved)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, saved);
}

void
KafkaRestoreSignals(const sigset_t *saved)
{
	pthread_sigmask(SIG_SETMASK, saved, NULL);
}

void
KafkaProducerOpen(KafkaSink *sink)
{
	HASHCTL info = {.keysize = sizeof(int32), .entrysize = sizeof(KafkaRouteEntry), .hcxt = sink->state->context};

	sink->routes = hash_create("outbox kafka routes", 64, &info, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	sink->rk = open_producer(sink, false, &sink->queue);
}

rd_kafka_t *
KafkaCarefulProducer(KafkaSink *sink)
{
	if (sink->careful_rk == NULL)
		sink->careful_rk = open_producer(sink, true, &sink->careful_queue);
	return sink->careful_rk;
}

static rd_kafka_t *
open_producer(KafkaSink *sink, bool careful, rd_kafka_queue_t **queue)
{
	static const uint64 one = 1;
	rd_kafka_t *rk = new_producer(sink, careful);

	*queue = rd_kafka_queue_get_main(rk);
	rd_kafka_queue_io_event_enable(*queue, sink->event_fd, &one, sizeof(one));
	if (rd_kafka_set_log_queue(rk, NULL) != RD_KAFKA_RESP_ERR_NO_ERROR)
		elog(LOG, "could not direct librdkafka's log to its main queue");
	return rk;
}

static rd_kafka_t *
new_producer(KafkaSink *sink, bool careful)
{
	rd_kafka_conf_t *conf = KafkaBuildConf(sink->state->options, sink->state->noptions, KafkaCurrentLimits());
	rd_kafka_t *rk;
	sigset_t saved;
	char reason[512];

	if (careful)
		be_careful(conf);
	else
	{
		char value[64];

		get_property(conf, "batch.size", value, sizeof(value));
		sink->batch_bytes = strtoul(value, NULL, 10);
		get_property(conf, "partitioner", value, sizeof(value));
		sink->partitioner = KafkaFindPartitioner(value);
	}
	/* the partition of a message without a key is ours to choose, too (kafka_topic.c) */
	(void) rd_kafka_conf_set(conf, "sticky.partitioning.linger.ms", "0", NULL, 0);
	rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG);

	KafkaBlockSignals(&saved);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
	KafkaRestoreSignals(&saved);
	if (rk == NULL)
	{
		rd_kafka_conf_destroy(conf);
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("could not create the producer of sink \"%s\"", sink->state->sink_name),
				 errdetail("librdkafka says: %s.", reason),
				 errhint("Correct the sink's options: UPDATE outbox.sink SET options = options || '{\"option\": \"value\"}' WHERE name = '%s';",
						 sink->state->sink_name)));
	}
	return rk;
}

/* With one message of a key under way there is no order to lose, and a refusal of the broker is no end. */
static void
be_careful(rd_kafka_conf_t *conf)
{
	static const char *const settings[][2] = {
		{"enable.gapless.guarantee", "false"},
		{"enable.idempotence", "false"},
		{"linger.ms", "0"},
		{"batch.num.messages", "1"}, /* a refusal means this record */
	};

	for (int i = 0; i < lengthof(settings); i++)
	{
		if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], NULL, 0) != RD_KAFKA_CONF_OK)
			elog(LOG, "could not set %s of a careful producer", settings[i][0]);
	}
}

/* '' if it cannot be told. */
static void
get_property(const rd_kafka_conf_t *conf, const char *name, char *value, size_t size)
{
	value[0] = '\0';
	if (rd_kafka_conf_get(conf, name, value, &size) != RD_KAFKA_CONF_OK)
		value[0] = '\0';
}

/* Safe to call for producers that were never opened, or only half. */
void
KafkaProducerClose(KafkaSink *sink)
{
	bool closed;

	KafkaForgetRoutes(sink);
	KafkaForgetTopics(sink);
	closed = close_producer(sink->careful_rk, sink->careful_queue);
	closed &= close_producer(sink->rk, sink->queue);
	sink->rk = sink->careful_rk = NULL;
	sink->queue = sink->careful_queue = NULL;
	sink->outstanding = 0;
	if (closed)
		KafkaFreeShared(sink);
	else
		ereport(LOG,
				(errmsg("producer of sink \"%s\" did not stop within %d s and is left behind",
						sink->state->sink_name, CLOSE_TIMEOUT_SECONDS)));
}

/* False: it goes on closing by itself. */
static bool
close_producer(rd_kafka_t *rk, rd_kafka_queue_t *queue)
{
	struct timespec deadline;
	sigset_t saved;
	pthread_t thread;
	bool closed = true;

	if (queue != NULL)
	{
		/* A producer that lingers must not write to a descriptor that means something else by then. */
		rd_kafka_queue_io_event_enable(queue, -1, NULL, 0);
		rd_kafka_queue_destroy(queue);
	}
	if (rk == NULL)
		return true;

	KafkaBlockSignals(&saved);
	if (pthread_create(&thread, NULL, destroy_producer, rk) != 0)
		destroy_producer(rk);
	else
	{
		clock_gettime(CLOCK_REALTIME, &deadline);
		deadline.tv_sec += CLOSE_TIMEOUT_SECONDS;
		closed = pthread_timedjoin_np(thread, NULL, &deadline) == 0;
		if (!closed)
			pthread_detach(thread);
	}
	KafkaRestoreSignals(&saved);
	return closed;
}

/* Runs in a thread of its own: nothing of the server may be called here. */
static void *
destroy_producer(void *rk)
{
	rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	return NULL;
}
