/*-------------------------------------------------------------------------
 *
 * event_writer_test.c
 *	  Functions that only tests and benchmarks create.
 *
 * The extension's script does not mention them: a superuser creates them by
 * hand where events without contracts are wanted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "capture/event_writer.h"
#include "capture/trace.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(outbox_test_append);
PG_FUNCTION_INFO_V1(outbox_test_trigger);
PG_FUNCTION_INFO_V1(outbox_test_noop_trigger);

static bytea *
test_payload(int len)
{
	bytea	   *payload = palloc(VARHDRSZ + len);

	SET_VARSIZE(payload, VARHDRSZ + len);
	for (int i = 0; i < len; i++)
		VARDATA(payload)[i] = 'a' + i % 26;
	return payload;
}

/* (schema_id int, aggregatetype text, key text, n int, payload_bytes int): appends n events. */
Datum
outbox_test_append(PG_FUNCTION_ARGS)
{
	int			n = PG_GETARG_INT32(3);
	OutboxEvent event = {
		.contract_id = 1,
		.schema_id = PG_GETARG_INT32(0),
		.aggregatetype = PG_GETARG_TEXT_P(1),
		.aggregateid = PG_GETARG_TEXT_P(2),
		.type = cstring_to_text("Test"),
		.payload = test_payload(PG_GETARG_INT32(4)),
	};

	for (int i = 0; i < n; i++)
	{
		event.tracingspancontext = OutboxTraceContext();
		event.headers = OutboxCorrelationHeaders();
		OutboxEventAppend(&event);
	}
	PG_RETURN_VOID();
}

/*
 * AFTER ROW trigger (schema_id, payload_bytes): one event per row, its key the
 * text of the first column.
 */
Datum
outbox_test_trigger(PG_FUNCTION_ARGS)
{
	static text *type = NULL;
	static bytea *payload = NULL;
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	HeapTuple	row = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ?
		trigger->tg_newtuple : trigger->tg_trigtuple;
	bool		isnull;
	int64		key = DatumGetInt64(heap_getattr(row, 1, RelationGetDescr(trigger->tg_relation), &isnull));
	char		text_key[MAXINT8LEN + 1];
	union
	{
		text		value;
		char		bytes[VARHDRSZ + MAXINT8LEN + 1];
	}			key_text;
	OutboxEvent event = {.contract_id = 1};
	int			len;

	if (type == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		type = cstring_to_text("Test");
		payload = test_payload(pg_strtoint32(trigger->tg_trigger->tgargs[1]));
		MemoryContextSwitchTo(old);
	}
	len = pg_lltoa(key, text_key);
	SET_VARSIZE(&key_text, VARHDRSZ + len);
	memcpy(VARDATA(&key_text), text_key, len);
	event.schema_id = pg_strtoint32(trigger->tg_trigger->tgargs[0]);
	event.aggregatetype = type;
	event.aggregateid = &key_text.value;
	event.type = type;
	event.payload = payload;
	OutboxEventAppend(&event);
	return PointerGetDatum(NULL);
}

Datum
outbox_test_noop_trigger(PG_FUNCTION_ARGS)
{
	return PointerGetDatum(NULL);
}
