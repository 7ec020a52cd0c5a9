/*-------------------------------------------------------------------------
 *
 * message.c
 *	  Event rows as messages, a chunk at a time.
 *
 * The hot path: one copy of the row, and slices into that copy. A deletion
 * that is followed by a tombstone is two messages of one event.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/uuid.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "relay/read/read_private.h"
#include "util/util.h"

#define SLICE_LITERAL(text) ((OutboxSlice){.data = (text), .len = sizeof(text) - 1})

/* superseded, redriven, late; and replay */
#define MAX_FLAG_ATTRIBUTES 3
#define MAX_ATTRIBUTES (MAX_FLAG_ATTRIBUTES + 1)

/* What a sink keeps of a message besides its values. */
#define MESSAGE_OVERHEAD 256

static OutboxSlice get_slice(OutboxChunk *chunk, Datum value, bool isnull);
static OutboxSlice get_text_slice(OutboxChunk *chunk, Datum value, bool isnull);
static OutboxSlice to_utf8(OutboxChunk *chunk, OutboxSlice text);
static bool is_ascii(OutboxSlice text);
static OutboxSlice ascii_only(OutboxSlice text);
static OutboxSlice convert(OutboxSlice text, int encoding);
static OutboxSlice find_traceparent(OutboxSlice context);
static void set_attributes(OutboxChunk *chunk, OutboxMessage *message, int flags, Datum headers, bool isnull);
static int add_scalars(OutboxChunk *chunk, OutboxAttribute *attributes, JsonbContainer *object, JsonbContainer **columns);
static bool is_named(OutboxSlice name, const char *expected);
static OutboxSlice header_value(OutboxChunk *chunk, const JsonbValue *value);
static uint32 held_bytes(const OutboxMessage *message);
static void add_place(OutboxChunk *chunk, const OutboxEntry *entry, const OutboxCachedSchema *schema,
					  uint64 aggregate, bool completes);

/* A chunk that takes `capacity` messages, in a new child of the context. */
void
OutboxChunkInit(OutboxChunk *chunk, MemoryContext context, int capacity)
{
	MemoryContext own = AllocSetContextCreate(context, "outbox chunk", ALLOCSET_DEFAULT_SIZES);

	memset(chunk, 0, sizeof(*chunk));
	chunk->scratch = AllocSetContextCreate(own, "outbox chunk scratch", ALLOCSET_DEFAULT_SIZES);
	chunk->messages = MemoryContextAllocHuge(own, sizeof(OutboxMessage) * capacity);
	chunk->places = MemoryContextAllocHuge(own, sizeof(OutboxPlace) * capacity);
	chunk->capacity = capacity;
	OutboxArenaInit(&chunk->arena, own);
}

void
OutboxChunkReset(OutboxChunk *chunk)
{
	OutboxArenaReset(&chunk->arena);
	MemoryContextReset(chunk->scratch);
	chunk->n = 0;
	chunk->next = 0;
	chunk->held = 0;
	chunk->opens = NULL;
	chunk->closes = false;
}

/*
 * Adds the message or messages of an event row. The tuple's memory is in the
 * chunk's arena. Needs a transaction and an active snapshot (toast, schemas).
 */
