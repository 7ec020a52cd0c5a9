/*-------------------------------------------------------------------------
 *
 * schema_cache.c
 *	  Pinned schemas as messages need them: text and fingerprint for framing,
 *	  topic and ce_type for addressing, and the ids that registries gave.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/latch.h"

#include "catalog/outbox_catalog.h"
#include "relay/read/read_private.h"
#include "util/util.h"

static bool load_schema(OutboxSchemaCache *cache, OutboxCachedSchema *entry);
static void load_registrations(OutboxSchemaCache *cache, OutboxCachedSchema *entry);
static const char *get_text(const OutboxRows *rows, uint64 row, int column);
static OutboxRegistration *find_or_add(OutboxSchema *schema, const OutboxRegistration *wanted);
static void add_unsaved(OutboxSchemaCache *cache, int32 schema_id, const OutboxRegistration *registration);

void
OutboxSchemaCacheInit(OutboxSchemaCache *cache, int32 sink_id, int64 forgotten, MemoryContext context)
{
	HASHCTL control = {.keysize = sizeof(int32), .entrysize = sizeof(OutboxCachedSchema), .hcxt = context};

	memset(cache, 0, sizeof(*cache));
	cache->sink_id = sink_id;
	cache->forgotten = forgotten;
	cache->context = context;
	cache->entries = hash_create("outbox schemas", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* Needs a transaction and an active snapshot. Raises when the schema does not exist. */
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
		"SELECT s.topic, s.ce_type, s.schema, s.fingerprint,"
		" concat_ws('.', s.schema::json ->> 'namespace', s.schema::json ->> 'name')"
		" FROM outbox_internal.event_schema s WHERE s.id = $1";
	OutboxOwnerScope scope;
	OutboxRows rows;
	bool found;

	OutboxOwnerBegin(&scope);
	SPI_connect();
	rows = OutboxSelect(query, OUTBOX_ARGS(OUTBOX_INT4(entry->id)));
	found = rows.n == 1;
	if (found)
	{
		MemoryContext old = MemoryContextSwitchTo(cache->context);

		entry->topic = get_text(&rows, 0, 1);
		entry->topic_hash = hash_bytes_extended((const unsigned char *) entry->topic, strlen(entry->topic), 0);
		entry->ce_type = get_text(&rows, 0, 2);
		entry->schema.id = entry->id;
		entry->schema.text = get_text(&rows, 0, 3);
		entry->schema.fingerprint = (uint64) OutboxRowInt(&rows, 0, 4, 0);
		entry->schema.full_name = get_text(&rows, 0, 5);
		MemoryContextSwitchTo(old);
		load_registrations(cache, entry);
	}
	SPI_finish();
	OutboxOwnerEnd(&scope);
	/* a lock wait may have swallowed a wake-up */
	SetLatch(MyLatch);
	return found;
}

/* Within SPI, whose calls leave its own memory context behind. */
static void
load_registrations(OutboxSchemaCache *cache, OutboxCachedSchema *entry)
{
	static const char query[] =
		"SELECT registry, subject, registered_id FROM outbox_internal.schema_registration WHERE sink_id = $1 AND schema_id = $2";
	OutboxRows rows = OutboxSelect(query, OUTBOX_ARGS(OUTBOX_INT4(cache->sink_id), OUTBOX_INT4(entry->id)));
	MemoryContext caller = MemoryContextSwitchTo(cache->context);
	OutboxRegistration *registrations = palloc(sizeof(OutboxRegistration) * Max(1, rows.n));

	for (uint64 i = 0; i < rows.n; i++)
		registrations[i] = (OutboxRegistration){
			.registry = get_text(&rows, i, 1), .subject = get_text(&rows, i, 2), .id = (int32) OutboxRowInt(&rows, i, 3, 0)};
	entry->schema.registrations = registrations;
	entry->schema.nregistrations = (int) rows.n;
	MemoryContextSwitchTo(caller);
}

/* A column of a row, in UTF-8, in the current memory context. */
static const char *
get_text(const OutboxRows *rows, uint64 row, int column)
{
	char *string = OutboxRowText(rows, row, column);

	return string == NULL ? "" : pg_server_to_any(string, strlen(string), PG_UTF8);
}

/* The sink reports an id that a registry assigned. */
void
OutboxSchemaRegistered(OutboxSchemaCache *cache, int32 schema_id, const OutboxRegistration *registration)
{
	OutboxCachedSchema *entry = hash_search(cache->entries, &schema_id, HASH_FIND, NULL);
	OutboxRegistration *known;
	MemoryContext caller;

	if (entry == NULL)
		return;
	caller = MemoryContextSwitchTo(cache->context);
	known = find_or_add(&entry->schema, registration);
	if (known->id != registration->id)
	{
		known->id = registration->id;
		add_unsaved(cache, schema_id, known);
	}
	MemoryContextSwitchTo(caller);
}

/* One that is added has no id yet. Allocates in the current memory context. */
static OutboxRegistration *
find_or_add(OutboxSchema *schema, const OutboxRegistration *wanted)
{
	OutboxRegistration *all = unconstify(OutboxRegistration *, schema->registrations);
	int n = schema->nregistrations;

	for (int i = 0; i < n; i++)
	{
		if (strcmp(all[i].registry, wanted->registry) == 0 && strcmp(all[i].subject, wanted->subject) == 0)
			return &all[i];
	}
	all = repalloc(all, sizeof(OutboxRegistration) * (n + 1));
	all[n] = (OutboxRegistration){.registry = pstrdup(wanted->registry), .subject = pstrdup(wanted->subject)};
	schema->registrations = all;
	schema->nregistrations = n + 1;
	return &all[n];
}

static void
add_unsaved(OutboxSchemaCache *cache, int32 schema_id, const OutboxRegistration *registration)
{
	if (cache->nunsaved == cache->capacity)
	{
		int capacity = Max(8, cache->capacity * 2);
		Size size = sizeof(OutboxNewRegistration) * capacity;

		cache->unsaved = cache->unsaved == NULL ? MemoryContextAlloc(cache->context, size)
												: repalloc(cache->unsaved, size);
		cache->capacity = capacity;
	}
	cache->unsaved[cache->nunsaved++] = (OutboxNewRegistration){schema_id, *registration};
}

/* Stores what was reported; within OutboxSessionBeginQuery. */
void
OutboxSchemaSaveRegistrations(OutboxSchemaCache *cache)
{
	static const char query[] =
		"INSERT INTO outbox_internal.schema_registration (sink_id, registry, subject, schema_id, registered_id)"
		" SELECT k.id, $2, $3, s.id, $5 FROM outbox_internal.event_schema s, outbox_internal.sink k"
		" WHERE k.id = $1 AND s.id = $4 AND k.forgotten = $6"
		" ON CONFLICT (sink_id, registry, subject, schema_id)"
		" DO UPDATE SET registered_id = excluded.registered_id, registered_at = clock_timestamp()";

	for (int i = 0; i < cache->nunsaved; i++)
	{
		const OutboxRegistration *registration = &cache->unsaved[i].registration;

		(void) OutboxRun(query, OUTBOX_ARGS(OUTBOX_INT4(cache->sink_id), OUTBOX_UTF8(registration->registry), OUTBOX_UTF8(registration->subject), OUTBOX_INT4(cache->unsaved[i].schema_id), OUTBOX_INT4(registration->id), OUTBOX_INT8(cache->forgotten)));
	}
}
