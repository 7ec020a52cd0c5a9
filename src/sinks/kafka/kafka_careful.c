/*-------------------------------------------------------------------------
 *
 * kafka_careful.c
 *	  Topics that refused something: each of their records goes by itself for a while.
 *
 * A broker refuses a batch as a whole, and a refusal ends the life of an
 * idempotent producer without gaps.  So after a refusal the records of the
 * topic go through a second producer, each in a batch of its own, one of each
 * key at a time.  It is not idempotent: with one record of a key under way
 * nothing can overtake in its key, and a refusal means this record, and costs
 * nothing.  When enough of them went through, the topic goes back to its
 * ordinary producer.
 *
 * What is remembered here outlives an attempt on purpose: the next attempt has
 * to do better.  A relay process serves one sink; its replays share it.  It was
 * learned of brokers, with sizes, that the options name, so it is void when they
 * change.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
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

/* Keys are told apart by 64 bits of hash: two that share them wait for each other. */
typedef struct KafkaKey
{
	uint64 hash; /* hash key */
	int held;
	int under_way;
} KafkaKey;

static CarefulTopic *careful_topics;
static KafkaBatchLimits batch_limits;
static uint64 learned_with; /* hash of the options */

static CarefulTopic *find(const char *name);
static const KafkaKey *find_key(const KafkaTopic *topic, const KafkaRecord *record);

void
KafkaCarefulBegin(const OutboxSinkOption *options, int noptions)
{
	uint64 hash = 0;
	int i;

	for (i = 0; i < noptions; i++)
	{
		hash = hash_combine64(hash, hash_bytes_extended((const unsigned char *) options[i].name, strlen(options[i].name), 0));
		hash = hash_combine64(hash, hash_bytes_extended((const unsigned char *) options[i].value, strlen(options[i].value), 0));
	}
	if (hash == learned_with)
		return;
	while (careful_topics != NULL)
		KafkaCarefulEnd(careful_topics->name);
	batch_limits = (KafkaBatchLimits){0};
	learned_with = hash;
}

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
		return;
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

/* ---- keys -------------------------------------------------------------------------- */

void
KafkaKeysOpen(KafkaSink *sink, KafkaTopic *topic)
{
	HASHCTL info = {.keysize = sizeof(uint64), .entrysize = sizeof(KafkaKey), .hcxt = sink->state->context};

	topic->keys = hash_create("outbox kafka keys", 256, &info, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

void
KafkaKeysClose(KafkaTopic *topic)
{
	if (topic->keys != NULL)
		hash_destroy(topic->keys);
	topic->keys = NULL;
}

/* Records without a key have no order. */
void
KafkaKeyCount(KafkaTopic *topic, const void *key, Size len, int held, int under_way)
{
	uint64 hash;
	KafkaKey *entry;
	bool found;

	if (key == NULL)
		return;
	hash = hash_bytes_extended(key, (int) len, 0);
	entry = hash_search(topic->keys, &hash, HASH_ENTER, &found);
	if (!found)
		entry->held = entry->under_way = 0;
	entry->held += held;
	entry->under_way += under_way;
	if (entry->held <= 0 && entry->under_way <= 0)
		(void) hash_search(topic->keys, &hash, HASH_REMOVE, NULL);
}

bool
KafkaKeyIsUnderWay(const KafkaTopic *topic, const KafkaRecord *record)
{
	const KafkaKey *key = find_key(topic, record);

	return key != NULL && key->under_way > 0;
}

bool
KafkaKeyIsHeld(const KafkaTopic *topic, const KafkaRecord *record)
{
	const KafkaKey *key = find_key(topic, record);

	return key != NULL && key->held > 0;
}

static const KafkaKey *
find_key(const KafkaTopic *topic, const KafkaRecord *record)
{
	uint64 hash;

	if (record->key == NULL)
		return NULL;
	hash = hash_bytes_extended(record->key, (int) record->key_len, 0);
	return hash_search(topic->keys, &hash, HASH_FIND, NULL);
}