void
OutboxChunkAdd(OutboxChunk *chunk, OutboxSchemaCache *schemas, uint32 timeline,
			   const OutboxEntry *entry, HeapTuple tuple, TupleDesc desc)
{
	OutboxMessage *message = &chunk->messages[chunk->n];
	Datum values[MaxTupleAttributeNumber];
	bool isnull[MaxTupleAttributeNumber];
	const OutboxCachedSchema *schema;
	uint64 aggregate;
	int flags;

	heap_deform_tuple(tuple, desc, values, isnull);
#define COLUMN(name) values[Anum_event_##name - 1], isnull[Anum_event_##name - 1]

	schema = OutboxSchemaGet(schemas, DatumGetInt32(values[Anum_event_schema_id - 1]));
	flags = DatumGetInt16(values[Anum_event_flags - 1]);

	message->destination = chunk->topic != NULL ? chunk->topic : schema->topic;
	message->schema = &schema->schema;
	message->ce_type = schema->ce_type;
	message->key = get_text_slice(chunk, COLUMN(aggregateid));
	message->payload = (flags & OUTBOX_EVENT_TOMBSTONE_ONLY) != 0 ? (OutboxSlice){NULL, 0} : get_slice(chunk, COLUMN(payload));
	memcpy(message->id, DatumGetUUIDP(values[Anum_event_id - 1])->data, UUID_LEN);
	message->seq = entry->seq;
	message->timeline = timeline;
	message->occurred_at = DatumGetTimestampTz(values[Anum_event_occurred_at - 1]);
	message->event_type = get_text_slice(chunk, COLUMN(type));
	message->aggregate_type = get_text_slice(chunk, COLUMN(aggregatetype));
	message->traceparent = find_traceparent(get_slice(chunk, COLUMN(tracingspancontext)));
	set_attributes(chunk, message, flags, COLUMN(headers));
	aggregate = OutboxAggregateHash(get_slice(chunk, COLUMN(aggregatetype)), get_slice(chunk, COLUMN(aggregateid)));
#undef COLUMN

	if ((flags & OUTBOX_EVENT_TOMBSTONE_AFTER) == 0)
	{
		add_place(chunk, entry, schema, aggregate, true);
		return;
	}
	add_place(chunk, entry, schema, aggregate, false);
	chunk->messages[chunk->n] = *message;
	chunk->messages[chunk->n].payload = (OutboxSlice){NULL, 0};
	add_place(chunk, entry, schema, aggregate, true);
}

/* Which aggregate an event is of; of the texts as the database has them. */
uint64
OutboxAggregateHash(OutboxSlice aggregate_type, OutboxSlice aggregate_id)
{
	uint64 type = hash_bytes_extended((const unsigned char *) aggregate_type.data, aggregate_type.len, 0);

	return hash_bytes_extended((const unsigned char *) aggregate_id.data, aggregate_id.len, type);
}

/* Counts the message at chunk->n in. */
static void
add_place(OutboxChunk *chunk, const OutboxEntry *entry, const OutboxCachedSchema *schema, uint64 aggregate, bool completes)
{
	const OutboxMessage *message = &chunk->messages[chunk->n];
	OutboxPlace *place = &chunk->places[chunk->n];

	place->seq = entry->seq;
	place->occurred_at = message->occurred_at;
	place->tid = entry->tid;
	place->leaf = entry->leaf;
	place->bytes = (uint32) Min(message->payload.len + message->key.len, PG_UINT32_MAX);
	place->held = held_bytes(message);
	place->acked = false;
	place->completes = completes;
	place->waits = false;
	place->aggregate = aggregate;
	place->schema = schema;
	chunk->held += place->held;
	chunk->n++;
}

/* A sink may put the key into headers, too: CloudEvents have it as subject and as partitionkey. */
static uint32
held_bytes(const OutboxMessage *message)
{
	Size size = message->payload.len + 3 * message->key.len + message->traceparent.len + MESSAGE_OVERHEAD;

	for (int i = 0; i < message->nattributes; i++)
		size += message->attributes[i].name.len + message->attributes[i].value.len;
	for (int i = 0; i < message->nheaders; i++)
		size += message->headers[i].name.len + message->headers[i].value.len;
	return (uint32) Min(size, PG_UINT32_MAX);
}

/* The bytes of a text, bytea or jsonb value; a copy only when it was toasted or compressed. */
static OutboxSlice
get_slice(OutboxChunk *chunk, Datum value, bool isnull)
{
	struct varlena *datum;

	if (isnull)
		return (OutboxSlice){NULL, 0};
	datum = (struct varlena *) DatumGetPointer(value);
	if (unlikely(VARATT_IS_EXTERNAL(datum) || VARATT_IS_COMPRESSED(datum)))
	{
		MemoryContext old = MemoryContextSwitchTo(chunk->scratch);

		datum = detoast_attr(datum);
		MemoryContextSwitchTo(old);
	}
	return (OutboxSlice){.data = VARDATA_ANY(datum), .len = VARSIZE_ANY_EXHDR(datum)};
}

