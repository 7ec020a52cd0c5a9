/*-------------------------------------------------------------------------
 *
 * outbox_fault.c
 *	  A sink whose broker is a file and which fails on request.
 *
 * Tests of the relay drive it: see README.md.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/hashfn.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "fault_control.h"

PG_MODULE_MAGIC;

typedef struct FaultMessage
{
	OutboxPosition position;
	TimestampTz due;
	int32 schema_id; /* to register, else 0 */
	OutboxAckStatus verdict;
	bool only_schema; /* of BLOCKED */
	char *lane;       /* destination and key: what comes behind a failed message is given back */
	char *line;
} FaultMessage;

typedef struct FaultSink
{
	FaultControl control;
	FaultMessage *queue; /* ring */
	int capacity;
	uint64 head;
	uint64 tail;
	int delivered; /* in this attempt, under the present control */
	int file;
	int timer;
} FaultSink;

static void judge(const FaultSink *sink, const OutboxMessage *message, FaultMessage *queued);
static char *lane_of(const OutboxSinkState *state, const OutboxMessage *message);
static void give_back_behind(FaultSink *sink, const FaultMessage *failed);
static char *format_line(const OutboxSinkState *state, const OutboxMessage *message, TimestampTz now);
static void append_uuid(StringInfo line, const uint8 *id);
static void append_hex(StringInfo line, OutboxSlice bytes);
static void finish(FaultSink *sink, FaultMessage *message, bool back, OutboxAck *ack, StringInfo lines);
static void raise_if(const FaultSink *sink, const char *where);
static void write_lines(const FaultSink *sink, StringInfo lines);
static void mark_torn_line(const FaultSink *sink);
static void arm_timer(FaultSink *sink);

static void
fault_validate(const OutboxSinkOption *options, int noptions)
{
	FaultControl control;

	FaultControlInit(&control, options, noptions);
}

static void
fault_startup(OutboxSinkState *state)
{
	FaultSink *sink = MemoryContextAllocZero(state->context, sizeof(FaultSink));

	FaultControlInit(&sink->control, state->options, state->noptions);
	(void) FaultControlRefresh(&sink->control);
	sink->capacity = 1 << 17;
	sink->queue = MemoryContextAllocHuge(state->context, sizeof(FaultMessage) * sink->capacity);
	sink->file = -1;
	sink->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	state->private_data = sink;
	if (sink->control.file[0] != '\0')
	{
		sink->file = open(sink->control.file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
		if (sink->file < 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not open file \"%s\": %m", sink->control.file)));
		mark_torn_line(sink);
	}
	raise_if(sink, "startup");
	FaultStopAt(&sink->control, "startup");
}

static bool
fault_check_configured(OutboxSinkState *state, const char **detail)
{
	FaultSink *sink = state->private_data;

	(void) FaultControlRefresh(&sink->control);
	*detail = "The control file says that the sink is not configured.";
	return !sink->control.unconfigured;
}

static bool
is_registered(const OutboxSchema *schema, int32 id)
{
	for (int i = 0; i < schema->nregistrations; i++)
	{
		if (schema->registrations[i].id == id)
			return true;
	}
	return false;
}

static int
fault_publish(OutboxSinkState *state, const OutboxMessage *messages, int n)
{
	FaultSink *sink = state->private_data;
	TimestampTz now;
	TimestampTz due;
	int taken;

	if (FaultControlRefresh(&sink->control))
		sink->delivered = 0;
	raise_if(sink, "publish");
	FaultStopAt(&sink->control, "publish");
	now = GetCurrentTimestamp();
	due = TimestampTzPlusMilliseconds(now, sink->control.delay_ms);
	for (taken = 0; taken < n; taken++)
	{
		const OutboxMessage *message = &messages[taken];
		FaultMessage *queued;

		if (sink->head - sink->tail >= Min(sink->capacity, sink->control.capacity))
			break;
		queued = &sink->queue[sink->head++ % sink->capacity];
		queued->position = message->position;
		queued->due = due;
		judge(sink, message, queued);
		queued->lane = lane_of(state, message);
		queued->schema_id = sink->control.registered_id != 0 &&
				!is_registered(message->schema, sink->control.registered_id)
			? message->schema->id
			: 0;
		queued->line = sink->file >= 0 ? format_line(state, message, now) : NULL;
	}
	FaultStopAt(&sink->control, "taken");
	arm_timer(sink);
	return taken;
}

