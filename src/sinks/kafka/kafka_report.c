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

#include "utils/timestamp.h"

#include "kafka_sink.h"

/* syslog's level, as librdkafka has it */
#define LOG_DEBUG_LEVEL 7

static void serve_queue(KafkaSink *sink, rd_kafka_queue_t *queue, int enough);
static void serve_reports(KafkaSink *sink, rd_kafka_event_t *event);
static void serve_report(KafkaSink *sink, const rd_kafka_message_t *report);
static void serve_failure(KafkaSink *sink, KafkaTopic *topic, const rd_kafka_message_t *report, bool alone);
static void refused_batch(KafkaSink *sink, KafkaTopic *topic, KafkaVerdict verdict, bool alone, const char *reason);
static void fail_attempt(KafkaSink *sink, const char *reason);
static void serve_error(KafkaSink *sink, rd_kafka_event_t *event);
static void serve_log(KafkaSink *sink, rd_kafka_event_t *event);

void
KafkaServeEvents(KafkaSink *sink, int enough)
{
	uint64 count;

	sink->now = GetCurrentTimestamp();
	/* Read before the queue is: what arrives in between makes it readable again. */
	if (read(sink->event_fd, &count, sizeof(count)) < 0)
		count = 0;

	KafkaLearnCounts(sink);
	serve_queue(sink, sink->queue, enough);
	KafkaRelease(sink);
}

/*
 * Reports of the careful producer.  Not while publishing: a rejection stops
 * publishing until the relay has heard of it, so a topic with many of them
 * would leave no room for others.  Until then its partitions are busy, and
 * nothing of its key passes it.
 */
void
KafkaServeCareful(KafkaSink *sink, int enough)
{
	if (sink->careful_queue != NULL)
		serve_queue(sink, sink->careful_queue, enough);
}

static void
serve_queue(KafkaSink *sink, rd_kafka_queue_t *queue, int enough)
{
	rd_kafka_event_t *event;

	while (sink->acks.tail - sink->acks.head < enough)
	{
		event = rd_kafka_queue_poll(queue, 0);
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

	while ((report = rd_kafka_event_message_next(event)) != NULL)
		serve_report(sink, report);
}

static void
serve_report(KafkaSink *sink, const rd_kafka_message_t *report)
{
	KafkaPartition *partition;
	KafkaTopic *topic = KafkaReported(sink, report, &partition);
	bool alone = topic->careful || (partition->under_way == 0 && partition->most == 1);

	if (likely(report->err == RD_KAFKA_RESP_ERR_NO_ERROR && report->offset >= 0 && !sink->doubted))
	{
		OutboxAck ack = {.position = KafkaPositionOf(sink, report->_private), .status = OUTBOX_ACK_OK};

		KafkaAddAck(sink, &ack);
		partition->acked_at = sink->now;
		sink->progress_at = sink->now;
		sink->error[0] = '\0';
		if (unlikely(topic->careful))
			KafkaCarefulDone(topic->name);
	}
	else
		serve_failure(sink, topic, report, alone);
	KafkaGoOn(sink, topic, partition);
}

/*
 * alone: there was nothing else in its batch.  An acknowledgement without an
 * offset is librdkafka's conclusion from a later one, not the broker's word.
 */
static void
serve_failure(KafkaSink *sink, KafkaTopic *topic, const rd_kafka_message_t *report, bool alone)
{
	KafkaVerdict verdict = KafkaJudge(report->err);
	OutboxAck ack = {.position = KafkaPositionOf(sink, report->_private), .status = OUTBOX_ACK_RETRY};
	KafkaRecord record = {.key = report->key, .key_len = report->key_len};
	char reason[512];

	KafkaDescribe(reason, sizeof(reason), topic->name, report->err);
	switch (verdict)
	{
		case KAFKA_OK:
			sink->doubted = true;
			snprintf(reason, sizeof(reason), "topic \"%s\": a batch was not acknowledged by itself, only a later one was", topic->name);
			fail_attempt(sink, reason);
			break;
		case KAFKA_BEHIND:
			if (sink->failed)
				strlcpy(reason, sink->failure, sizeof(reason));
			else
				fail_attempt(sink, reason);
			break;
		case KAFKA_TOO_BIG:
		case KAFKA_REJECT:
			if (alone)
				ack.status = OUTBOX_ACK_REJECT;
			if (topic->careful)
				KafkaCarefulRefused(topic->name);
			else
				refused_batch(sink, topic, verdict, alone, reason);
			break;
		case KAFKA_BLOCKED:
			/* whether librdkafka can go on is for it to say: a batch that failed at the broker is fatal to it */
			ack.status = OUTBOX_ACK_BLOCKED;
			KafkaDistrustTopic(topic);
			if (report->err > 0 && report->err != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART && !topic->careful)
				KafkaBeCareful(sink, topic, false, true);
			break;
		case KAFKA_RETRY:
			fail_attempt(sink, reason);
			break;
	}
	ack.detail = KafkaAckText(sink, reason);
	KafkaAddAck(sink, &ack);
	if (ack.status == OUTBOX_ACK_RETRY)
		return;
	sink->unheard = true;
	KafkaGiveBack(sink, topic, ack.status == OUTBOX_ACK_REJECT ? &record : NULL, reason);
}

/* A producer without gaps ends with it. */
static void
refused_batch(KafkaSink *sink, KafkaTopic *topic, KafkaVerdict verdict, bool alone, const char *reason)
{
	KafkaBeCareful(sink, topic, verdict == KAFKA_TOO_BIG, alone);
	fail_attempt(sink, reason);
}

/* The first message that failed by itself is the reason why the attempt ends. */
static void
fail_attempt(KafkaSink *sink, const char *reason)
{
	if (sink->blamed)
		return;
	KafkaFail(sink, reason);
	strlcpy(sink->failure, reason, sizeof(sink->failure));
	sink->blamed = true;
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
		sink->failed = true;
		KafkaPurgeQueue(sink);
		KafkaGiveBack(sink, NULL, NULL, reason);
	}
}

/* Throws out what was not sent yet; each such message comes back as a report. */
void
KafkaPurgeQueue(KafkaSink *sink)
{
	(void) rd_kafka_purge(sink->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING);
	if (sink->careful_rk != NULL)
		(void) rd_kafka_purge(sink->careful_rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING);
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
			 err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ? "; they gave no reason: do they run, and is security.protocol that of the listener?" : "");
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
