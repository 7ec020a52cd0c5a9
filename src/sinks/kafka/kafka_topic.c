/*-------------------------------------------------------------------------
 *
 * kafka_topic.c
 *	  Topics of a producer's life: their partitions, and what waits for them.
 *
 * A broker that has no state of a producer for a partition accepts any first
 * sequence number.  So if two batches are under way and the first one fails,
 * the second is taken, and librdkafka concludes that the first one was, too.
 * Therefore one message of a partition is under way until the partition has
 * acknowledged something, and again when its last acknowledgement is too old
 * to rely on (README.md, "Acknowledged means it is there").  What comes behind
 * it is kept here, in order.
 *
 * The partition has to be known before a message is produced, so we choose it,
 * with librdkafka's own functions.  The number of partitions is known to
 * librdkafka only, and may change at any time: a callback compares it with the
 * number that we used, and refuses the message if they differ.  It also runs
 * in a thread of librdkafka, for the first message of a topic that was not
 * known yet.  So it touches nothing but KafkaShared.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "port/atomics.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "kafka_sink.h"
#include "sinks/topic_prefix.h"

/*
 * After so long without an acknowledgement several batches under way may meet
 * a broker that has forgotten the producer: another producer sends them.
 */
#define FORGOTTEN_MS 3600000

/* Not a partition: librdkafka gives the message back. */
#define NO_PARTITION PG_INT32_MAX

/* Shared with librdkafka's threads; malloc'ed, for a producer may be left behind. */
struct KafkaShared
{
	struct KafkaShared *next;
	KafkaTopic *topic;      /* for the main thread alone */
	int wake_fd;            /* our own, readable by the sink's epoll descriptor */
	volatile int expected;  /* the number of partitions that messages were spread over; 0: not known */
	volatile int counted;   /* the number that librdkafka uses; 0: not known */
	volatile int32 opening; /* where the message went that was produced when it was not known; -1: there is none */
	KafkaPartitioner choose;
};

static int32_t partition_cb(const rd_kafka_topic_t *rkt, const void *key, size_t keylen, int32_t count, void *shared, void *opaque);
static int32 choose(KafkaPartitioner choose, const rd_kafka_topic_t *rkt, const void *key, size_t keylen, int32 count, void *opaque);
static void open_handle(KafkaSink *sink, KafkaTopic *topic);
static struct KafkaShared *new_shared(KafkaSink *sink, KafkaTopic *topic);

/* ---- life of a topic ------------------------------------------------------------ */

/* The topic of that name. NULL: the name is too long for any broker. Raises when librdkafka gives no handle. */
KafkaTopic *
KafkaFindTopic(KafkaSink *sink, const char *name)
{
	KafkaTopic *topic;

	for (topic = sink->topics; topic != NULL; topic = topic->next)
	{
		if (strcmp(topic->name, name) == 0)
			return topic;
	}
	if (strlen(name) > TOPIC_MAX_BYTES)
		return NULL;
	topic = MemoryContextAllocZero(sink->state->context, sizeof(KafkaTopic));
	topic->name = MemoryContextStrdup(sink->state->context, name);
	topic->careful = KafkaIsCareful(name);
	open_handle(sink, topic);
	topic->next = sink->topics;
	sink->topics = topic;
	return topic;
}

static void
open_handle(KafkaSink *sink, KafkaTopic *topic)
{
	rd_kafka_t *rk = topic->careful ? KafkaCarefulProducer(sink) : sink->rk;
	rd_kafka_topic_conf_t *conf;

	topic->shared = new_shared(sink, topic);
	topic->rk = rk;
	conf = rd_kafka_default_topic_conf_dup(rk);
	rd_kafka_topic_conf_set_opaque(conf, topic->shared);
	rd_kafka_topic_conf_set_partitioner_cb(conf, partition_cb);
	topic->handle = rd_kafka_topic_new(rk, topic->name, conf);
	if (topic->handle == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("could not use topic \"%s\": %s", topic->name, rd_kafka_err2str(rd_kafka_last_error()))));
	sink->uncounted++;
	if (topic->careful)
		KafkaKeysOpen(sink, topic);
}

