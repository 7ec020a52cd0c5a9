/*-------------------------------------------------------------------------
 *
 * registry_ask.c
 *	  One call of a sink's library about its schema registry, in a session.
 *
 * The library asks with the sink's own credentials: who may call these
 * functions may make the server connect to where an admin has configured it,
 * as start_relay() does, and nowhere else.  Secrets are read as the relay
 * reads them, and stand in no message.  What a registry says is shown as
 * foreign_text.c makes it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "avro/outbox_avro.h"
#include "catalog/outbox_catalog.h"
#include "sink/registry.h"
#include "sink/sink.h"
#include "util/util.h"

/* A migration waits. */
#define PATIENCE_MS 5000

typedef struct Ask
{
	const OutboxRegistrySink *sink;
	OutboxRegistryTask task;
	List *items; /* of OutboxRegistryItem * */
	TimestampTz deadline;
	MemoryContext context; /* of the rows */
	List *rows;            /* of OutboxRegistryRow * */
} Ask;

static void call_library(void *arg);
static void take_finding(const OutboxRegistryCall *call, const OutboxRegistryFinding *finding);
static void add_row(Ask *ask, const OutboxRegistryRow *row);
static const char *to_database(const char *utf8);
static bool reads_alike(const OutboxSchema *schema, const char *other);

TimestampTz
OutboxRegistryDeadline(void)
{
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), PATIENCE_MS);
}

/* The sink of the name, or all when it is NULL, in the present memory context. Raises undefined_object. */
List *
OutboxRegistrySinks(const char *name)
{
	MemoryContext caller = CurrentMemoryContext;
	List *sinks = NIL;
	OutboxOwnerScope scope;
	OutboxRows rows;

	OutboxOwnerBegin(&scope);
	SPI_connect();
	rows = OutboxSelect("SELECT id, name, library, options FROM outbox_internal.sink WHERE name = $1 OR $1 IS NULL ORDER BY id",
						OUTBOX_ARGS(OUTBOX_TEXT(name)));
	if (rows.n == 0 && name != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("sink \"%s\" does not exist", name),
				 errhint("Create it with outbox.create_sink(), or see outbox.status for the sinks that exist.")));
	for (uint64 i = 0; i < rows.n; i++)
	{
		bool isnull;
		Datum options = OutboxRowDatum(&rows, i, 4, &isnull);
		MemoryContext spi = MemoryContextSwitchTo(caller);
		OutboxRegistrySink *sink = palloc0(sizeof(OutboxRegistrySink));

		sink->id = (int32) OutboxRowInt(&rows, i, 1, 0);
		sink->name = pstrdup(OutboxRowText(&rows, i, 2));
		sink->library = pstrdup(OutboxRowText(&rows, i, 3));
		sink->options = (struct varlena *) DatumGetJsonbPCopy(options);
		sinks = lappend(sinks, sink);
		MemoryContextSwitchTo(spi);
	}
	SPI_finish();
	OutboxOwnerEnd(&scope);
	return sinks;
}

/* Of texts in the database's encoding. The schema has no id and no registrations yet. */
OutboxRegistryItem *
OutboxRegistryItemMake(const char *topic, const char *event_type, const char *schema, const char *full_name, const char *level)
{
	OutboxRegistryItem *item = palloc0(sizeof(OutboxRegistryItem));
	OutboxSchema *made = palloc0(sizeof(OutboxSchema));

	made->text = pg_server_to_any(schema, strlen(schema), PG_UTF8);
	made->full_name = pg_server_to_any(full_name, strlen(full_name), PG_UTF8);
	made->level = level;
	item->topic = pg_server_to_any(topic, strlen(topic), PG_UTF8);
	item->event_type = event_type;
	item->schema = made;
	item->current = true;
	return item;
}

/*
 * Returns what it found, a list of OutboxRegistryRow.  Whatever is wrong with
 * the library, its options or the registry is a finding; only a cancel and the
 * like raise.  Nothing of the caller's rights is used: OutboxOwnerBegin is the
 * caller's affair.
 */
List *
OutboxRegistryCallSink(OutboxRegistryTask task, const OutboxRegistrySink *sink, List *items, TimestampTz deadline)
{
	Ask ask = {.sink = sink, .task = task, .items = items, .deadline = deadline, .context = CurrentMemoryContext};
	ErrorData *error = OutboxCatch(call_library, &ask, CurrentMemoryContext, OutboxIsIntervention);

	if (error != NULL)
	{
		OutboxMakeErrorPrintable(error);
		add_row(&ask, &(OutboxRegistryRow){.what = "unreachable", .theirs = error->message, .advice = error->hint});
	}
	return ask.rows;
}

static void
call_library(void *arg)
{
	Ask *ask = arg;
	const OutboxSinkCallbacks *callbacks = OutboxSinkLoad(ask->sink->library);
	OutboxRegistryItem *items = palloc(sizeof(OutboxRegistryItem) * Max(1, list_length(ask->items)));
	OutboxRegistryCall call = {.task = ask->task, .sink_name = ask->sink->name, .items = items, .deadline = ask->deadline, .reads_alike = reads_alike, .report = take_finding, .arg = ask};
	ListCell *lc;

	if (callbacks->registry_cb == NULL)
		return;
	foreach (lc, ask->items)
		items[call.nitems++] = *(OutboxRegistryItem *) lfirst(lc);
	call.options = OutboxSinkOptions((Jsonb *) ask->sink->options, false, &call.noptions);
	callbacks->registry_cb(&call);
}

static void
take_finding(const OutboxRegistryCall *call, const OutboxRegistryFinding *finding)
{
	add_row(call->arg, &(OutboxRegistryRow){.event_type = finding->item >= 0 ? call->items[finding->item].event_type : NULL, .subject = to_database(finding->subject), .what = finding->what, .ours = to_database(finding->ours), .theirs = to_database(finding->theirs), .advice = finding->advice});
}

/* It outlives the library's call. */
static void
add_row(Ask *ask, const OutboxRegistryRow *row)
{
	MemoryContext caller = MemoryContextSwitchTo(ask->context);
	OutboxRegistryRow *copy = palloc0(sizeof(OutboxRegistryRow));

	copy->sink = ask->sink->name;
	copy->event_type = row->event_type;
	copy->subject = row->subject ? pstrdup(row->subject) : NULL;
	copy->what = pstrdup(row->what);
	copy->ours = row->ours ? OutboxPrintable(row->ours) : NULL;
	copy->theirs = row->theirs ? OutboxPrintable(row->theirs) : NULL;
	copy->advice = row->advice ? pstrdup(row->advice) : NULL;
	ask->rows = lappend(ask->rows, copy);
	MemoryContextSwitchTo(caller);
}

static const char *
to_database(const char *utf8)
{
	return utf8 == NULL ? NULL : pg_any_to_server(utf8, strlen(utf8), PG_UTF8);
}

static bool
reads_alike(const OutboxSchema *schema, const char *other)
{
	return OutboxAvroReadsAlike(schema->text, other);
}
