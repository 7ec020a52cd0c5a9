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

#include "access/xact.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "capture/write/write_private.h"
#include "compat.h"
#include "shared/shared_private.h"

PG_FUNCTION_INFO_V1(outbox_test_append);
PG_FUNCTION_INFO_V1(outbox_test_trigger);
PG_FUNCTION_INFO_V1(outbox_test_noop_trigger);
PG_FUNCTION_INFO_V1(outbox_test_drain);
PG_FUNCTION_INFO_V1(outbox_test_append_late);

static char *late_key = NULL;

static bytea *
test_payload(int len)
{
	bytea *payload = palloc(VARHDRSZ + len);

	SET_VARSIZE(payload, VARHDRSZ + len);
	for (int i = 0; i < len; i++)
		VARDATA(payload)
	[i] = 'a' + i % 26;
	return payload;
}

/* (schema_id int, aggregatetype text, key text, n int, payload_bytes int): appends n events. */
Datum
outbox_test_append(PG_FUNCTION_ARGS)
{
	int n = PG_GETARG_INT32(3);
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
	HeapTuple row = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
	bool isnull;
	int64 key = DatumGetInt64(heap_getattr(row, 1, RelationGetDescr(trigger->tg_relation), &isnull));
	char text_key[MAXINT8LEN + 1];
	union
	{
		text value;
		char bytes[VARHDRSZ + MAXINT8LEN + 1];
	} key_text;
	OutboxEvent event = {.contract_id = 1};
	int len;

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

/*
 * What a relay that looks now would get: the number of new hints, -1 for
 * "scan". The session's own cursor.
 */
Datum
outbox_test_drain(PG_FUNCTION_ARGS)
{
	static OutboxRingCursor cursor;
	static OutboxHint *hints = NULL;
	static int capacity = 0;
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	int n = OutboxHintsDrain(&cursor, &hints, &capacity);

	MemoryContextSwitchTo(old);
	PG_RETURN_INT32(n);
}

static void
append_late(XactEvent event, void *arg)
{
	OutboxEvent late = {.contract_id = 1, .schema_id = 1};

	if (event == XACT_EVENT_PRE_COMMIT && late_key != NULL)
	{
		late.aggregatetype = late.type = cstring_to_text("Late");
		late.aggregateid = cstring_to_text(late_key);
		late.payload = test_payload(10);
		OutboxEventAppend(&late);
	}
	late_key = NULL;
}

/* (key text): appends an event in a pre-commit callback that runs after the writer's own. */
Datum
outbox_test_append_late(PG_FUNCTION_ARGS)
{
	/* callbacks run last-registered first: take the writer's place at the end of the list */
	UnregisterXactCallback(append_late, NULL);
	RegisterXactCallback(append_late, NULL);
	OutboxEventWriterInit();
	late_key = MemoryContextStrdup(TopTransactionContext, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_VOID();
}
