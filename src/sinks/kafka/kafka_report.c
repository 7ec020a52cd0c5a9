/*-------------------------------------------------------------------------
 *
 * kafka_report.c
 *	  What librdkafka reports, turned into acks and trouble.
 *
 * Everything arrives as events on one queue and is read in the relay's own
 * thread.  Which error means what is decided here (README.md, "What a failed
 * message means"): a record that the broker will never take is rejected,
 * everything else is retried by a new attempt, and nothing that was merely
 * purged or "possibly persisted" is acknowledged.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "kafka_sink.h"

/* The attempt's low 16 bits, then 48 bits of index: an opaque is one pointer. */
#define OPAQUE_INDEX_BITS 48
#define OPAQUE_INDEX_MASK ((UINT64CONST(1) << OPAQUE_INDEX_BITS) - 1)

/* syslog's level, as librdkafka has it */
#define LOG_DEBUG_LEVEL 7

typedef enum FailureKind
{
	FAILURE_CONSEQUENCE, /* of an earlier failure: thrown out, or behind a failed batch */
	FAILURE_TOO_LARGE,   /* the record, or the batch it was in */
	FAILURE_REFUSED,     /* the record, or another one of its batch */
	FAILURE_TOPIC,       /* everything of its topic */
	FAILURE_TRANSPORT    /* anything that another attempt may get over */
} FailureKind;

static void refuse(KafkaSink *sink, OutboxAck *ack, const char *detail);
static void serve_reports(KafkaSink *sink, rd_kafka_event_t *event);
static void serve_failure(KafkaSink *sink, const rd_kafka_message_t *report, OutboxPosition position);
static void blame(KafkaSink *sink, FailureKind kind, OutboxAckStatus status, const char *reason);
static const char *report_text(KafkaSink *sink, const char *text);
static FailureKind classify(rd_kafka_resp_err_t err);
static bool was_alone(const KafkaSink *sink, const rd_kafka_message_t *report, FailureKind kind);
static void serve_error(KafkaSink *sink, rd_kafka_event_t *event);
static void serve_log(KafkaSink *sink, rd_kafka_event_t *event);

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
	Size needed = (acks->tail - acks->head) + sink->outstanding + n;

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

/*
 * A message that never got as far as librdkafka.  What comes behind it waits
 * until the relay knows: it may want to hold events back.
 */
void
KafkaReject(KafkaSink *sink, const OutboxMessage *message, const char *detail)
{
	OutboxAck ack = {.position = message->position, .status = OUTBOX_ACK_REJECT};

	refuse(sink, &ack, detail);
}

void
KafkaBlock(KafkaSink *sink, const OutboxMessage *message, bool only_schema, const char *detail)
{
	OutboxAck ack = {.position = message->position, .status = OUTBOX_ACK_BLOCKED, .only_schema = only_schema};

	refuse(sink, &ack, detail);
}

