/*-------------------------------------------------------------------------
 *
 * kafka_acks.c
 *	  Acks that wait until the relay takes them.
 *
 * Their memory is reserved before a message is taken, so that a report of
 * librdkafka can always be kept.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "utils/memutils.h"

#include "kafka_sink.h"
#include "sinks/kafka/registry/kafka_registry.h"

/* The attempt's low 16 bits, then 48 bits of index: an opaque is one pointer. */
#define OPAQUE_INDEX_BITS 48
#define OPAQUE_INDEX_MASK ((UINT64CONST(1) << OPAQUE_INDEX_BITS) - 1)

static void refuse(KafkaSink *sink, OutboxAck *ack, const char *detail);

/* A position as librdkafka carries it beside a message. */
void *
KafkaOpaque(OutboxPosition position)
{
	if (position.index > OPAQUE_INDEX_MASK)
		elog(ERROR, "message index " UINT64_FORMAT " does not fit into an opaque", position.index);
	return (void *) (uintptr_t) (((uint64) (position.attempt & 0xFFFF) << OPAQUE_INDEX_BITS) | position.index);
}

/* Room for n more acks on top of those that librdkafka still owes, so that reading reports cannot run out of memory. */
void
KafkaReserveAcks(KafkaSink *sink, int n)
{
	KafkaAckQueue *acks = &sink->acks;
	Size needed = (acks->tail - acks->head) + sink->outstanding + sink->held + n;

	if (acks->head > 0)
	{
		memmove(acks->items, acks->items + acks->head, sizeof(OutboxAck) * (acks->tail - acks->head));
		acks->tail -= acks->head;
		acks->head = 0;
	}
	if (needed <= acks->capacity)
		return;
	needed = Max(needed, (Size) acks->capacity * 2);
	if (acks->items == NULL)
		acks->items = MemoryContextAllocHuge(sink->state->context, sizeof(OutboxAck) * needed);
	else
		acks->items = repalloc_huge(acks->items, sizeof(OutboxAck) * needed);
	acks->capacity = needed;
}

void
KafkaAddAck(KafkaSink *sink, const OutboxAck *ack)
{
	Assert(sink->acks.tail < sink->acks.capacity);
	sink->acks.items[sink->acks.tail++] = *ack;
}

/* The position that an opaque of the present attempt stands for. */
OutboxPosition
KafkaPositionOf(const KafkaSink *sink, const void *opaque)
{
	return (OutboxPosition){.attempt = sink->state->attempt, .index = (uint64) (uintptr_t) opaque & OPAQUE_INDEX_MASK};
}

/* The relay shall hand the record of this opaque over again; reason: why. */
void
KafkaReturn(KafkaSink *sink, void *opaque, const char *reason)
{
	OutboxAck ack = {.position = KafkaPositionOf(sink, opaque), .status = OUTBOX_ACK_RETRY};

	ack.detail = KafkaAckText(sink, reason);
	KafkaAddAck(sink, &ack);
	KafkaSignalSelf(sink);
}

/*
 * A message that never got as far as librdkafka.  What comes behind it waits
 * until the relay knows: it may want to hold events back.
 */
void
KafkaBlock(KafkaSink *sink, const OutboxMessage *message, bool only_schema, const char *detail)
{
	OutboxAck ack = {.position = message->position, .status = OUTBOX_ACK_BLOCKED, .only_schema = only_schema};

	refuse(sink, &ack, detail);
}

/*
 * What was taken of the same key, or of the same topic if that takes nothing,
 * is given back with it.
 */
void
KafkaNotProduced(KafkaSink *sink, KafkaTopic *topic, const KafkaRecord *record, rd_kafka_resp_err_t err)
{
	OutboxAck ack = {.position = KafkaPositionOf(sink, record->opaque)};
	char reason[512];

	KafkaDescribe(reason, sizeof(reason), topic->name, err);
	switch (KafkaJudge(err))
	{
		case KAFKA_TOO_BIG:
		case KAFKA_REJECT:
			if (err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
				snprintf(reason, sizeof(reason), "topic \"%s\": the message is larger than the sink's message.max.bytes", topic->name);
			ack.status = OUTBOX_ACK_REJECT;
			refuse(sink, &ack, reason);
			KafkaGiveBack(sink, topic, record, reason);
			break;
		case KAFKA_BLOCKED:
			ack.status = OUTBOX_ACK_BLOCKED;
			refuse(sink, &ack, reason);
			KafkaDistrustTopic(topic);
			KafkaGiveBack(sink, topic, NULL, reason);
			break;
		default:
			KafkaFail(sink, reason);
			KafkaReturn(sink, record->opaque, sink->failure);
			break;
	}
}

static void
refuse(KafkaSink *sink, OutboxAck *ack, const char *detail)
{
	ack->detail = KafkaAckText(sink, detail);
	KafkaAddAck(sink, ack);
	sink->unheard = true;
	KafkaSignalSelf(sink);
}

/* Hands over up to max acks; a registration travels with the first. */
int
KafkaTakeAcks(KafkaSink *sink, OutboxAck *acks, int max)
{
	KafkaAckQueue *queue = &sink->acks;
	int n = Min(max, queue->tail - queue->head);
	int i;

	if (n <= 0)
		return 0;
	memcpy(acks, queue->items + queue->head, sizeof(OutboxAck) * n);
	queue->head += n;
	if (queue->head == queue->tail)
		sink->unheard = false;
	for (i = 0; sink->registry != NULL && i < n; i++)
	{
		if (!KafkaRegistryNews(sink->registry, &acks[i]))
			break;
	}
	return n;
}

/* Makes the descriptor readable again: there is more than one call could take. */
void
KafkaSignalSelf(KafkaSink *sink)
{
	uint64 one = 1;

	if (write(sink->event_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full, so it is readable */
}

/* A copy that lives as long as the ack; thousands of messages fail for one reason. */
const char *
KafkaAckText(KafkaSink *sink, const char *text)
{
	if (sink->last_text == NULL || strcmp(sink->last_text, text) != 0)
		sink->last_text = MemoryContextStrdup(sink->report_context, text);
	return sink->last_text;
}