/* The same for text, which leaves in UTF-8 whatever the database's encoding is. */
static OutboxSlice
get_text_slice(OutboxChunk *chunk, Datum value, bool isnull)
{
	return to_utf8(chunk, get_slice(chunk, value, isnull));
}

/* The bytes of a column of type text that is not NULL, in SPI's memory. */
OutboxSlice
OutboxRowSlice(const OutboxRows *rows, uint64 row, int column)
{
	bool isnull;
	text *value = DatumGetTextPP(OutboxRowDatum(rows, row, column, &isnull));

	return (OutboxSlice){.data = VARDATA_ANY(value), .len = VARSIZE_ANY_EXHDR(value)};
}

/*
 * Never raises for what the text is: an event that cannot leave would hold up all behind it.  Values were checked when
 * they were captured; what an application says of its transaction (a correlation id) was not.
 */
static OutboxSlice
to_utf8(OutboxChunk *chunk, OutboxSlice text)
{
	int encoding = GetDatabaseEncoding();
	MemoryContext old;

	if (likely(encoding == PG_UTF8) || is_ascii(text))
		return text;
	old = MemoryContextSwitchTo(chunk->scratch);
	if (encoding == PG_SQL_ASCII)
		text = pg_encoding_verifymbstr(PG_UTF8, text.data, text.len) == text.len ? text : ascii_only(text);
	else
		text = convert(text, encoding);
	MemoryContextSwitchTo(old);
	return text;
}

static bool
is_ascii(OutboxSlice text)
{
	for (Size i = 0; i < text.len; i++)
	{
		if (IS_HIGHBIT_SET(text.data[i]))
			return false;
	}
	return true;
}

/* A copy with a question mark for each byte that is not ASCII; in the current memory context, as below. */
static OutboxSlice
ascii_only(OutboxSlice text)
{
	char *copy = palloc(text.len);

	for (Size i = 0; i < text.len; i++)
		copy[i] = IS_HIGHBIT_SET(text.data[i]) ? '?' : text.data[i];
	return (OutboxSlice){.data = copy, .len = text.len};
}

static OutboxSlice
convert(OutboxSlice text, int encoding)
{
	Oid proc = FindDefaultConversionProc(encoding, PG_UTF8);
	int size = (int) Min((Size) MaxAllocSize, text.len * MAX_CONVERSION_GROWTH + 1);
	unsigned char *copy;

	if (!OidIsValid(proc))
		return ascii_only(text);
	copy = palloc(size);
	if (pg_do_encoding_conversion_buf(proc, encoding, PG_UTF8, (unsigned char *) text.data, (int) text.len, copy, size, true) != (int) text.len)
		return ascii_only(text);
	return (OutboxSlice){.data = (char *) copy, .len = strlen((char *) copy)};
}

/* The value of the line "traceparent=..." in a java.util.Properties text. */
static OutboxSlice
find_traceparent(OutboxSlice context)
{
	static const char name[] = "traceparent=";
	const char *line = context.data;
	const char *end = line + context.len;

	while (line != NULL && line < end)
	{
		const char *newline = memchr(line, '\n', end - line);
		const char *stop = newline != NULL ? newline : end;

		if (stop - line > sizeof(name) - 1 && memcmp(line, name, sizeof(name) - 1) == 0)
			return (OutboxSlice){.data = line + sizeof(name) - 1, .len = stop - line - (sizeof(name) - 1)};
		line = newline != NULL ? newline + 1 : NULL;
	}
	return (OutboxSlice){NULL, 0};
}

