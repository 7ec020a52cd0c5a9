/*-------------------------------------------------------------------------
 *
 * redrive_history.c
 *	  What consumers know of a key: the newest event that is in the outbox.
 *
 * The caller holds the lock of the key, so nobody commits an event of it
 * meanwhile, and the event with the highest number is the newest. An event belongs
 * to the key when its payload has the key's columns: the message key may be
 * another one. The places of the key's events were found before the lock was taken
 * (redrive_events.c); now only newer blocks are read. A key that was not looked
 * for (the key of a row has changed meanwhile, say) is noted, and the attempt
 * fails; its caller looks for the key and tries again.
 *
 * A payload is decoded to JSON, which is read as a row of the view. JSON or binary
 * values inside nested rows do not come back as they were. They are used for
 * conditions and previous values only: the event shows the row as it is now.
 *
 * That a redriven event tells what changed since the last event, and is none where
 * nothing did, rests on this: test/isolation/specs/late_states.spec,
 * test/t/127_late_states.pl.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "avro/outbox_avro.h"
#include "capture/transition/transition.h"
#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/compile/compile.h"
#include "contract/environment/environment.h"
#include "letters/redrive/redrive_private.h"

/* The key that an attempt asked for in vain, in TopMemoryContext; contract = NULL: none. */
static OutboxWantedKey missed;

/* An event on its way to a row. */
typedef struct EventRow
{
	OutboxCompiledContract *contract;
	Jsonb *payload;
	HeapTuple row;
} EventRow;

static bool take_event(OutboxKeyHistory *history, HeapTuple event, TupleDesc desc, MemoryContext context, bool *fits);
OUTBOX_NORETURN static void not_looked_for(const OutboxKeyHistory *history);
static bool is_seen(const OutboxKeyHistory *history, uint64 xid);
static HeapTuple payload_row(OutboxCompiledContract *contract, int32 schema_id, bytea *payload);
static void note_told(OutboxKeyHistory *history, const char *type, MemoryContext context);
static bool is_deleted(const OutboxCompiledContract *contract, const char *type, int16 flags);
static bool has_key(OutboxKeyHistory *history, HeapTuple row);
static void row_step(void *arg);
static Jsonb *as_input(const OutboxCompiledContract *contract, Jsonb *payload);
static void push_value(OutboxJsonbState *state, Oid type, JsonbValue *value);
static HeapTuple populate(const OutboxCompiledContract *contract, Jsonb *object);

/*
 * Finds the newest committed event of the key, in the order of the key's events,
 * and turns its payload into a row of the view, in CurrentMemoryContext. False:
 * there is none, or its payload does not fit the view any more. Uses the contract's
 * slots. Raises as a query does, and when the key was not looked for before; then
 * OutboxTakeMissedKey() returns it.
 */
bool
OutboxFindNewestEvent(OutboxKeyHistory *history)
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext scratch;
	const OutboxKeyEvents *events;
	bool fits = false;
	bool found = false;

	if (history->row == NULL)
		return false;
	events = OutboxKeyEventsNow(OutboxEventKey(history->contract, history->row));
	if (events == NULL)
		not_looked_for(history);
	scratch = AllocSetContextCreate(context, "outbox events of a key", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(scratch);
	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
	for (int i = 0; i < events->n && !history->was_there; i++)
	{
		TupleDesc desc;
		HeapTuple event = is_seen(history, events->event[i].xid) ? NULL : OutboxKeyEventFetch(&events->event[i], &desc);

		if (event)
			found |= take_event(history, event, desc, context, found ? NULL : &fits);
	}
	PopActiveSnapshot();
	MemoryContextSwitchTo(context);
	MemoryContextDelete(scratch);
	return found && fits;
}

/* Does the letter's snapshot see the event? Then the letter knows more than the event. */
static bool
is_seen(const OutboxKeyHistory *history, uint64 xid)
{
	return history->snapshot &&
		DatumGetBool(DirectFunctionCall2(pg_visible_in_snapshot, UInt64GetDatum(xid), DirectFunctionCall1(pg_snapshot_in, CStringGetDatum(history->snapshot))));
}

/* Notes the key and raises: the caller looks for it without the lock of the key, and tries again. */
static void
not_looked_for(const OutboxKeyHistory *history)
{
	OutboxWantedKey *wanted = OutboxTakeMissedKey();

	if (wanted)
		pfree(wanted);
	missed.key = OutboxEventKey(history->contract, history->row);
	missed.decode = !OutboxMessageKeyIsKey(history->contract);
	missed.snapshot = history->snapshot ? MemoryContextStrdup(TopMemoryContext, history->snapshot) : NULL;
	missed.line = history->contract->config->line;
	missed.contract = MemoryContextStrdup(TopMemoryContext, history->contract->config->name);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the newest event of the key is still to be found"),
			 errdetail("The outbox is read for it before the next attempt.")));
}

