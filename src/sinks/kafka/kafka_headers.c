/*-------------------------------------------------------------------------
 *
 * kafka_headers.c
 *	  Message headers: CloudEvents 1.0, Kafka protocol binding, binary mode.
 *
 * Headers are the dearest part of producing (one allocation each in
 * librdkafka), so the numbers are formatted by hand into a buffer on the
 * stack and every name and value goes in with its length.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/datetime.h"

#include "kafka_sink.h"

#define CONTENT_TYPE "application/avro"

#define UUID_TEXT_LEN 36
#define SEQUENCE_TEXT_LEN 30 /* %010u-%019lld */
#define TIME_TEXT_MAX 40

/* Prefix and longest attribute name: the relay gives none that has more than the 20 characters of CloudEvents. */
#define EXTENSION_NAME_MAX 128

static void add(rd_kafka_headers_t *headers, const char *name, Size name_len, const char *value, Size len);
static void add_cloudevents(rd_kafka_headers_t *headers, const KafkaSink *sink, const KafkaRoute *route, const OutboxMessage *message);
static void add_columns(rd_kafka_headers_t *headers, const OutboxMessage *message);
static void add_marks(rd_kafka_headers_t *headers, const OutboxMessage *message);
static bool is_mark(const OutboxAttribute *attribute);
static int count_marks(const OutboxMessage *message);
static void add_extension(rd_kafka_headers_t *headers, const OutboxAttribute *attribute);
static char *put_digits(char *out, uint64 number, int digits);
static void put_uuid(char *out, const uint8 *id);
static void put_sequence(char *out, uint32 timeline, int64 seq);
static Size put_time(char *out, TimestampTz at);

/* For names that are literals. */
#define ADD(name, value, len) add(headers, (name), sizeof(name) - 1, (value), (len))

/*
 * ce_source is a URI reference, a database may have any name: bytes that a
 * path segment (RFC 3986, pchar) does not take are percent-encoded.
 */
