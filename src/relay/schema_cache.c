/*-------------------------------------------------------------------------
 *
 * schema_cache.c
 *	  Pinned schemas as messages need them: text and fingerprint for framing,
 *	  topic and ce_type for addressing, and the ids that a registry gave.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"

#include "catalog/outbox_catalog.h"
#include "relay/schema_cache.h"

static bool load_schema(OutboxSchemaCache *cache, OutboxCachedSchema *entry);
static const char *get_text(int column);

void
OutboxSchemaCacheInit(OutboxSchemaCache *cache, int32 sink_id, MemoryContext context)
{
	HASHCTL control = {.keysize = sizeof(int32), .entrysize = sizeof(OutboxCachedSchema), .hcxt = context};

	memset(cache, 0, sizeof(*cache));
	cache->sink_id = sink_id;
	cache->context = context;
	cache->entries = hash_create("outbox schemas", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

const OutboxCachedSchema *
OutboxSchemaGetSlow(OutboxSchemaCache *cache, int32 id)
{
	OutboxCachedSchema *entry = hash_search(cache->entries, &id, HASH_FIND, NULL);
	OutboxCachedSchema loaded = {.id = id};

	if (entry == NULL)
	{
		if (!load_schema(cache, &loaded))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("schema %d of an event does not exist", id),
					 errdetail("outbox.event_schema has no row with this id."),
					 errhint("Restore the row; events cannot be published without the schema they were written with.")));
		entry = hash_search(cache->entries, &id, HASH_ENTER, NULL);
		*entry = loaded;
	}
	cache->last = entry;
	return entry;
}

static bool
load_schema(OutboxSchemaCache *cache, OutboxCachedSchema *entry)
{
	static const char query[] =
		"SELECT s.topic, s.ce_type, s.schema, s.fingerprint, coalesce(r.registered_id, 0),"
		" concat_ws('.', s.schema::json ->> 'namespace', s.schema::json ->> 'name')"
		" FROM outbox_internal.event_schema s"
		" LEFT JOIN outbox_internal.schema_registration r ON r.schema_id = s.id AND r.sink_id = $2"
		" WHERE s.id = $1";
	Oid types[2] = {INT4OID, INT4OID};
	Datum values[2] = {Int32GetDatum(entry->id), Int32GetDatum(cache->sink_id)};
	OutboxOwnerScope scope;
	bool found;
	bool isnull;

	OutboxOwnerBegin(&scope);
	SPI_connect();
	if (SPI_execute_with_args(query, 2, types, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read outbox_internal.event_schema");
	found = SPI_processed == 1;
	if (found)
	{
		MemoryContext old = MemoryContextSwitchTo(cache->context);

		entry->topic = get_text(1);
		entry->topic_hash = hash_bytes_extended((const unsigned char *) entry->topic, strlen(entry->topic), 0);
		entry->ce_type = get_text(2);
		entry->schema.id = entry->id;
		entry->schema.text = get_text(3);
		entry->schema.fingerprint = (uint64) DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 4, &isnull));
		entry->schema.registered_id = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 5, &isnull));
		entry->schema.full_name = get_text(6);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	OutboxOwnerEnd(&scope);
	/* a lock wait may have swallowed a wake-up */
	SetLatch(MyLatch);
	return found;
}

/* A column of the only row, in UTF-8, in the current memory context. */
static const char *
get_text(int column)
{
	bool isnull;
	Datum value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull);
	char *string;

	if (isnull)
		return "";
	string = TextDatumGetCString(value);
	return pg_server_to_any(string, strlen(string), PG_UTF8);
}

void
OutboxSchemaRegistered(OutboxSchemaCache *cache, int32 schema_id, int32 registered_id)
{
	OutboxCachedSchema *entry = hash_search(cache->entries, &schema_id, HASH_FIND, NULL);

	if (entry == NULL || entry->schema.registered_id == registered_id)
		return;
	entry->schema.registered_id = registered_id;

	if (cache->nunsaved == cache->capacity)
	{
		int capacity = Max(8, cache->capacity * 2);
		Size size = sizeof(OutboxRegistration) * capacity;

		cache->unsaved = cache->unsaved == NULL ? MemoryContextAlloc(cache->context, size)
												: repalloc(cache->unsaved, size);
		cache->capacity = capacity;
	}
	cache->unsaved[cache->nunsaved++] = (OutboxRegistration){schema_id, registered_id};
}

void
OutboxSchemaSaveRegistrations(OutboxSchemaCache *cache)
{
	static const char query[] =
		"INSERT INTO outbox_internal.schema_registration (sink_id, schema_id, registered_id)"
		" SELECT $1, s.id, $3 FROM outbox_internal.event_schema s WHERE s.id = $2"
		" ON CONFLICT (sink_id, schema_id)"
		" DO UPDATE SET registered_id = excluded.registered_id, registered_at = clock_timestamp()";
	Oid types[3] = {INT4OID, INT4OID, INT4OID};

	for (int i = 0; i < cache->nunsaved; i++)
	{
		Datum values[3] = {Int32GetDatum(cache->sink_id),
						   Int32GetDatum(cache->unsaved[i].schema_id),
						   Int32GetDatum(cache->unsaved[i].registered_id)};

		if (SPI_execute_with_args(query, 3, types, values, NULL, false, 0) != SPI_OK_INSERT)
			elog(ERROR, "could not write outbox_internal.schema_registration");
	}
}
