/*-------------------------------------------------------------------------
 *
 * sink_of_part.c
 *	  A sink that lacks a callback: it could not say what became of a message.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "sink/outbox_sink.h"

PG_MODULE_MAGIC;

static void
validate(const OutboxSinkOption *options, int noptions)
{
}

static void
startup(OutboxSinkState *state)
{
}

static int
publish(OutboxSinkState *state, const OutboxMessage *messages, int n)
{
	return n;
}

const OutboxSinkCallbacks *
_PG_outbox_sink_init(void)
{
	static const OutboxSinkCallbacks callbacks = {
		.magic = OUTBOX_SINK_MAGIC,
		.validate_cb = validate,
		.startup_cb = startup,
		.publish_cb = publish,
		.shutdown_cb = startup,
	};

	return &callbacks;
}