static int
fault_poll(OutboxSinkState *state, OutboxAck *acks, int max, long timeout_ms)
{
	FaultSink *sink = state->private_data;
	TimestampTz now = GetCurrentTimestamp();
	StringInfoData lines;
	int half = (int) Min(sink->head - sink->tail, (uint64) max) / 2;
	int n = 0;

	if (FaultControlRefresh(&sink->control))
		sink->delivered = 0;
	raise_if(sink, "poll");
	if (sink->control.down)
		return 0;
	initStringInfo(&lines);
	while (n < max && sink->tail < sink->head)
	{
		FaultMessage *message = &sink->queue[sink->tail % sink->capacity];
		/* once a message is given back, so is every later one: order per key is the sink's affair too */
		bool back = sink->control.retry_after != 0 && sink->delivered >= sink->control.retry_after;

		if (message->due > now)
			break;
		if (sink->control.raise_after != 0 && sink->delivered >= sink->control.raise_after)
		{
			/* what was delivered is reported first */
			if (n > 0)
				break;
			ereport(ERROR,
					(errcode(ERRCODE_CONNECTION_FAILURE),
					 errmsg("fault sink raises after %d deliveries", sink->delivered)));
		}
		finish(sink, message, back, &acks[n], &lines);
		sink->tail++;
		if (++n == half && strcmp(sink->control.stop, "deliver") == 0)
		{
			write_lines(sink, &lines);
			resetStringInfo(&lines);
			FaultStopAt(&sink->control, "deliver");
		}
	}
	write_lines(sink, &lines);
	pfree(lines.data);
	if (n > 0)
		FaultStopAt(&sink->control, "acked");
	for (int i = 0; sink->control.reverse && i < n / 2; i++)
	{
		OutboxAck swap = acks[i];

		acks[i] = acks[n - 1 - i];
		acks[n - 1 - i] = swap;
	}
	arm_timer(sink);
	return n;
}

/* The broker's word on a message: the line of one that it takes, and what is reported. */
static void
finish(FaultSink *sink, FaultMessage *message, bool back, OutboxAck *ack, StringInfo lines)
{
	*ack = (OutboxAck){.position = message->position, .status = OUTBOX_ACK_OK};
	if (message->schema_id != 0)
	{
		ack->schema_id = message->schema_id;
		ack->registration = (OutboxRegistration){.registry = "fault", .subject = "fault", .id = sink->control.registered_id};
	}
	if (message->verdict == OUTBOX_ACK_REJECT)
		ack->detail = "Broker: I do not like this key.";
	else if (message->verdict == OUTBOX_ACK_BLOCKED)
		ack->detail = message->only_schema ? "Broker: this schema is not compatible." : "Broker: there is no such topic.";
	else if (message->verdict == OUTBOX_ACK_RETRY)
		ack->detail = "Broker: behind a failed message.";
	if (ack->detail != NULL && sink->control.words[0] != '\0')
		ack->detail = sink->control.words;
	ack->status = message->verdict;
	ack->only_schema = message->only_schema;
	if (message->verdict == OUTBOX_ACK_REJECT || message->verdict == OUTBOX_ACK_BLOCKED)
		give_back_behind(sink, message);
	if (message->verdict == OUTBOX_ACK_OK && back)
	{
		ack->status = OUTBOX_ACK_RETRY;
		ack->detail = "Broker: not now.";
	}
	else if (message->verdict == OUTBOX_ACK_OK && message->line != NULL)
		appendStringInfoString(lines, message->line);
	if (message->line != NULL)
		pfree(message->line);
	pfree(message->lane);
	sink->delivered++;
}

static pgsocket
fault_socket(OutboxSinkState *state)
{
	return ((FaultSink *) state->private_data)->timer;
}

static const char *
fault_trouble(OutboxSinkState *state)
{
	FaultSink *sink = state->private_data;

	if (FaultControlRefresh(&sink->control))
		sink->delivered = 0;
	if (!sink->control.down)
		return NULL;
	return sink->control.words[0] != '\0' ? sink->control.words : "fault broker is down";
}

static void
fault_shutdown(OutboxSinkState *state)
{
	FaultSink *sink = state->private_data;

	if (sink == NULL)
		return;
	FaultStopAt(&sink->control, "shutdown");
	if (sink->file >= 0)
		close(sink->file);
	close(sink->timer);
	state->private_data = NULL;
}

static const OutboxSinkCallbacks fault_callbacks = {
	.magic = OUTBOX_SINK_MAGIC,
	.validate_cb = fault_validate,
	.startup_cb = fault_startup,
	.check_configured_cb = fault_check_configured,
	.publish_cb = fault_publish,
	.poll_cb = fault_poll,
	.socket_cb = fault_socket,
	.trouble_cb = fault_trouble,
	.shutdown_cb = fault_shutdown,
};

const OutboxSinkCallbacks *
_PG_outbox_sink_init(void)
{
	return &fault_callbacks;
}

static void
judge(const FaultSink *sink, const OutboxMessage *message, FaultMessage *queued)
{
	const FaultControl *control = &sink->control;
	bool key = control->reject_key[0] != '\0' && message->key.len == strlen(control->reject_key) &&
		memcmp(message->key.data, control->reject_key, message->key.len) == 0;
	bool value = message->payload.data != NULL;
	bool schema = value && control->block_schema != 0 && message->schema->id == control->block_schema;

	queued->only_schema = schema;
	if (schema || (control->block_topic[0] != '\0' && strcmp(message->destination, control->block_topic) == 0))
		queued->verdict = OUTBOX_ACK_BLOCKED;
	else if (key || (value && control->reject_values) || (control->reject_every != 0 && message->seq % control->reject_every == 0))
		queued->verdict = OUTBOX_ACK_REJECT;
	else
		queued->verdict = OUTBOX_ACK_OK;
}

