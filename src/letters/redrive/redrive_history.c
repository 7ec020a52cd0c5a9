/*-------------------------------------------------------------------------
 *
 * redrive_history.c
 *	  What consumers know of a key: the newest event that is in the outbox.
 *
 * The lock of the key is held by whoever asks, so nobody commits an event of it
 * meanwhile, and the highest number is the newest event. Others may have
 * committed some while the lock was waited for, so the snapshot is a new one. An event belongs to
 * the key when its payload has the key's columns: the message key may be another
 * one. The outbox has no index. Leaves in which every transaction had ended when
 * the snapshot was taken have nothing new and are left out.
 *
 * A payload is decoded to JSON and that is read as a row of the view. What is
 * JSON or binary inside nested rows does not come back as it was: of such a
 * value only conditions and previous values are made, and the event that is
 * told shows the row as it is now.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "capture/transition/change.h"
#include "catalog/outbox_catalog.h"
#include "catalog/statement.h"
#include "compat.h"
#include "contract/compile/evaluate.h"
#include "contract/environment/evaluation.h"
#include "contract/environment/guard.h"
#include "letters/redrive/redrive_history.h"
#include "letters/redrive/redrive_row.h"

/* Events looked at together. */
#define FETCH 50

/* The newest events first, without those that say themselves that they are not the state. */
#define EVENTS_QUERY                                                                                        \
	"SELECT e.type, e.flags, d.payload_json FROM ("                                                         \
	"SELECT e.seq, e.type, e.flags, e.schema_id, e.payload"                                                 \
	" FROM outbox.event e JOIN outbox_internal.event_schema s ON s.id = e.schema_id"                        \
	" WHERE s.contract = $1 AND ($2 IS NULL OR e.aggregateid = $2) AND e.flags & 1 = 0"                     \
	" AND ($3 IS NULL OR NOT pg_visible_in_snapshot(e.xid, $3::pg_snapshot)) AND e.leaf = ANY ($4::int2[])" \
	" ORDER BY e.seq DESC OFFSET 0) e CROSS JOIN LATERAL outbox_internal.decode_payload(e.schema_id, e.payload) d"

#define LEAVES_QUERY                                                                                                     \
	"SELECT coalesce(array_agg(leaf), '{}')::text FROM outbox_internal.leaf WHERE $1 IS NULL OR frozen_snapshot IS NULL" \
	" OR pg_snapshot_xmax(frozen_snapshot) > pg_snapshot_xmin($1::pg_snapshot)"

/* An event on its way to a row. */
typedef struct EventRow
{
	OutboxCompiledContract *contract;
	Jsonb *payload;
	HeapTuple row;
} EventRow;

static bool find_event(OutboxKeyHistory *history, MemoryContext context);
static const char *message_key(OutboxKeyHistory *history);
static bool take_event(OutboxKeyHistory *history, HeapTuple event, TupleDesc desc, MemoryContext context, bool *fits);
static void note_told(OutboxKeyHistory *history, const char *type, MemoryContext context);
static bool is_deleted(const OutboxCompiledContract *contract, const char *type, int16 flags);
static bool has_key(OutboxKeyHistory *history, HeapTuple row);
static void row_step(void *arg);
static Jsonb *as_input(const OutboxCompiledContract *contract, Jsonb *payload);
static void push_value(OutboxJsonbState *state, Oid type, JsonbValue *value);
static HeapTuple populate(const OutboxCompiledContract *contract, Jsonb *object);

bool
OutboxFindNewestEvent(OutboxKeyHistory *history)
{
	MemoryContext context = CurrentMemoryContext;
	OutboxOwnerScope scope;
	bool found;

	if (history->row == NULL)
		return false;
	OutboxOwnerBegin(&scope);
	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
	SPI_connect();
	found = find_event(history, context);
	SPI_finish();
	PopActiveSnapshot();
	OutboxOwnerEnd(&scope);
	return found;
}

static bool
find_event(OutboxKeyHistory *history, MemoryContext context)
{
	Oid types[] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID};
	const char *key = message_key(history);
	const char *leaves_args[] = {history->snapshot};
	const char *leaves = OutboxExecute(LEAVES_QUERY, lengthof(leaves_args), leaves_args);
	Datum values[] = {CStringGetTextDatum(history->contract->config->name), key ? CStringGetTextDatum(key) : (Datum) 0,
					  history->snapshot ? CStringGetTextDatum(history->snapshot) : (Datum) 0, CStringGetTextDatum(leaves)};
	char nulls[] = {' ', key ? ' ' : 'n', history->snapshot ? ' ' : 'n', ' ', '\0'};
	Portal portal = SPI_cursor_open_with_args(NULL, EVENTS_QUERY, lengthof(types), types, values, nulls, true, 0);
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext batch = AllocSetContextCreate(caller, "outbox events of a key", ALLOCSET_DEFAULT_SIZES);
	bool fits = false;
	bool found = false;
	uint64 nevents;

	/* where messages have another key there may be very many before it is found */
	do
	{
		SPI_cursor_fetch(portal, true, FETCH);
		nevents = SPI_processed;
		MemoryContextSwitchTo(batch);
		for (uint64 i = 0; i < nevents && !history->was_there; i++)
			found |= take_event(history, SPI_tuptable->vals[i], SPI_tuptable->tupdesc, context, found ? NULL : &fits);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(batch);
		SPI_freetuptable(SPI_tuptable);
	} while (!found && nevents > 0);
	SPI_cursor_close(portal);
	MemoryContextDelete(batch);
	return found && fits;
}

/* The message key that all events of the contract's key have; NULL: they may have others. */
static const char *
message_key(OutboxKeyHistory *history)
{
	OutboxCompiledContract *contract = history->contract;
	text *key;

	if (contract->naggregate != contract->nkey || memcmp(contract->aggregate, contract->key, sizeof(int) * contract->nkey) != 0)
		return NULL;
	ExecForceStoreHeapTuple(history->row, contract->before, false);
	key = OutboxMessageKey(contract, contract->before);
	return key ? text_to_cstring(key) : NULL;
}

/* Is it one of the key? Then *fits says whether it could be read. fits = NULL: it is not the newest one. */
static bool
take_event(OutboxKeyHistory *history, HeapTuple event, TupleDesc desc, MemoryContext context, bool *fits)
{
	EventRow read = {.contract = history->contract};
	char *type = SPI_getvalue(event, desc, 1);
	bool isnull;
	Datum flags = SPI_getbinval(event, desc, 2, &isnull);
	Datum payload = SPI_getbinval(event, desc, 3, &isnull);
	bool deleted;

	if (!isnull)
	{
		read.payload = DatumGetJsonbP(payload);
		if (OutboxRunGuarded(row_step, &read, CurrentMemoryContext))
			read.row = NULL;
	}
	/* with a message key of its own the query has found the key's events alone */
	if (read.row ? !has_key(history, read.row) : message_key(history) == NULL)
		return false;
	deleted = is_deleted(history->contract, type, DatumGetInt16(flags));
	if (deleted && !history->was_there)
		note_told(history, type, context);
	history->was_there |= !deleted;
	if (fits == NULL)
		return true;
	*fits = true;
	history->before = NULL;
	if (deleted)
		return true;
	*fits = read.row != NULL;
	if (read.row)
	{
		MemoryContext caller = MemoryContextSwitchTo(context);

		history->before = heap_copytuple(read.row);
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

/* The payload's columns with what their types' input functions take: the outbox shows bytes as base64 and JSON as text. */
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