bool
OutboxAnyMissedKey(void)
{
	return missed.contract != NULL;
}

/* The last key that was not known when it was asked for, once, in CurrentMemoryContext; NULL: there is none. */
OutboxWantedKey *
OutboxTakeMissedKey(void)
{
	OutboxWantedKey former = missed;
	OutboxWantedKey *wanted;

	if (missed.contract == NULL)
		return NULL;
	wanted = palloc(sizeof(OutboxWantedKey));
	*wanted = former;
	wanted->contract = pstrdup(former.contract);
	wanted->snapshot = former.snapshot ? pstrdup(former.snapshot) : NULL;
	missed.contract = NULL;
	pfree((char *) former.contract);
	if (former.snapshot)
		pfree((char *) former.snapshot);
	return wanted;
}

/* ---- what tells keys apart -------------------------------------------------------------- */

/* Do all events of one key of the contract have one message key, and no other key has it? */
bool
OutboxMessageKeyIsKey(const OutboxCompiledContract *contract)
{
	return contract->naggregate == contract->nkey && memcmp(contract->aggregate, contract->key, sizeof(int) * contract->nkey) == 0;
}

/* What tells the key from others: made from a row of the contract's view that has the key. */
uint64
OutboxEventKey(OutboxCompiledContract *contract, HeapTuple row)
{
	const char *name = contract->config->name;
	uint64 key = 0;

	ExecForceStoreHeapTuple(row, contract->before, false);
	slot_getallattrs(contract->before);
	if (OutboxMessageKeyIsKey(contract))
	{
		text *message_key = OutboxMessageKey(contract, contract->before);

		if (message_key)
			key = OutboxEventKeyOfMessage(name, contract->config->line, VARDATA_ANY(message_key), VARSIZE_ANY_EXHDR(message_key));
	}
	else
		key = hash_combine64(hash_bytes_extended((const unsigned char *) name, strlen(name), contract->config->line), OutboxRowKeyHash(contract, contract->before));
	ExecClearTuple(contract->before);
	return key;
}

/* The same key, made from a message key of a contract whose message keys tell its keys apart. */
uint64
OutboxEventKeyOfMessage(const char *contract, int32 line, const char *message_key, int len)
{
	return hash_combine64(hash_bytes_extended((const unsigned char *) contract, strlen(contract), line),
						  hash_bytes_extended((const unsigned char *) message_key, len, 1));
}

/* The same key, made from a payload; false: the payload does not fit the view any more. */
bool
OutboxEventKeyOfPayload(OutboxCompiledContract *contract, int32 schema_id, bytea *payload, uint64 *key)
{
	HeapTuple row = payload_row(contract, schema_id, payload);

	if (row)
		*key = OutboxEventKey(contract, row);
	return row != NULL;
}

/* ---- events ------------------------------------------------------------------------------ */

/* NULL: it does not fit the view any more. */
static HeapTuple
payload_row(OutboxCompiledContract *contract, int32 schema_id, bytea *payload)
{
	EventRow read = {.contract = contract, .payload = OutboxDecodePayload(schema_id, payload)};

	if (read.payload == NULL || OutboxRunGuarded(row_step, &read, CurrentMemoryContext))
		return NULL;
	return read.row;
}

/* Is it an event of the key? Then *fits says whether it could be read. fits = NULL: it is not the newest one. */
static bool
take_event(OutboxKeyHistory *history, HeapTuple event, TupleDesc desc, MemoryContext context, bool *fits)
{
	OutboxCompiledContract *contract = history->contract;
	bool isnull;
	char *type = TextDatumGetCString(heap_getattr(event, Anum_event_type, desc, &isnull));
	int16 flags = DatumGetInt16(heap_getattr(event, Anum_event_flags, desc, &isnull));
	int32 schema_id = DatumGetInt32(heap_getattr(event, Anum_event_schema_id, desc, &isnull));
	Datum payload = heap_getattr(event, Anum_event_payload, desc, &isnull);
	HeapTuple row = isnull ? NULL : payload_row(contract, schema_id, DatumGetByteaPP(payload));
	bool deleted;

	/* with a message key of its own the event is of the key, whether it can be read or not */
	if (row ? !has_key(history, row) : !OutboxMessageKeyIsKey(contract))
		return false;
	deleted = is_deleted(contract, type, flags);
	if (deleted && !history->was_there)
		note_told(history, type, context);
	history->was_there |= !deleted;
	if (fits == NULL)
		return true;
	*fits = true;
	history->before = NULL;
	if (deleted)
		return true;
	*fits = row != NULL;
	if (row)
	{
		MemoryContext caller = MemoryContextSwitchTo(context);

		history->before = heap_copytuple(row);
		MemoryContextSwitchTo(caller);
	}
	return true;
}

static void
note_told(OutboxKeyHistory *history, const char *type, MemoryContext context)
{
	MemoryContext caller = MemoryContextSwitchTo(context);

	for (int i = 0; i < history->contract->ntypes; i++)
	{
		if (strcmp(history->contract->types[i].config->name, type) == 0)
			history->told = bms_add_member(history->told, i);
	}
	MemoryContextSwitchTo(caller);
}

