/*-------------------------------------------------------------------------
 *
 * registry_sql.c
 *	  registry_diff() and push_level().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/tuplestore.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "sink/registry.h"
#include "sink/sink.h"
#include "util/util.h"

PG_FUNCTION_INFO_V1(outbox_registry_diff);
PG_FUNCTION_INFO_V1(outbox_push_level);

/* Columns of registry_diff(). */
enum
{
	DIFF_SINK,
	DIFF_SUBJECT,
	DIFF_WHAT,
	DIFF_OURS,
	DIFF_THEIRS,
	DIFF_ADVICE,
	DIFF_COLUMNS
};

static List *pinned_items(const OutboxRegistrySink *sink);
static OutboxRegistryItem *pinned_item(const OutboxRows *rows, uint64 i);
static void add_registrations(List *items, const OutboxRegistrySink *sink);
static const char *utf8_copy(const char *text);
static void put_row(ReturnSetInfo *result, const OutboxRegistryRow *row);
static void require_registry(const OutboxRegistrySink *sink);
static void raise_finding(const OutboxRegistryRow *row);

/* registry_diff(sink text) returns rows. Raises undefined_object. */
Datum
outbox_registry_diff(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell *lc;

	OutboxRequireVersion();
	InitMaterializedSRF(fcinfo, 0);
	foreach (lc, OutboxRegistrySinks(OutboxTextArg(fcinfo, 0)))
	{
		OutboxRegistrySink *sink = lfirst(lc);
		ListCell *row;

		foreach (row, OutboxRegistryCallSink(OUTBOX_REGISTRY_COMPARE, sink, pinned_items(sink), OutboxRegistryDeadline()))
			put_row(result, lfirst(row));
	}
	return (Datum) 0;
}

/* push_level(sink text). Raises undefined_object, feature_not_supported, external_routine_exception. */
Datum
outbox_push_level(PG_FUNCTION_ARGS)
{
	char *name = OutboxRequiredTextArg(fcinfo, 0, "sink");
	OutboxRegistrySink *sink;
	List *rows;

	OutboxRequireVersion();
	sink = linitial(OutboxRegistrySinks(name));
	require_registry(sink);
	rows = OutboxRegistryCallSink(OUTBOX_REGISTRY_PUSH_LEVEL, sink, pinned_items(sink), OutboxRegistryDeadline());
	if (rows != NIL)
		raise_finding(linitial(rows));
	PG_RETURN_VOID();
}

/*
 * All schemas that this database has pinned: the newest of each event type of
 * an enabled contract in a topic should be in the registry, older ones and
 * those of retired versions may be.
 */
static List *
pinned_items(const OutboxRegistrySink *sink)
{
	static const char query[] =
		"SELECT s.id, s.topic, s.event_type, s.schema, concat_ws('.', s.schema::json ->> 'namespace', s.schema::json ->> 'name'),"
		/* without the column, FULL */
		" coalesce(to_jsonb(c) ->> 'compatibility', 'FULL'),"
		" coalesce(c.enabled, false) AND s.version = max(s.version) OVER (PARTITION BY s.event_type_id, s.topic)"
		" AND NOT EXISTS (SELECT FROM outbox_internal.contract_version v WHERE v.contract_id = c.id AND v.version = s.version AND v.state = 'retired')"
		" FROM outbox_internal.event_schema s LEFT JOIN outbox_internal.event_type e ON e.id = s.event_type_id"
		" LEFT JOIN outbox_internal.contract c ON c.id = e.contract_id ORDER BY s.id";
	MemoryContext caller = CurrentMemoryContext;
	OutboxOwnerScope scope;
	OutboxRows rows;
	List *items = NIL;

	OutboxOwnerBegin(&scope);
	SPI_connect();
	rows = OutboxSelect(query, OUTBOX_NO_ARGS);
	for (uint64 i = 0; i < rows.n; i++)
	{
		MemoryContext spi = MemoryContextSwitchTo(caller);

		items = lappend(items, pinned_item(&rows, i));
		MemoryContextSwitchTo(spi);
	}
	SPI_finish();
	OutboxOwnerEnd(&scope);
	add_registrations(items, sink);
	return items;
}