char *
KafkaDefaultSource(const char *database)
{
	static const char taken[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,;=:@";
	StringInfoData source;

	initStringInfo(&source);
	appendStringInfoChar(&source, '/');
	for (const char *c = database; *c != '\0'; c++)
	{
		if (strchr(taken, *c) != NULL)
			appendStringInfoChar(&source, *c);
		else
			appendStringInfo(&source, "%%%02X", (unsigned char) *c);
	}
	return source.data;
}

rd_kafka_headers_t *
KafkaBuildHeaders(KafkaSink *sink, const KafkaRoute *route, const OutboxMessage *message)
{
	rd_kafka_headers_t *headers;
	char id[UUID_TEXT_LEN];

	if (sink->config.headers == KAFKA_HEADERS_NONE && count_marks(message) == 0 && message->nheaders == 0)
		return NULL;

	headers = rd_kafka_headers_new((sink->config.headers == KAFKA_HEADERS_CLOUDEVENTS ? 11 : 3) + message->nattributes + message->nheaders);
	add_columns(headers, message);
	if (sink->config.headers == KAFKA_HEADERS_NONE)
	{
		add_marks(headers, message);
		return headers;
	}
	put_uuid(id, message->id);
	ADD("ce_id", id, UUID_TEXT_LEN);
	ADD("ce_type", message->ce_type, strlen(message->ce_type));
	ADD("content-type", CONTENT_TYPE, strlen(CONTENT_TYPE));
	if (sink->config.headers == KAFKA_HEADERS_CLOUDEVENTS)
		add_cloudevents(headers, sink, route, message);
	else
		add_marks(headers, message);
	return headers;
}

/* What the contract asks for, whatever the option headers leaves out. */
static void
add_columns(rd_kafka_headers_t *headers, const OutboxMessage *message)
{
	int i;

	for (i = 0; i < message->nheaders; i++)
	{
		const OutboxAttribute *column = &message->headers[i];

		add(headers, column->name.data, column->name.len, column->value.data, column->value.len);
	}
}

/*
 * What says that a message does not stand where its change happened, and what a
 * consumer moves by from one version of a contract to the next: without it a
 * consumer takes old for new, or one change for two, so it is there whatever the
 * option headers leaves out. Ordinary messages have none of it.
 */
static void
add_marks(rd_kafka_headers_t *headers, const OutboxMessage *message)
{
	int i;

	for (i = 0; i < message->nattributes; i++)
	{
		if (is_mark(&message->attributes[i]))
			add_extension(headers, &message->attributes[i]);
	}
}

static int
count_marks(const OutboxMessage *message)
{
	int n = 0;
	int i;

	for (i = 0; i < message->nattributes; i++)
		n += is_mark(&message->attributes[i]);
	return n;
}

static bool
is_mark(const OutboxAttribute *attribute)
{
	static const char *const marks[] = {"replay", "redriven", "late", "superseded", "changeid", "sunset"};
	int i;

	for (i = 0; i < lengthof(marks); i++)
	{
		if (attribute->name.len == strlen(marks[i]) && memcmp(attribute->name.data, marks[i], attribute->name.len) == 0)
			return true;
	}
	return false;
}

static void
add_cloudevents(rd_kafka_headers_t *headers, const KafkaSink *sink, const KafkaRoute *route, const OutboxMessage *message)
{
	char sequence[SEQUENCE_TEXT_LEN];
	char at[TIME_TEXT_MAX];
	int i;

	ADD("ce_specversion", "1.0", strlen("1.0"));
	ADD("ce_source", sink->source, sink->source_len);
	if (message->key.data != NULL)
	{
		ADD("ce_subject", message->key.data, message->key.len);
		ADD("ce_partitionkey", message->key.data, message->key.len);
	}
	ADD("ce_time", at, put_time(at, message->occurred_at));
	ADD("ce_dataschema", route->dataschema, route->dataschema_len);
	put_sequence(sequence, message->timeline, message->seq);
	ADD("ce_sequence", sequence, SEQUENCE_TEXT_LEN);
	if (message->traceparent.data != NULL)
		ADD("ce_traceparent", message->traceparent.data, message->traceparent.len);
	for (i = 0; i < message->nattributes; i++)
		add_extension(headers, &message->attributes[i]);
}

static void
add_extension(rd_kafka_headers_t *headers, const OutboxAttribute *attribute)
{
	char name[EXTENSION_NAME_MAX];
	Size len = strlen("ce_") + attribute->name.len;

	if (len > sizeof(name))
		elog(ERROR, "attribute name \"%.*s\" is too long for a message header", (int) attribute->name.len, attribute->name.data);
	memcpy(name, "ce_", strlen("ce_"));
	memcpy(name + strlen("ce_"), attribute->name.data, attribute->name.len);
	add(headers, name, len, attribute->value.data, attribute->value.len);
}

static void
add(rd_kafka_headers_t *headers, const char *name, Size name_len, const char *value, Size len)
{
	/* Fails only for a header list that a message already owns. */
	(void) rd_kafka_header_add(headers, name, name_len, value, len);
}

static char *
put_digits(char *out, uint64 number, int digits)
{
	int i;

	for (i = digits - 1; i >= 0; i--)
	{
		out[i] = '0' + number % 10;
		number /= 10;
	}
	return out + digits;
}

static void
put_uuid(char *out, const uint8 *id)
{
	static const char hex[] = "0123456789abcdef";
	int i;

	for (i = 0; i < 16; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*out++ = '-';
		*out++ = hex[id[i] >> 4];
		*out++ = hex[id[i] & 0xF];
	}
}

/* Zero-padded, so that consumers may compare it as text: first the timeline, then seq. */
static void
put_sequence(char *out, uint32 timeline, int64 seq)
{
	out = put_digits(out, timeline, 10);
	*out++ = '-';
	put_digits(out, (uint64) seq, 19);
}

/* RFC 3339 in UTC with microseconds. */
static Size
put_time(char *out, TimestampTz at)
{
	char *start = out;
	int64 days = at / USECS_PER_DAY;
	int64 rest = at % USECS_PER_DAY;
	int year;
	int month;
	int day;

	if (rest < 0)
	{
		rest += USECS_PER_DAY;
		days--;
	}
	j2date((int) days + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	out = put_digits(out, year, 4);
	*out++ = '-';
	out = put_digits(out, month, 2);
	*out++ = '-';
	out = put_digits(out, day, 2);
	*out++ = 'T';
	out = put_digits(out, rest / USECS_PER_HOUR, 2);
	*out++ = ':';
	out = put_digits(out, rest / USECS_PER_MINUTE % 60, 2);
	*out++ = ':';
	out = put_digits(out, rest / USECS_PER_SEC % 60, 2);
	*out++ = '.';
	out = put_digits(out, rest % USECS_PER_SEC, 6);
	*out++ = 'Z';
	return out - start;
}