static bool
is_deleted(const OutboxCompiledContract *contract, const char *type, int16 flags)
{
	if (flags & OUTBOX_EVENT_TOMBSTONES)
		return true;
	for (int i = 0; i < contract->ntypes; i++)
	{
		if (strcmp(contract->types[i].config->name, type) == 0)
			return contract->types[i].config->emit == OUTBOX_EMIT_DELETED;
	}
	return false;
}

static bool
has_key(OutboxKeyHistory *history, HeapTuple row)
{
	OutboxCompiledContract *contract = history->contract;
	bool same = true;

	ExecForceStoreHeapTuple(history->row, contract->before, false);
	ExecForceStoreHeapTuple(row, contract->after, false);
	slot_getallattrs(contract->before);
	slot_getallattrs(contract->after);
	for (int i = 0; i < contract->nkey && same; i++)
		same = OutboxSameValue(contract, contract->key[i], contract->before, contract->after);
	ExecClearTuple(contract->before);
	ExecClearTuple(contract->after);
	return same;
}

/* Input functions run, as when a letter is read back. */
static void
row_step(void *arg)
{
	EventRow *read = arg;
	OutboxCompiledContract *contract = read->contract;
	OutboxEvaluation evaluation;

	OutboxCheckReadBackTrust(contract, contract->row_desc, read->payload);
	OutboxEvaluationBegin(&evaluation, contract->owner, OUTBOX_ANYTHING);
	read->row = populate(contract, as_input(contract, read->payload));
	OutboxEvaluationEnd(&evaluation);
}

/* The payload's columns as their types' input functions take them: the outbox shows bytes as base64 and JSON as text. */
static Jsonb *
as_input(const OutboxCompiledContract *contract, Jsonb *payload)
{
	OutboxJsonbState state = {0};

	OutboxPushJsonb(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < contract->ncolumns; i++)
	{
		Form_pg_attribute column = TupleDescAttr(contract->row_desc, i);
		JsonbValue name = {.type = jbvString};
		JsonbValue value;

		name.val.string.val = NameStr(column->attname);
		name.val.string.len = strlen(NameStr(column->attname));
		if (!getKeyJsonValueFromContainer(&payload->root, name.val.string.val, name.val.string.len, &value))
			continue;
		OutboxPushJsonb(&state, WJB_KEY, &name);
		push_value(&state, getBaseType(column->atttypid), &value);
	}
	OutboxPushJsonb(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(state.result);
}

static void
push_value(OutboxJsonbState *state, Oid type, JsonbValue *value)
{
	if (value->type == jbvString && type == BYTEAOID)
	{
		Datum base64 = PointerGetDatum(cstring_to_text_with_len(value->val.string.val, value->val.string.len));
		Datum bytes = DirectFunctionCall2(binary_decode, base64, CStringGetTextDatum("base64"));

		value->val.string.val = psprintf("\\x%s", TextDatumGetCString(DirectFunctionCall2(binary_encode, bytes, CStringGetTextDatum("hex"))));
		value->val.string.len = strlen(value->val.string.val);
	}
	else if (value->type == jbvString && (type == JSONBOID || type == JSONOID))
	{
		Datum json = DirectFunctionCall1(jsonb_in, CStringGetDatum(pnstrdup(value->val.string.val, value->val.string.len)));

		value->type = jbvBinary;
		value->val.binary.data = &DatumGetJsonbP(json)->root;
		value->val.binary.len = VARSIZE(DatumGetPointer(json)) - VARHDRSZ;
	}
	OutboxPushJsonb(state, WJB_VALUE, value);
}

/* jsonb_populate_record() for the view's row type. */
static HeapTuple
populate(const OutboxCompiledContract *contract, Jsonb *object)
{
	Oid type = get_rel_type_id(contract->config->view);
	LOCAL_FCINFO(call, 2);
	FmgrInfo function;
	HeapTupleHeader header;
	HeapTupleData tuple = {0};
	Datum result;

	fmgr_info(F_JSONB_POPULATE_RECORD, &function);
	fmgr_info_set_expr((Node *) makeFuncExpr(F_JSONB_POPULATE_RECORD, type, list_make2(makeNullConst(type, -1, InvalidOid), makeNullConst(JSONBOID, -1, InvalidOid)), InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL),
					   &function);
	InitFunctionCallInfoData(*call, &function, 2, InvalidOid, NULL, NULL);
	call->args[0].isnull = true;
	call->args[0].value = (Datum) 0;
	call->args[1].isnull = false;
	call->args[1].value = JsonbPGetDatum(object);
	result = FunctionCallInvoke(call);
	header = DatumGetHeapTupleHeader(result);
	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	tuple.t_data = header;
	return heap_copytuple(&tuple);
}