static char *
lane_of(const OutboxSinkState *state, const OutboxMessage *message)
{
	MemoryContext caller = MemoryContextSwitchTo(state->context);
	char *lane = psprintf("%s %.*s", message->destination, (int) message->key.len, message->key.data);

	MemoryContextSwitchTo(caller);
	return lane;
}

/* The interface asks for it: nothing of the key that was taken already may overtake the failed message. */
static void
give_back_behind(FaultSink *sink, const FaultMessage *failed)
{
	for (uint64 i = sink->tail + 1; i < sink->head; i++)
	{
		FaultMessage *message = &sink->queue[i % sink->capacity];

		if (strcmp(message->lane, failed->lane) == 0)
			message->verdict = OUTBOX_ACK_RETRY;
	}
}

static char *
format_line(const OutboxSinkState *state, const OutboxMessage *message, TimestampTz now)
{
	MemoryContext caller = MemoryContextSwitchTo(state->context);
	StringInfoData line;

	initStringInfo(&line);
	appendStringInfo(&line, "%lld\t", (long long) message->seq);
	append_uuid(&line, message->id);
	appendStringInfo(&line, "\t%.*s\t%.*s\t%s\t%u\t%.*s\t",
					 (int) message->key.len, message->key.data,
					 (int) message->event_type.len, message->event_type.data,
					 message->payload.data != NULL ? "value" : "null", state->attempt,
					 (int) message->traceparent.len, message->traceparent.data != NULL ? message->traceparent.data : "");
	for (int i = 0; i < message->nattributes; i++)
		appendStringInfo(&line, "%s%.*s=%.*s", i > 0 ? "," : "",
						 (int) message->attributes[i].name.len, message->attributes[i].name.data,
						 (int) message->attributes[i].value.len, message->attributes[i].value.data);
	for (int i = 0; i < message->nheaders; i++)
		appendStringInfo(&line, "%s%.*s:%.*s", i > 0 || message->nattributes > 0 ? "," : "",
						 (int) message->headers[i].name.len, message->headers[i].name.data,
						 (int) message->headers[i].value.len, message->headers[i].value.data);
	appendStringInfo(&line, "\t%lld\t%u\t%s\t%08x", (long long) (now - message->occurred_at), message->timeline,
					 message->destination, hash_bytes((const unsigned char *) message->payload.data, message->payload.len));
	if (((FaultSink *) state->private_data)->control.payloads)
		append_hex(&line, message->payload);
	appendStringInfoChar(&line, '\n');
	MemoryContextSwitchTo(caller);
	return line.data;
}

static void
append_uuid(StringInfo line, const uint8 *id)
{
	for (int i = 0; i < 16; i++)
		appendStringInfo(line, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", id[i]);
}

/* Behind a tab. */
static void
append_hex(StringInfo line, OutboxSlice bytes)
{
	appendStringInfoChar(line, '\t');
	enlargeStringInfo(line, 2 * bytes.len);
	line->len += hex_encode(bytes.data, bytes.len, line->data + line->len);
}

static void
raise_if(const FaultSink *sink, const char *where)
{
	if (strcmp(sink->control.raise, where) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("fault sink raises in %s", where),
				 errhint("Change the control file.")));
}

static void
write_lines(const FaultSink *sink, StringInfo lines)
{
	int done = 0;

	while (sink->file >= 0 && done < lines->len)
	{
		int written = write(sink->file, lines->data + done, lines->len - done);

		if (written < 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not write file \"%s\": %m", sink->control.file)));
		done += written;
	}
}

/* A process that was killed while it wrote has left half a line, which the broker never acknowledged. */
static void
mark_torn_line(const FaultSink *sink)
{
	static const char mark[] = "\ttorn\n";
	struct stat file;
	char last = '\n';
	int reading = open(sink->control.file, O_RDONLY | O_CLOEXEC);
	bool failed = reading < 0 || fstat(reading, &file) != 0 ||
		(file.st_size > 0 && pread(reading, &last, 1, file.st_size - 1) != 1);

	if (reading >= 0)
		close(reading);
	if (failed || (last != '\n' && write(sink->file, mark, strlen(mark)) != strlen(mark)))
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not look at the end of file \"%s\": %m", sink->control.file)));
}

/* Readable when the oldest message is due. */
static void
arm_timer(FaultSink *sink)
{
	struct itimerspec when = {0};

	if (sink->tail < sink->head && !sink->control.down)
	{
		int64 us = sink->queue[sink->tail % sink->capacity].due - GetCurrentTimestamp();

		us = Max(us, 1);
		when.it_value.tv_sec = us / USECS_PER_SEC;
		when.it_value.tv_nsec = (us % USECS_PER_SEC) * 1000;
	}
	timerfd_settime(sink->timer, 0, &when, NULL);
}
