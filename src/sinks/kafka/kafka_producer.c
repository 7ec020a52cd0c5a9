/*-------------------------------------------------------------------------
 *
 * kafka_producer.c
 *	  Life of a librdkafka producer, and how large its batches may be.
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

/* A batch is not made smaller than this by refusals of its size; then records are sent one by one. */
#define BATCH_BYTES_MIN 4096

/*
 * What refused batches taught this process.  It outlives an attempt on
 * purpose: the next attempt has to do better.  A relay process serves one sink; its replays share what was learned.
 */
static KafkaBatchLimits batch_limits;
static uint64 isolated_messages_left; /* > 0: batch_limits.messages is 1 */

static Size effective_batch_bytes(rd_kafka_conf_t *conf);
static rd_kafka_t *new_producer(KafkaSink *sink);
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
	static const uint64 one = 1;
	HASHCTL info = {.keysize = sizeof(int32), .entrysize = sizeof(KafkaRouteEntry), .hcxt = sink->state->context};

	sink->routes = hash_create("outbox kafka routes", 64, &info, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	sink->isolating = isolated_messages_left > 0;
	sink->rk = new_producer(sink);
	sink->queue = rd_kafka_queue_get_main(sink->rk);
	rd_kafka_queue_io_event_enable(sink->queue, sink->event_fd, &one, sizeof(one));
	if (rd_kafka_set_log_queue(sink->rk, NULL) != RD_KAFKA_RESP_ERR_NO_ERROR)
		elog(ERROR, "could not direct librdkafka's log to its main queue");
}

static rd_kafka_t *
new_producer(KafkaSink *sink)
{
	rd_kafka_conf_t *conf = KafkaBuildConf(sink->state->options, sink->state->noptions, &batch_limits);
	rd_kafka_t *rk;
	sigset_t saved;
	char reason[512];

	sink->batch_bytes = effective_batch_bytes(conf);
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
				 errhint("Correct the sink's options: drop it and create it again.")));
	}
	return rk;
}

static Size
effective_batch_bytes(rd_kafka_conf_t *conf)
{
	char value[32] = "";
	size_t size = sizeof(value);

	if (rd_kafka_conf_get(conf, "batch.size", value, &size) != RD_KAFKA_CONF_OK)
		return MaxAllocSize;
	return strtoul(value, NULL, 10);
}

/* Safe to call for a producer that was never opened, or only half. */
void
KafkaProducerClose(KafkaSink *sink)
{
	rd_kafka_t *rk = sink->rk;
	struct timespec deadline;
	sigset_t saved;
	pthread_t thread;
	bool started;

	if (sink->queue != NULL)
	{
		/* A producer that lingers must not write to a descriptor that means something else by then. */
		rd_kafka_queue_io_event_enable(sink->queue, -1, NULL, 0);
		rd_kafka_queue_destroy(sink->queue);
		sink->queue = NULL;
	}
	KafkaForgetRoutes(sink);
	sink->rk = NULL;
	sink->outstanding = 0;
	if (rk == NULL)
		return;

	KafkaBlockSignals(&saved);
	started = pthread_create(&thread, NULL, destroy_producer, rk) == 0;
	if (!started)
		destroy_producer(rk);
	else
	{
		clock_gettime(CLOCK_REALTIME, &deadline);
		deadline.tv_sec += CLOSE_TIMEOUT_SECONDS;
		started = pthread_timedjoin_np(thread, NULL, &deadline) != 0;
		if (started)
			pthread_detach(thread);
	}
	KafkaRestoreSignals(&saved);
	if (started)
		ereport(LOG,
				(errmsg("producer of sink \"%s\" did not stop within %d s and is left behind",
						sink->state->sink_name, CLOSE_TIMEOUT_SECONDS)));
}

/* Runs in a thread of its own: nothing of the server may be called here. */
static void *
destroy_producer(void *rk)
{
	rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	return NULL;
}

/* A quarter of the size each time, or one record at a time when size is not what was refused. */
void
KafkaShrinkBatches(KafkaSink *sink, bool too_large)
{
	if (too_large && sink->batch_bytes > BATCH_BYTES_MIN)
	{
		batch_limits.bytes = Max(sink->batch_bytes / 4, BATCH_BYTES_MIN);
		return;
	}
	batch_limits.messages = 1;
	isolated_messages_left = sink->outstanding + 1;
}

void
KafkaIsolatedMessageDone(void)
{
	if (isolated_messages_left > 0 && --isolated_messages_left == 0)
		batch_limits.messages = 0;
}

/* True when this producer sends single records and need not any more. */
bool
KafkaIsolationOver(const KafkaSink *sink)
{
	return sink->isolating && isolated_messages_left == 0;
}