/* Attributes come from the flags and from the row's headers, an object of scalars; "headers" in it is an object with those of the contract. */
static void
set_attributes(OutboxChunk *chunk, OutboxMessage *message, int flags, Datum headers, bool isnull)
{
	static const struct
	{
		int flag;
		OutboxSlice name;
	} flag_names[MAX_FLAG_ATTRIBUTES] = {
		{OUTBOX_EVENT_SUPERSEDED, {.data = "superseded", .len = 10}},
		{OUTBOX_EVENT_REDRIVEN, {.data = "redriven", .len = 8}},
		{OUTBOX_EVENT_LATE, {.data = "late", .len = 4}},
	};
	Jsonb *jsonb = NULL;
	JsonbContainer *columns = NULL;
	int room = MAX_ATTRIBUTES;
	OutboxAttribute *attributes;
	int n = 0;

	message->attributes = NULL;
	message->nattributes = 0;
	message->headers = NULL;
	message->nheaders = 0;
	if (isnull && !chunk->replayed && (flags & (OUTBOX_EVENT_SUPERSEDED | OUTBOX_EVENT_REDRIVEN | OUTBOX_EVENT_LATE)) == 0)
		return;

	if (!isnull)
	{
		MemoryContext old = MemoryContextSwitchTo(chunk->scratch);

		jsonb = DatumGetJsonbP(headers);
		MemoryContextSwitchTo(old);
		room += JB_ROOT_COUNT(jsonb);
	}
	attributes = OutboxArenaAlloc(&chunk->arena, sizeof(OutboxAttribute) * room);
	for (int i = 0; i < MAX_FLAG_ATTRIBUTES; i++)
	{
		if ((flags & flag_names[i].flag) != 0)
			attributes[n++] = (OutboxAttribute){.name = flag_names[i].name, .value = SLICE_LITERAL("true")};
	}
	if (chunk->replayed)
		attributes[n++] = (OutboxAttribute){.name = SLICE_LITERAL("replay"), .value = SLICE_LITERAL("true")};
	if (jsonb != NULL && JB_ROOT_IS_OBJECT(jsonb))
		n += add_scalars(chunk, attributes + n, &jsonb->root, &columns);
	message->attributes = attributes;
	message->nattributes = n;
	if (columns == NULL)
		return;
	attributes = OutboxArenaAlloc(&chunk->arena, sizeof(OutboxAttribute) * (JsonContainerSize(columns) + 1));
	message->headers = attributes;
	message->nheaders = add_scalars(chunk, attributes, columns, NULL);
}

/* Fills in the scalars of an object, and returns how many. *columns: the object "headers" in it, if there is one. */
static int
add_scalars(OutboxChunk *chunk, OutboxAttribute *attributes, JsonbContainer *object, JsonbContainer **columns)
{
	MemoryContext old = MemoryContextSwitchTo(chunk->scratch);
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue value;
	OutboxSlice name = {NULL, 0};
	int n = 0;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = (OutboxSlice){.data = value.val.string.val, .len = value.val.string.len};
		else if (token == WJB_VALUE && value.type == jbvBinary && columns && is_named(name, "headers") && JsonContainerIsObject(value.val.binary.data))
			*columns = value.val.binary.data;
		else if (token == WJB_VALUE && value.type != jbvNull && value.type != jbvBinary)
			attributes[n++] = (OutboxAttribute){.name = name, .value = header_value(chunk, &value)};
	}
	MemoryContextSwitchTo(old);
	return n;
}

static bool
is_named(OutboxSlice name, const char *expected)
{
	return name.len == strlen(expected) && memcmp(name.data, expected, name.len) == 0;
}

/* A scalar as text; strings stay where they are. The current memory context is the chunk's scratch. */
static OutboxSlice
header_value(OutboxChunk *chunk, const JsonbValue *value)
{
	const char *text;

	switch (value->type)
	{
		case jbvString:
			return to_utf8(chunk, (OutboxSlice){.data = value->val.string.val, .len = value->val.string.len});
		case jbvBool:
			return value->val.boolean ? SLICE_LITERAL("true") : SLICE_LITERAL("false");
		case jbvNumeric:
			text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
			return (OutboxSlice){.data = text, .len = strlen(text)};
		default:
			elog(ERROR, "unexpected type of a header: %d", (int) value->type);
	}
	return (OutboxSlice){NULL, 0};
}
