/*-------------------------------------------------------------------------
 *
 * kafka_held.c
 *	  Messages that wait in the sink until librdkafka may have them.
 *
 * One message of a partition is under way until the partition has acknowledged
 * something, and in a careful topic (kafka_careful.c) one of each key.  What
 * comes behind it is copied, and follows in order, partition by partition.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "kafka_sink.h"

/*
 * How long an acknowledgement proves that the broker has state.  Brokers keep
 * it for a day (producer.id.expiration.ms), but lose it when a partition's log
 * is made anew.  A short time costs one round trip after a quiet spell.
 */
#define TRUST_MS 10000

/* Records of a partition of a careful topic that may be under way together: each is a request of its own. */
#define CAREFUL_MOST 16

static bool may_send(const KafkaSink *sink, const KafkaTopic *topic, const KafkaPartition *partition, const KafkaRecord *record);
static rd_kafka_resp_err_t send_record(KafkaSink *sink, KafkaTopic *topic, KafkaPartition *partition, const KafkaRecord *record);
static rd_kafka_resp_err_t produce(const KafkaTopic *topic, const KafkaRecord *record);
static int compare_held(const void *a, const void *b);
static void hold(KafkaSink *sink, KafkaTopic *topic, KafkaPartition *partition, const KafkaRecord *record);
static void append(KafkaSink *sink, KafkaTopic *topic, KafkaPartition *partition, KafkaHeld *held);
static void put_first(KafkaSink *sink, KafkaTopic *topic, KafkaPartition *partition, KafkaHeld *held);
static KafkaHeld *take_first(KafkaSink *sink, KafkaTopic *topic, KafkaPartition *partition);
static void count_held(KafkaSink *sink, KafkaTopic *topic, const KafkaHeld *held, int change);
static void free_held(KafkaHeld *held);
static void give_back(KafkaSink *sink, KafkaTopic *topic, KafkaPartition *partition, const KafkaRecord *behind, const char *reason);
static bool same_key(const KafkaRecord *a, const KafkaRecord *b);
static void release(KafkaSink *sink, KafkaTopic *topic, KafkaPartition *partition);

/* ---- one after the other, or several ---------------------------------------------- */

static bool
may_send(const KafkaSink *sink, const KafkaTopic *topic, const KafkaPartition *partition, const KafkaRecord *record)
{
	if (topic->leaving)
		return false;
	if (unlikely(topic->careful))
		return partition->under_way < (topic->count > 0 ? CAREFUL_MOST : 1) && !KafkaKeyIsUnderWay(topic, record);
	if (partition->under_way == 0)
		return true;
	return partition->acked_at != 0 && sink->now - partition->acked_at < TRUST_MS * INT64CONST(1000);
}

/*
 * Takes a record: gives it to librdkafka or keeps a copy.  The headers are the
 * sink's from then on, unless an error is returned.
 */
rd_kafka_resp_err_t
KafkaOffer(KafkaSink *sink, KafkaTopic *topic, const KafkaRecord *record)
{
	if (unlikely(topic->careful) && KafkaCarefulOver(sink, topic->name))
	{
		topic->leaving = true;
		KafkaLeaveCareful(sink, topic);
	}
	for (;;)
	{
		KafkaPartition *partition = KafkaPartitionOf(topic, record);
		rd_kafka_resp_err_t err;

		if (partition->first != NULL || !may_send(sink, topic, partition, record))
		{
			hold(sink, topic, partition, record);
			return RD_KAFKA_RESP_ERR_NO_ERROR;
		}
		err = send_record(sink, topic, partition, record);
		if (likely(err != RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION) || !KafkaLearnCount(sink, topic))
			return err;
	}
}

