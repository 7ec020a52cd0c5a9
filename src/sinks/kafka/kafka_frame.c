/*-------------------------------------------------------------------------
 *
 * kafka_frame.c
 *	  The bytes in front of an Avro payload that name its schema.
 *
 * With a registry: Confluent's wire format, a zero byte and the registered id
 * in network order.  Without: Avro's single-object encoding, C3 01 and the
 * CRC-64-AVRO fingerprint in little-endian order (Avro specification 1.11,
 * "Single-object encoding").
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "kafka_sink.h"

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

/* librdkafka copies the value anyway and has no gathering call, so it is put together in a reused buffer. */
void
KafkaFrameValue(KafkaSink *sink, const KafkaRoute *route, const OutboxSlice *payload, void **value, size_t *len)
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
