/*-------------------------------------------------------------------------
 *
 * kafka_record.c
 *	  A message as a record: its frame, and its way to librdkafka.
 *
 * The frame, the bytes in front of an Avro payload, names the payload's schema.
 * With a registry: Confluent's wire format, a zero byte and the registered id
 * in network order.  Without: Avro's single-object encoding, C3 01 and the
 * CRC-64-AVRO fingerprint in little-endian order (Avro specification 1.11,
 * "Single-object encoding").
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/timestamp.h"

#include "kafka_sink.h"
#include "sinks/kafka/registry/kafka_registry.h"

/* Bytes of a name that an error shows: one that cannot be used may be longer than what status has room for. */
#define SHOWN_NAME 100

static void block_too_long(KafkaSink *sink, const KafkaRoute *route, const OutboxMessage *message);
static bool take_unregistered(KafkaSink *sink, KafkaRoute *route, const OutboxMessage *message);
static void frame_value(KafkaSink *sink, const KafkaRoute *route, const OutboxSlice *payload, void **value, size_t *len);

/*
 * Hands a message to librdkafka, or adds the ack that says why it cannot go.
 * False: neither, it is to be offered again.
 */
bool
KafkaTakeMessage(KafkaSink *sink, const OutboxMessage *message)
{
	KafkaRoute *route = KafkaFindRoute(sink, message);
	KafkaRecord record = {.key = message->key.data, .key_len = message->key.len};
	rd_kafka_resp_err_t err;

	if (unlikely(route->topic == NULL))
	{
		block_too_long(sink, route, message);
		return true;
	}
	if (unlikely(route->frame_len == 0))
		return take_unregistered(sink, route, message);

	record.opaque = KafkaOpaque(message->position);
	record.headers = KafkaBuildHeaders(sink, route, message);
	frame_value(sink, route, &message->payload, &record.value, &record.value_len);
	err = KafkaOffer(sink, route->topic, &record);
	if (likely(err == RD_KAFKA_RESP_ERR_NO_ERROR))
		return true;
	if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL)
		KafkaNotProduced(sink, route->topic, &record, err);
	if (record.headers != NULL)
		rd_kafka_headers_destroy(record.headers);
	return err != RD_KAFKA_RESP_ERR__QUEUE_FULL;
}

/* Its topic's events wait until the topic, or the option topic.prefix, has another name. */
static void
block_too_long(KafkaSink *sink, const KafkaRoute *route, const OutboxMessage *message)
{
	const char *name = route->topic_name;
	Size len = strlen(name);
	char *reason = psprintf("could not use topic \"%.*s...\": its name has %zu bytes. "
							"Topic names have up to 249 letters, digits, dots, underscores and hyphens.",
							pg_encoding_mbcliplen(PG_UTF8, name, len, SHOWN_NAME), name, len);

	KafkaBlock(sink, message, false, reason);
	pfree(reason);
}

/* The registry answers in a moment, or the events of this schema have to wait. */
static bool
take_unregistered(KafkaSink *sink, KafkaRoute *route, const OutboxMessage *message)
{
	if (route->obstacle != NULL)
	{
		KafkaBlock(sink, message, true, route->obstacle);
		pfree(route->obstacle);
		route->obstacle = NULL; /* the next one asks again */
		route->asked_at = 0;
		return true;
	}
	if (route->asked_at == 0)
		route->asked_at = GetCurrentTimestamp();
	if (!TimestampDifferenceExceeds(route->asked_at, GetCurrentTimestamp(), KAFKA_REGISTRY_PATIENCE_MS))
		return false;
	KafkaBlock(sink, message, true, psprintf("the schema registry at %s does not answer", sink->config.registry_url));
	KafkaRegistryGaveUp(sink->registry, route);
	route->asked_at = 0;
	return true;
}

void
KafkaPrepareFrame(KafkaRoute *route, bool with_registry)
{
	uint32 id = (uint32) route->registered_id;
	int i;

	if (with_registry)
	{
		route->frame[0] = 0;
		for (i = 0; i < 4; i++)
			route->frame[1 + i] = (char) (id >> (24 - 8 * i));
		route->frame_len = 5;
		return;
	}
	route->frame[0] = (char) 0xC3;
	route->frame[1] = 0x01;
	for (i = 0; i < 8; i++)
		route->frame[2 + i] = (char) (route->schema->fingerprint >> (8 * i));
	route->frame_len = 10;
}

/*
 * Frame and payload in sink->value, valid until the next call; *value is NULL for a tombstone.
 *
 * librdkafka copies the value anyway and has no gathering call, so it is put together in a reused buffer.
 */
static void
frame_value(KafkaSink *sink, const KafkaRoute *route, const OutboxSlice *payload, void **value, size_t *len)
{
	*value = NULL;
	*len = 0;
	if (payload->data == NULL)
		return;

	resetStringInfo(&sink->value);
	enlargeStringInfo(&sink->value, route->frame_len + payload->len);
	memcpy(sink->value.data, route->frame, route->frame_len);
	memcpy(sink->value.data + route->frame_len, payload->data, payload->len);
	*value = sink->value.data;
	*len = route->frame_len + payload->len;
}