static struct KafkaShared *
new_shared(KafkaSink *sink, KafkaTopic *topic)
{
	struct KafkaShared *shared = calloc(1, sizeof(struct KafkaShared));

	if (shared == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	shared->wake_fd = dup(sink->event_fd);
	shared->topic = topic;
	shared->opening = -1;
	shared->choose = sink->partitioner;
	shared->next = sink->shared;
	sink->shared = shared;
	return shared;
}

/* Releases the handles, before their producers go. Never raises. */
void
KafkaForgetTopics(KafkaSink *sink)
{
	for (KafkaTopic *topic = sink->topics; topic != NULL; topic = topic->next)
	{
		for (int i = -1; i < topic->npartitions; i++)
		{
			KafkaPartition *partition = i < 0 ? &topic->unassigned : &topic->partitions[i];

			while (partition->first != NULL)
				KafkaDropFirst(sink, topic, partition);
		}
		if (topic->handle != NULL)
			rd_kafka_topic_destroy(topic->handle);
	}
	sink->topics = NULL;
	sink->uncounted = 0;
}

/* When no thread of librdkafka can call partition_cb any more. */
void
KafkaFreeShared(KafkaSink *sink)
{
	while (sink->shared != NULL)
	{
		struct KafkaShared *next = sink->shared->next;

		if (sink->shared->wake_fd >= 0)
			close(sink->shared->wake_fd);
		free(sink->shared);
		sink->shared = next;
	}
}

/* ---- which partition ------------------------------------------------------------ */

/* Keys are never random: equal keys, also empty ones, go to equal partitions. */
KafkaPartitioner
KafkaFindPartitioner(const char *name)
{
	if (strncmp(name, "consistent", strlen("consistent")) == 0)
		return rd_kafka_msg_partitioner_consistent;
	if (strncmp(name, "fnv1a", strlen("fnv1a")) == 0)
		return rd_kafka_msg_partitioner_fnv1a;
	if (strcmp(name, "random") == 0)
		return NULL;
	return rd_kafka_msg_partitioner_murmur2;
}

/* librdkafka asks for the partition of a message, in whatever thread. */
static int32_t
partition_cb(const rd_kafka_topic_t *rkt, const void *key, size_t keylen, int32_t count, void *shared_ptr, void *opaque)
{
	struct KafkaShared *shared = shared_ptr;
	static const uint64 one = 1;
	int32 partition = choose(shared->choose, rkt, key, keylen, count, opaque);
	int expected = shared->expected;

	if (likely(expected == count))
		return partition;
	if (expected == 0)
		shared->opening = partition;
	pg_write_barrier();
	shared->counted = count;
	if (write(shared->wake_fd, &one, sizeof(one)) < 0)
		return expected == 0 ? partition : NO_PARTITION; /* readable already */
	return expected == 0 ? partition : NO_PARTITION;
}

/* Without a key there is no order, so any partition will do. */
static int32
choose(KafkaPartitioner partitioner, const rd_kafka_topic_t *rkt, const void *key, size_t keylen, int32 count, void *opaque)
{
	if (key == NULL || partitioner == NULL)
		return (int32) ((uintptr_t) opaque % (uintptr_t) count);
	return partitioner(rkt, key, keylen, count, NULL, NULL);
}

KafkaPartition *
KafkaPartitionOf(KafkaTopic *topic, const KafkaRecord *record)
{
	if (topic->count == 0)
		return &topic->unassigned;
	return &topic->partitions[choose(topic->shared->choose, topic->handle, record->key, record->key_len, topic->count, record->opaque)];
}

bool
KafkaCountDiffers(const KafkaTopic *topic)
{
	int counted = topic->shared->counted;

	return counted != topic->count && counted != 0;
}

/* Takes over librdkafka's number of partitions. True: it differs from the one that was used. */
bool
KafkaLearnCount(KafkaSink *sink, KafkaTopic *topic)
{
	struct KafkaShared *shared = topic->shared;
	int count = shared->counted;

	if (likely(!KafkaCountDiffers(topic)))
		return false;
	pg_read_barrier();
	if (count > topic->npartitions)
	{
		Size size = sizeof(KafkaPartition) * count;

		if (topic->partitions == NULL)
			topic->partitions = MemoryContextAlloc(sink->state->context, size);
		else
			topic->partitions = repalloc(topic->partitions, size);
		memset(&topic->partitions[topic->npartitions], 0, sizeof(KafkaPartition) * (count - topic->npartitions));
		topic->npartitions = count;
	}
	/* fewer partitions than before: the topic was made anew */
	if (count < topic->count)
		KafkaDistrustTopic(topic);
	if (topic->count == 0)
	{
		sink->uncounted--;
		topic->opening = shared->opening;
		if (topic->opening >= 0)
		{
			topic->partitions[topic->opening].under_way = topic->unassigned.under_way;
			topic->partitions[topic->opening].most = topic->unassigned.under_way;
			topic->partitions[topic->opening].since = sink->now;
			topic->unassigned.under_way = 0;
		}
	}
	topic->count = count;
	shared->expected = count;
	KafkaSpread(sink, topic);
	sink->release_all |= topic->held > 0;
	return true;
}

/* Numbers of partitions that a thread of librdkafka has heard of meanwhile. */
void
KafkaLearnCounts(KafkaSink *sink)
{
	if (likely(sink->uncounted == 0))
		return;
	for (KafkaTopic *topic = sink->topics; topic != NULL; topic = topic->next)
	{
		if (topic->count == 0)
			(void) KafkaLearnCount(sink, topic);
	}
}

/* The broker may have lost its state of every partition. */
void
KafkaDistrustTopic(KafkaTopic *topic)
{
	for (int i = 0; i < topic->npartitions; i++)
		topic->partitions[i].acked_at = 0;
}

/* ---- reports ------------------------------------------------------------------------ */

/* The topic and the partition of a report; what is under way there is one less. */
KafkaTopic *
KafkaReported(KafkaSink *sink, const rd_kafka_message_t *report, KafkaPartition **partition)
{
	KafkaTopic *topic = ((struct KafkaShared *) rd_kafka_topic_opaque(report->rkt))->topic;

	if (unlikely(topic->count == 0))
		(void) KafkaLearnCount(sink, topic);
	if (likely(report->partition >= 0 && report->partition < topic->npartitions))
		*partition = &topic->partitions[report->partition];
	else if (topic->unassigned.under_way > 0 || topic->opening < 0)
		*partition = &topic->unassigned;
	else
		*partition = &topic->partitions[topic->opening];
	if ((*partition)->under_way > 0)
		(*partition)->under_way--;
	(*partition)->since = sink->now;
	topic->under_way--;
	sink->outstanding--;
	if (unlikely(topic->keys != NULL))
		KafkaKeyCount(topic, report->key, report->key_len, 0, -1);
	return topic;
}

/* ---- out of careful mode ------------------------------------------------------------ */

/* Nothing of the topic may be under way when it changes its producer. */
void
KafkaLeaveCareful(KafkaSink *sink, KafkaTopic *topic)
{
	if (topic->under_way > 0)
		return;
	KafkaCarefulEnd(topic->name);
	KafkaKeysClose(topic);
	rd_kafka_topic_destroy(topic->handle);
	topic->handle = NULL;
	topic->careful = false;
	topic->leaving = false;
	if (topic->count == 0)
		sink->uncounted--;
	topic->count = 0;
	KafkaDistrustTopic(topic);
	KafkaSpread(sink, topic);
	open_handle(sink, topic);
	sink->release_all |= topic->held > 0;
}

/* ---- long outages ------------------------------------------------------------------- */

/* Is there a partition whose broker may have forgotten the producer while several batches were under way? */
bool
KafkaForgotten(const KafkaSink *sink)
{
	for (const KafkaTopic *topic = sink->topics; topic != NULL; topic = topic->next)
	{
		for (int i = 0; i < topic->npartitions; i++)
		{
			const KafkaPartition *partition = &topic->partitions[i];

			if (partition->under_way > 1 && sink->now - partition->since > FORGOTTEN_MS * INT64CONST(1000))
				return true;
		}
	}
	return false;
}
