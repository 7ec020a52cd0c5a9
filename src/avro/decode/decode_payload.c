/*-------------------------------------------------------------------------
 *
 * decode_payload.c
 *	  SQL function outbox.decode_payload: the payload of an event as jsonb.
 *
 * Under the view event_json, so a row that cannot be decoded must not fail the
 * query. Decoders are kept per backend, since a schema text does not change
 * once it is pinned. They are found by the object id of outbox_internal.event_schema
 * and the schema's id: schema ids start again when the extension is created
 * again, relation ids do not.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "avro/decode/jsonb_decode.h"
#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "util/util.h"

/* When so many decoders are kept, all are dropped: far more than schemas in use. */
#define MAX_DECODERS 512

typedef struct DecoderKey
{
	Oid relation; /* outbox_internal.event_schema */
	int32 schema_id;
} DecoderKey;

typedef struct DecoderEntry
{
	DecoderKey key;
	OutboxAvroDecoder *decoder;
} DecoderEntry;

/* Holds the hash table and, in children, the decoders; child of CacheMemoryContext, reset as a whole. */
static MemoryContext decoder_context = NULL;
static HTAB *decoders = NULL;

PG_FUNCTION_INFO_V1(outbox_decode_payload);

static void
start_cache(void)
{
	HASHCTL control = {.keysize = sizeof(DecoderKey), .entrysize = sizeof(DecoderEntry)};

	if (decoders != NULL && hash_get_num_entries(decoders) < MAX_DECODERS)
		return;
	decoders = NULL;
	if (decoder_context == NULL)
		decoder_context = AllocSetContextCreate(CacheMemoryContext, "outbox decoders", ALLOCSET_DEFAULT_SIZES);
	MemoryContextReset(decoder_context);
	control.hcxt = decoder_context;
	decoders = hash_create("outbox decoders", 16, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* The pinned text in CurrentMemoryContext; NULL when there is no such schema. */
static char *
read_schema(int32 schema_id)
{
	MemoryContext caller = CurrentMemoryContext;
	OutboxOwnerScope scope;
	char *schema = NULL;
	OutboxRows rows;

	OutboxOwnerBegin(&scope);
	SPI_connect();
	rows = OutboxSelect("SELECT schema FROM outbox_internal.event_schema WHERE id OPERATOR(pg_catalog.=) $1",
						OUTBOX_ARGS(OUTBOX_INT4(schema_id)));
	if (rows.n == 1)
		schema = MemoryContextStrdup(caller, OutboxRowText(&rows, 0, 1));
	SPI_finish();
	OutboxOwnerEnd(&scope);
	return schema;
}

/* The decoder of a schema, made if need be; NULL with *error. */
static OutboxAvroDecoder *
find_decoder(int32 schema_id, char **error)
{
	DecoderKey key = {.relation = OutboxRelationOid("event_schema"), .schema_id = schema_id};
	DecoderEntry *entry = decoders != NULL ? hash_search(decoders, &key, HASH_FIND, NULL) : NULL;
	OutboxAvroDecoder *decoder;
	MemoryContext own;
	MemoryContext caller;
	AvroFault fault;
	char *schema;

	if (entry != NULL)
		return entry->decoder;
	schema = read_schema(schema_id);
	if (schema == NULL)
	{
		*error = psprintf("schema %d is not in outbox.event_schema", schema_id);
		return NULL;
	}
	start_cache();
	own = AllocSetContextCreate(decoder_context, "outbox decoder", ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(own);
	decoder = OutboxDecoderLoad(schema, &fault);
	MemoryContextSwitchTo(caller);
	pfree(schema);
	if (decoder == NULL)
	{
		MemoryContextDelete(own);
		*error = psprintf("schema %d is not valid: %s", schema_id, fault.text);
		return NULL;
	}
	entry = hash_search(decoders, &key, HASH_ENTER, NULL);
	entry->decoder = decoder;
	return decoder;
}

Jsonb *
OutboxDecodePayload(int32 schema_id, const bytea *payload)
{
	char *error = NULL;
	OutboxAvroDecoder *decoder = find_decoder(schema_id, &error);

	return decoder ? OutboxAvroDecode(decoder, VARDATA_ANY(payload), VARSIZE_ANY_EXHDR(payload), &error) : NULL;
}

/* The function's row type, looked up once per query. */
static TupleDesc
result_type(FunctionCallInfo fcinfo)
{
	TupleDesc tupdesc = fcinfo->flinfo->fn_extra;
	MemoryContext caller;

	if (tupdesc != NULL)
		return tupdesc;
	caller = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "outbox.decode_payload must return a row");
	tupdesc = BlessTupleDesc(CreateTupleDescCopy(tupdesc));
	fcinfo->flinfo->fn_extra = tupdesc;
	MemoryContextSwitchTo(caller);
	return tupdesc;
}

/* outbox_internal.decode_payload(schema_id int, payload bytea) returns (payload_json jsonb, error text); strict */
Datum
outbox_decode_payload(PG_FUNCTION_ARGS)
{
	int32 schema_id = PG_GETARG_INT32(0);
	bytea *payload = PG_GETARG_BYTEA_PP(1);
	TupleDesc tupdesc = result_type(fcinfo);
	char *error = NULL;
	OutboxAvroDecoder *decoder = find_decoder(schema_id, &error);
	Jsonb *json = NULL;
	Datum values[2] = {0};
	bool isnull[2];

	if (decoder != NULL)
		json = OutboxAvroDecode(decoder, VARDATA_ANY(payload), VARSIZE_ANY_EXHDR(payload), &error);
	isnull[0] = json == NULL;
	isnull[1] = error == NULL;
	if (json != NULL)
		values[0] = JsonbPGetDatum(json);
	if (error != NULL)
		values[1] = CStringGetTextDatum(error);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(tupdesc, values, isnull)));
}