static void
refuse(KafkaSink *sink, OutboxAck *ack, const char *detail)
{
	ack->detail = report_text(sink, detail);
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

void
KafkaServeEvents(KafkaSink *sink, int enough)
{
	rd_kafka_event_t *event;
	uint64 count;

	/* Read before the queue is: what arrives in between makes it readable again. */
	if (read(sink->event_fd, &count, sizeof(count)) < 0)
		count = 0;

	while (sink->acks.tail - sink->acks.head < enough)
	{
		event = rd_kafka_queue_poll(sink->queue, 0);
		if (event == NULL)
			return;
		switch (rd_kafka_event_type(event))
		{
			case RD_KAFKA_EVENT_DR:
				serve_reports(sink, event);
				break;
			case RD_KAFKA_EVENT_ERROR:
				serve_error(sink, event);
				break;
			case RD_KAFKA_EVENT_LOG:
				serve_log(sink, event);
				break;
			default:
				break;
		}
		rd_kafka_event_destroy(event);
	}
	KafkaSignalSelf(sink);
}

static void
serve_reports(KafkaSink *sink, rd_kafka_event_t *event)
{
	const rd_kafka_message_t *report;
	uint32 attempt = sink->state->attempt;
	bool progress = false;

	while ((report = rd_kafka_event_message_next(event)) != NULL)
	{
		uint64 opaque = (uint64) (uintptr_t) report->_private;
		OutboxAck ack = {.position = {.attempt = attempt, .index = opaque & OPAQUE_INDEX_MASK}};

		sink->outstanding--;
		if (unlikely((opaque >> OPAQUE_INDEX_BITS) != (attempt & 0xFFFF)))
			continue;
		if (unlikely(report->err != RD_KAFKA_RESP_ERR_NO_ERROR))
		{
			serve_failure(sink, report, ack.position);
			continue;
		}
		ack.status = OUTBOX_ACK_OK;
		KafkaAddAck(sink, &ack);
		progress = true;
		if (unlikely(sink->isolating))
			KafkaIsolatedMessageDone();
	}
	if (progress)
	{
		sink->progress_at = GetCurrentTimestamp();
		sink->error[0] = '\0';
	}
}

static void
serve_failure(KafkaSink *sink, const rd_kafka_message_t *report, OutboxPosition position)
{
	FailureKind kind = classify(report->err);
	OutboxAck ack = {.position = position, .status = OUTBOX_ACK_RETRY};
	char reason[512];

	if (kind == FAILURE_CONSEQUENCE && sink->failed)
		strlcpy(reason, sink->failure, sizeof(reason));
	else
	{
		snprintf(reason, sizeof(reason), "topic \"%s\": %s", rd_kafka_topic_name(report->rkt), rd_kafka_err2str(report->err));
		if ((kind == FAILURE_TOO_LARGE || kind == FAILURE_REFUSED) && was_alone(sink, report, kind))
			ack.status = OUTBOX_ACK_REJECT;
		/* whether librdkafka can go on is for it to say: a batch that failed at the broker is fatal to it */
		if (kind == FAILURE_TOPIC)
		{
			ack.status = OUTBOX_ACK_BLOCKED;
			sink->unheard = true;
		}
		else
			blame(sink, kind, ack.status, reason);
	}
	ack.detail = report_text(sink, reason);
	KafkaAddAck(sink, &ack);
}

/* The first message that failed by itself is the reason why the attempt ends. */
static void
blame(KafkaSink *sink, FailureKind kind, OutboxAckStatus status, const char *reason)
{
	if (sink->blamed)
		return;
	if (status == OUTBOX_ACK_RETRY && (kind == FAILURE_TOO_LARGE || kind == FAILURE_REFUSED))
		KafkaShrinkBatches(sink, kind == FAILURE_TOO_LARGE);
	KafkaFail(sink, reason);
	strlcpy(sink->failure, reason, sizeof(sink->failure));
	sink->blamed = true;
}

/* A copy that lives as long as the ack; thousands of messages fail for one reason. */
static const char *
report_text(KafkaSink *sink, const char *text)
{
	if (sink->last_text == NULL || strcmp(sink->last_text, text) != 0)
		sink->last_text = MemoryContextStrdup(sink->report_context, text);
	return sink->last_text;
}

static FailureKind
classify(rd_kafka_resp_err_t err)
{
	switch (err)
	{
		case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
		case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
		case RD_KAFKA_RESP_ERR__FATAL:
		case RD_KAFKA_RESP_ERR__DESTROY:
		case RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER:
			return FAILURE_CONSEQUENCE;
		case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
		case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
			return FAILURE_TOO_LARGE;
		case RD_KAFKA_RESP_ERR__BAD_MSG:
		case RD_KAFKA_RESP_ERR_INVALID_MSG:
		case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
		case RD_KAFKA_RESP_ERR_INVALID_RECORD:
		case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
		case RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT:
			return FAILURE_REFUSED;
		default:
			return KafkaBlocksTopic(err) ? FAILURE_TOPIC : FAILURE_TRANSPORT;
	}
}

bool
KafkaBlocksTopic(rd_kafka_resp_err_t err)
{
	switch (err)
	{
		case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
		case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
		case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
		case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION: /* a name that the broker does not accept */
			return true;
		default:
			return false;
	}
}

/* Whether the broker's answer can only have meant this record. */
static bool
was_alone(const KafkaSink *sink, const rd_kafka_message_t *report, FailureKind kind)
{
	if (sink->isolating)
		return true;
	return kind == FAILURE_TOO_LARGE && report->len + report->key_len >= sink->batch_bytes;
}

/*
 * After the first failure nothing more is taken and what librdkafka has not
 * sent yet is thrown out, so that nothing overtakes the failed message.
 */
void
KafkaFail(KafkaSink *sink, const char *reason)
{
	if (!sink->failed)
	{
		strlcpy(sink->failure, reason, sizeof(sink->failure));
		sink->failed_at = GetCurrentTimestamp();
		KafkaPurgeQueue(sink);
	}
	sink->failed = true;
}

/* Throws out what was not sent yet; each such message comes back as a report. */
void
KafkaPurgeQueue(KafkaSink *sink)
{
	(void) rd_kafka_purge(sink->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING);
}

static void
serve_error(KafkaSink *sink, rd_kafka_event_t *event)
{
	rd_kafka_resp_err_t err = rd_kafka_event_error(event);
	char reason[512];

	if (err == RD_KAFKA_RESP_ERR__FATAL)
	{
		(void) rd_kafka_fatal_error(sink->rk, reason, sizeof(reason));
		KafkaFail(sink, reason);
		return;
	}
	/* Keep the first words of a streak: "all brokers are down" says less than why. */
	if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && sink->error[0] != '\0')
		return;
	/* a listener that expects another protocol just hangs up */
	snprintf(sink->error, sizeof(sink->error), "%s%s", rd_kafka_event_error_string(event),
			 err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ? "; they gave no reason: is security.protocol that of the listener?" : "");
	sink->error_at = GetCurrentTimestamp();
}

/* librdkafka's own lines repeat what trouble_cb says, so they are for debugging; "debug" asks for them. */
static void
serve_log(KafkaSink *sink, rd_kafka_event_t *event)
{
	const char *facility;
	const char *text;
	char *line;
	int level;

	if (rd_kafka_event_log(event, &facility, &text, &level) != 0)
		return;
	line = pstrdup(text); /* brokers choose some of the words */
	for (char *c = line; *c != '\0'; c++)
	{
		if ((unsigned char) *c < ' ')
			*c = ' ';
	}
	ereport(level >= LOG_DEBUG_LEVEL ? LOG : DEBUG1,
			(errmsg_internal("sink \"%s\": librdkafka %s: %s", sink->state->sink_name, facility, line)));
	pfree(line);
}
