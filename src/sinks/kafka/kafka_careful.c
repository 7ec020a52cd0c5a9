/*-------------------------------------------------------------------------
 *
 * kafka_careful.c
 *	  Topics that refused something: their records go one by one for a while.
 *
 * A broker refuses a batch as a whole, and a refusal ends the life of an
 * idempotent producer without gaps.  So after a refusal the records of the
 * topic go through a second producer, one of each partition at a time.  It is
 * not idempotent: with one record under way nothing can overtake, and a
 * refusal means this record, and costs nothing.  When enough of them went
 * through, the topic goes back to its ordinary producer.
 *
 * What is remembered here outlives an attempt on purpose: the next attempt has
 * to do better.  A relay process serves one sink; its replays share it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "kafka_sink.h"

/* A topic that refuses now and then stays careful: each way back that was too early costs an attempt. */
#define QUIET_MS 10000

/* Batches are not made smaller than this by refusals of their size. */
#define BATCH_BYTES_MIN 4096

typedef struct CarefulTopic
{
	struct CarefulTopic *next;
	char *name;
	uint64 left; /* so many records are to go through */
	TimestampTz refused_at;
	int bytes_before; /* batch_limits.bytes when its batch was refused; -1: that was not changed */
} CarefulTopic;

static CarefulTopic *careful_topics;
static KafkaBatchLimits batch_limits;

static CarefulTopic *find(const char *name);

const KafkaBatchLimits *
KafkaCurrentLimits(void)
{
	return &batch_limits;
}

/* Batches of a quarter of the size, too, if it may have been the batch that was too large and not a record. */
void
KafkaBeCareful(const KafkaSink *sink, const KafkaTopic *refusing, bool too_large, bool alone)
{
	const char *name = refusing->name;
	CarefulTopic *topic = find(name);

	if (topic == NULL)
	{
		topic = MemoryContextAllocZero(TopMemoryContext, sizeof(CarefulTopic));
		topic->name = MemoryContextStrdup(TopMemoryContext, name);
		topic->bytes_before = -1;
		topic->next = careful_topics;
		careful_topics = topic;
	}
	topic->left += Max(refusing->count, 1); /* for each record of the batch: the other partitions' count, too */
	topic->refused_at = GetCurrentTimestamp();
	if (too_large && !alone && topic->bytes_before < 0)
	{
		topic->bytes_before = batch_limits.bytes;
		batch_limits.bytes = Max((int) Min(sink->batch_bytes, PG_INT32_MAX) / 4, BATCH_BYTES_MIN);
	}
}

bool
KafkaIsCareful(const char *name)
{
	return find(name) != NULL;
}

/* So it was not the size of the batch. */
void
KafkaCarefulRefused(const char *name)
{
	CarefulTopic *topic = find(name);

	if (topic == NULL)
		return;
	topic->refused_at = GetCurrentTimestamp();
	if (topic->bytes_before >= 0)
		batch_limits.bytes = topic->bytes_before;
	topic->bytes_before = -1;
}

void
KafkaCarefulDone(const char *name)
{
	CarefulTopic *topic = find(name);

	if (topic != NULL && topic->left > 0)
		topic->left--;
}

bool
KafkaCarefulOver(const KafkaSink *sink, const char *name)
{
	const CarefulTopic *topic = find(name);

	return topic == NULL || (topic->left == 0 && TimestampDifferenceExceeds(topic->refused_at, sink->now, QUIET_MS));
}

void
KafkaCarefulEnd(const char *name)
{
	CarefulTopic **link = &careful_topics;

	while (*link != NULL)
	{
		CarefulTopic *topic = *link;

		if (strcmp(topic->name, name) != 0)
		{
			link = &topic->next;
			continue;
		}
		*link = topic->next;
		pfree(topic->name);
		pfree(topic);
	}
}

static CarefulTopic *
find(const char *name)
{
	CarefulTopic *topic = careful_topics;

	while (topic != NULL && strcmp(topic->name, name) != 0)
		topic = topic->next;
	return topic;
}