static rd_kafka_resp_err_t
send_record(KafkaSink *sink, KafkaTopic *topic, KafkaPartition *partition, const KafkaRecord *record)
{
	rd_kafka_resp_err_t err = produce(topic, record);

	if (unlikely(err != RD_KAFKA_RESP_ERR_NO_ERROR))
		return err;
	if (partition->under_way++ == 0)
	{
		partition->since = sink->now;
		partition->most = 0;
	}
	partition->most = Max(partition->most, partition->under_way);
	topic->under_way++;
	sink->outstanding++;
	if (unlikely(topic->keys != NULL))
		KafkaKeyCount(topic, record->key, record->key_len, 0, 1);
	/* librdkafka may have known the topic */
	if (unlikely(topic->count == 0))
		(void) KafkaLearnCount(sink, topic);
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* No forced partition and no headers in the call's own list: 2.0.2 frees those twice when the topic is unknown. */
static rd_kafka_resp_err_t
produce(const KafkaTopic *topic, const KafkaRecord *record)
{
	rd_kafka_vu_t parts[] = {
		{.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = topic->handle},
		{.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
		{.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {.ptr = record->value, .size = record->value_len}},
		{.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {.ptr = (void *) record->key, .size = record->key_len}},
		{.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = record->opaque},
		{.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = record->headers},
	};
	rd_kafka_error_t *error;
	rd_kafka_resp_err_t err;

	if (record->headers == NULL)
	{
		if (rd_kafka_produce(topic->handle, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, record->value, record->value_len,
							 record->key, record->key_len, record->opaque) == 0)
			return RD_KAFKA_RESP_ERR_NO_ERROR;
		return rd_kafka_last_error();
	}
	error = rd_kafka_produceva(topic->rk, parts, lengthof(parts));
	if (likely(error == NULL))
		return RD_KAFKA_RESP_ERR_NO_ERROR;
	err = rd_kafka_error_code(error);
	rd_kafka_error_destroy(error);
	return err;
}

/* ---- what waits --------------------------------------------------------------------- */

static void
hold(KafkaSink *sink, KafkaTopic *topic, KafkaPartition *partition, const KafkaRecord *record)
{
	KafkaHeld *held = MemoryContextAllocHuge(sink->held_context, sizeof(KafkaHeld) + record->value_len + record->key_len);
	char *copy = (char *) (held + 1);

	*held = (KafkaHeld){.order = sink->taken++, .record = *record};
	if (record->value != NULL)
		held->record.value = memcpy(copy, record->value, record->value_len);
	if (record->key != NULL)
		held->record.key = memcpy(copy + record->value_len, record->key, record->key_len);
	append(sink, topic, partition, held);
}

static void
append(KafkaSink *sink, KafkaTopic *topic, KafkaPartition *partition, KafkaHeld *held)
{
	count_held(sink, topic, held, 1);
	held->next = NULL;
	if (partition->last == NULL)
		partition->first = held;
	else
		partition->last->next = held;
	partition->last = held;
}

static void
put_first(KafkaSink *sink, KafkaTopic *topic, KafkaPartition *partition, KafkaHeld *held)
{
	count_held(sink, topic, held, 1);
	held->next = partition->first;
	partition->first = held;
	if (partition->last == NULL)
		partition->last = held;
}

static KafkaHeld *
take_first(KafkaSink *sink, KafkaTopic *topic, KafkaPartition *partition)
{
	KafkaHeld *held = partition->first;

	partition->first = held->next;
	if (partition->first == NULL)
		partition->last = NULL;
	count_held(sink, topic, held, -1);
	return held;
}

static void
count_held(KafkaSink *sink, KafkaTopic *topic, const KafkaHeld *held, int change)
{
	topic->held += change;
	sink->held += change;
	if (unlikely(topic->keys != NULL))
		KafkaKeyCount(topic, held->record.key, held->record.key_len, change, 0);
}

void
KafkaDropFirst(KafkaSink *sink, KafkaTopic *topic, KafkaPartition *partition)
{
	free_held(take_first(sink, topic, partition));
}

static void
free_held(KafkaHeld *held)
{
	if (held->record.headers != NULL)
		rd_kafka_headers_destroy(held->record.headers);
	pfree(held);
}

/* Gives librdkafka what need not wait any more. */
static void
release(KafkaSink *sink, KafkaTopic *topic, KafkaPartition *partition)
{
	while (partition->first != NULL && !sink->failed && may_send(sink, topic, partition, &partition->first->record))
	{
		KafkaHeld *held = take_first(sink, topic, partition);
		rd_kafka_resp_err_t err = send_record(sink, topic, partition, &held->record);

		if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL || (err == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION && KafkaCountDiffers(topic)))
		{
			put_first(sink, topic, partition, held);
			/* if the number of partitions changed, everything is somewhere else then */
			(void) KafkaLearnCount(sink, topic);
			sink->release_all = true;
			return;
		}
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
			held->record.headers = NULL; /* librdkafka's */
		else
			KafkaNotProduced(sink, topic, &held->record, err);
		free_held(held);
	}
}

void
KafkaRelease(KafkaSink *sink)
{
	if (likely(!sink->release_all) || sink->failed)
		return;
	sink->release_all = false;
	for (KafkaTopic *topic = sink->topics; topic != NULL; topic = topic->next)
	{
		for (int i = -1; i < topic->npartitions && topic->held > 0; i++)
			release(sink, topic, i < 0 ? &topic->unassigned : &topic->partitions[i]);
	}
}

/*
 * Gives back what waits: of a topic, or of all topics when it is NULL; with
 * `behind`, what has that record's key.
 */
void
KafkaGiveBack(KafkaSink *sink, KafkaTopic *only, const KafkaRecord *behind, const char *reason)
{
	/* with thousands of rejections nobody could look through thousands of messages each time */
	if (behind != NULL && only != NULL && only->keys != NULL && !KafkaKeyIsHeld(only, behind))
		return;
	for (KafkaTopic *topic = only != NULL ? only : sink->topics; topic != NULL; topic = only != NULL ? NULL : topic->next)
	{
		for (int i = -1; i < topic->npartitions && topic->held > 0; i++)
			give_back(sink, topic, i < 0 ? &topic->unassigned : &topic->partitions[i], behind, reason);
	}
}

static void
give_back(KafkaSink *sink, KafkaTopic *topic, KafkaPartition *partition, const KafkaRecord *behind, const char *reason)
{
	KafkaPartition rest = {0};

	while (partition->first != NULL)
	{
		KafkaHeld *held = take_first(sink, topic, partition);

		if (behind != NULL && !same_key(behind, &held->record))
		{
			append(sink, topic, &rest, held);
			continue;
		}
		KafkaReturn(sink, held->record.opaque, reason);
		free_held(held);
	}
	partition->first = rest.first;
	partition->last = rest.last;
}

static bool
same_key(const KafkaRecord *a, const KafkaRecord *b)
{
	return a->key != NULL && b->key != NULL && a->key_len == b->key_len && memcmp(a->key, b->key, a->key_len) == 0;
}

/* After a report was dealt with: what it held back may go. */
void
KafkaGoOn(KafkaSink *sink, KafkaTopic *topic, KafkaPartition *partition)
{
	if (unlikely(topic->leaving))
		KafkaLeaveCareful(sink, topic);
	else if (unlikely(partition->first != NULL))
		release(sink, topic, partition);
}

/* What waits goes to the partitions where it belongs now, in the order in which it was taken. */
void
KafkaSpread(KafkaSink *sink, KafkaTopic *topic)
{
	KafkaHeld **all;
	int n = 0;

	if (topic->held == 0)
		return;
	all = palloc_extended(sizeof(KafkaHeld *) * topic->held, MCXT_ALLOC_HUGE);
	for (int i = -1; i < topic->npartitions; i++)
	{
		KafkaPartition *partition = i < 0 ? &topic->unassigned : &topic->partitions[i];

		while (partition->first != NULL)
			all[n++] = take_first(sink, topic, partition);
	}
	qsort(all, n, sizeof(KafkaHeld *), compare_held);
	for (int i = 0; i < n; i++)
		append(sink, topic, KafkaPartitionOf(topic, &all[i]->record), all[i]);
	pfree(all);
}

static int
compare_held(const void *a, const void *b)
{
	uint64 x = (*(KafkaHeld *const *) a)->order;
	uint64 y = (*(KafkaHeld *const *) b)->order;

	return x < y ? -1 : x > y;
}