static OutboxRegistryItem *
pinned_item(const OutboxRows *rows, uint64 i)
{
	OutboxRegistryItem *item = OutboxRegistryItemMake(OutboxRowText(rows, i, 2), pstrdup(OutboxRowText(rows, i, 3)), OutboxRowText(rows, i, 4),
													  OutboxRowText(rows, i, 5), pstrdup(OutboxRowText(rows, i, 6)));

	unconstify(OutboxSchema *, item->schema)->id = (int32) OutboxRowInt(rows, i, 1, 0);
	item->current = OutboxRowBool(rows, i, 7);
	return item;
}

/* The ids that are remembered of this sink. */
static void
add_registrations(List *items, const OutboxRegistrySink *sink)
{
	static const char query[] =
		"SELECT registry, subject, registered_id FROM outbox_internal.schema_registration WHERE sink_id = $1 AND schema_id = $2";
	MemoryContext caller = CurrentMemoryContext;
	OutboxPlan *plan = NULL;
	OutboxOwnerScope scope;
	ListCell *lc;

	OutboxOwnerBegin(&scope);
	SPI_connect();
	foreach (lc, items)
	{
		OutboxSchema *schema = unconstify(OutboxSchema *, ((OutboxRegistryItem *) lfirst(lc))->schema);
		OutboxRows rows = OutboxRunPlanned(&plan, OUTBOX_PLAN_TO_END, query, OUTBOX_ARGS(OUTBOX_INT4(sink->id), OUTBOX_INT4(schema->id)));
		MemoryContext spi = MemoryContextSwitchTo(caller);
		OutboxRegistration *registrations = palloc(sizeof(OutboxRegistration) * Max(1, rows.n));

		for (uint64 i = 0; i < rows.n; i++)
			registrations[i] = (OutboxRegistration){.registry = utf8_copy(OutboxRowText(&rows, i, 1)),
													.subject = utf8_copy(OutboxRowText(&rows, i, 2)),
													.id = (int32) OutboxRowInt(&rows, i, 3, 0)};
		schema->registrations = registrations;
		schema->nregistrations = (int) rows.n;
		MemoryContextSwitchTo(spi);
	}
	SPI_finish();
	OutboxOwnerEnd(&scope);
}

static const char *
utf8_copy(const char *text)
{
	return pstrdup(pg_server_to_any(text, strlen(text), PG_UTF8));
}

static void
put_row(ReturnSetInfo *result, const OutboxRegistryRow *row)
{
	Datum values[DIFF_COLUMNS];
	bool nulls[DIFF_COLUMNS];

	OutboxSetText(values, nulls, DIFF_SINK, row->sink);
	OutboxSetText(values, nulls, DIFF_SUBJECT, row->subject);
	OutboxSetText(values, nulls, DIFF_WHAT, row->what);
	OutboxSetText(values, nulls, DIFF_OURS, row->ours);
	OutboxSetText(values, nulls, DIFF_THEIRS, row->theirs);
	OutboxSetText(values, nulls, DIFF_ADVICE, row->advice);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void
require_registry(const OutboxRegistrySink *sink)
{
	const OutboxSinkCallbacks *callbacks = OutboxSinkLoad(sink->library);
	int n;
	OutboxSinkOption *options = OutboxSinkOptionsUnread((Jsonb *) sink->options, &n);

	if (callbacks->registry_cb == NULL || callbacks->subject_cb == NULL || callbacks->subject_cb(options, n, "", "") == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("sink \"%s\" has no schema registry", sink->name),
				 errhint("Give the sink the options of one; see docs/sinks.md.")));
}

static void
raise_finding(const OutboxRegistryRow *row)
{
	ereport(ERROR,
			(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
			 row->subject != NULL
				 ? errmsg("the schema registry of sink \"%s\" does not take a level for subject \"%s\"", row->sink, row->subject)
				 : errmsg("could not set levels in the schema registry of sink \"%s\"", row->sink),
			 errdetail("%s.", row->theirs),
			 errhint("%s Levels that were set before stay.", row->advice != NULL ? row->advice : "See what the sink's user may do there.")));
}
