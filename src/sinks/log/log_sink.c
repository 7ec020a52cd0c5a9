/*-------------------------------------------------------------------------
 *
 * log_sink.c
 *	  A sink that writes one line per event to the server log.
 *
 * The smallest complete implementation of outbox_sink.h: read it before
 * writing another.  It also lets a contract be tried without a broker.  The
 * payload is personal data as often as not, so it is logged only on request.
 *
 * There is nothing to wait for: what was logged is acknowledged by the next
 * poll_cb.  No descriptor, no trouble, nothing to release.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/base64.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "sink/outbox_sink.h"
#include "sinks/topic_prefix.h"

PG_MODULE_MAGIC;

/* Logged and not yet reported; a real sink's limit is what its client can hold. */
#define LOG_SINK_MAX_UNREPORTED 1024

#define UUID_TEXT_LEN 36

typedef struct LogSink
{
	const char *topic_prefix; /* never NULL */
	bool payload;
	MemoryContext scratch; /* reset after each message */
	OutboxPosition unreported[LOG_SINK_MAX_UNREPORTED];
	int nunreported;
} LogSink;

static void parse_options(const OutboxSinkOption *options, int noptions, LogSink *sink);
static void parse_payload(const char *value, LogSink *sink);
static void append_escaped(StringInfo out, const char *text, Size len);
static void log_message(LogSink *sink, const OutboxSinkState *state, const OutboxMessage *message);
static const char *payload_text(const OutboxSlice *payload);
static void format_uuid(const uint8 *id, char *text);

static void
log_validate(const OutboxSinkOption *options, int noptions)
{
	LogSink unused;

	parse_options(options, noptions, &unused);
}

static void
log_startup(OutboxSinkState *state)
{
	LogSink *sink = MemoryContextAllocZero(state->context, sizeof(LogSink));

	parse_options(state->options, state->noptions, sink);
	sink->scratch = AllocSetContextCreate(state->context, "outbox log sink message", ALLOCSET_DEFAULT_SIZES);
	state->private_data = sink;
}

static int
log_publish(OutboxSinkState *state, const OutboxMessage *messages, int n)
{
	LogSink *sink = state->private_data;
	int taken;

	for (taken = 0; taken < n && sink->nunreported < LOG_SINK_MAX_UNREPORTED; taken++)
	{
		log_message(sink, state, &messages[taken]);
		sink->unreported[sink->nunreported++] = messages[taken].position;
	}
	return taken;
}

static int
log_poll(OutboxSinkState *state, OutboxAck *acks, int max, long timeout_ms)
{
	LogSink *sink = state->private_data;
	int n = Min(max, sink->nunreported);
	int i;

	for (i = 0; i < n; i++)
		acks[i] = (OutboxAck){.position = sink->unreported[i], .status = OUTBOX_ACK_OK};
	sink->nunreported -= n;
	memmove(sink->unreported, sink->unreported + n, sizeof(OutboxPosition) * sink->nunreported);
	return n;
}

/* Everything lives in state->context, which the relay deletes. */
static void
log_shutdown(OutboxSinkState *state)
{
	state->private_data = NULL;
}

static const OutboxSinkCallbacks log_callbacks = {
	.magic = OUTBOX_SINK_MAGIC,
	.validate_cb = log_validate,
	.startup_cb = log_startup,
	.publish_cb = log_publish,
	.poll_cb = log_poll,
	.shutdown_cb = log_shutdown,
};

const OutboxSinkCallbacks *
_PG_outbox_sink_init(void)
{
	return &log_callbacks;
}

/* Into *sink; raises for a bad one. The prefix points into options. */
static void
parse_options(const OutboxSinkOption *options, int noptions, LogSink *sink)
{
	int i;

	sink->payload = false;
	sink->topic_prefix = "";
	for (i = 0; i < noptions; i++)
	{
		if (strcmp(options[i].name, "payload") == 0)
			parse_payload(options[i].value, sink);
		else if (strcmp(options[i].name, TOPIC_PREFIX_OPTION) == 0)
		{
			CheckTopicPrefix(options[i].value);
			sink->topic_prefix = options[i].value;
		}
		else
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown option \"%s\" of a log sink", options[i].name),
					 errhint("The options are \"payload\" and \"topic.prefix\".")));
	}
}

static void
parse_payload(const char *value, LogSink *sink)
{
	if (!parse_bool(value, &sink->payload))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value of sink option \"%s\"", "payload"),
				 errhint("Give true or false.")));
}

/* LOG, because these lines are what the sink was created for. */
static void
log_message(LogSink *sink, const OutboxSinkState *state, const OutboxMessage *message)
{
	MemoryContext caller = MemoryContextSwitchTo(sink->scratch);
	char id[UUID_TEXT_LEN + 1];
	StringInfoData key;

	initStringInfo(&key);
	append_escaped(&key, message->key.data, message->key.len);
	format_uuid(message->id, id);
	ereport(LOG,
			(errmsg("sink \"%s\": topic=%s%s key=%.*s type=%.*s id=%s size=%zu%s%s",
					state->sink_name, sink->topic_prefix, message->destination,
					(int) key.len, key.data,
					(int) message->event_type.len, message->event_type.data,
					id, message->payload.len,
					sink->payload ? " payload=" : "",
					sink->payload ? payload_text(&message->payload) : ""),
			 errhidestmt(true), errhidecontext(true)));

	MemoryContextSwitchTo(caller);
	MemoryContextReset(sink->scratch);
}

/* A key is whatever an application wrote: it must not look like another field, nor end the line. */
static void
append_escaped(StringInfo out, const char *text, Size len)
{
	Size i;

	for (i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) text[i];

		if (c <= ' ' || c == '\\' || c == 0x7F)
			appendStringInfo(out, "\\x%02X", c);
		else
			appendStringInfoCharMacro(out, text[i]);
	}
}

/* The Avro bytes in base64; a tombstone has none. */
static const char *
payload_text(const OutboxSlice *payload)
{
	int size;
	int len;
	char *text;

	if (payload->data == NULL)
		return "null";
	size = pg_b64_enc_len(payload->len);
	text = palloc(size + 1);
	len = pg_b64_encode((const void *) payload->data, /* char * before 18, uint8 * since */
						payload->len, text, size);
	text[Max(len, 0)] = '\0';
	return text;
}

static void
format_uuid(const uint8 *id, char *text)
{
	static const char hex[] = "0123456789abcdef";
	int i;

	for (i = 0; i < 16; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*text++ = '-';
		*text++ = hex[id[i] >> 4];
		*text++ = hex[id[i] & 0xF];
	}
	*text = '\0';
}
