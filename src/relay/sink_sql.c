/*-------------------------------------------------------------------------
 *
 * sink_sql.c
 *	  SQL functions that configure sinks and start and stop their relays.
 *
 * They change rows of outbox.sink and tell the launcher at commit: what runs
 * follows what is committed.  Our tables are read and written as the
 * extension's owner; what the caller may do is decided by EXECUTE on these
 * functions, and, for files among a sink's options, by his own rights.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "catalog/catalog.h"
#include "compat.h"
#include "guc.h"
#include "shared/outbox_shared.h"
#include "sink/sink_loader.h"

#define MAX_NAME_BYTES 63

/* A row of outbox.sink, as far as these functions care. */
typedef struct SinkRow
{
	int32 id;
	char *name;
	char *desired_state;
} SinkRow;

static bool poke_at_commit = false;

PG_FUNCTION_INFO_V1(outbox_create_sink);
PG_FUNCTION_INFO_V1(outbox_drop_sink);
PG_FUNCTION_INFO_V1(outbox_start_relay);
PG_FUNCTION_INFO_V1(outbox_stop_relay);

static char *required_text(FunctionCallInfo fcinfo, int arg, const char *name);
static void check_sink_name(const char *name);
static int find_sinks(const char *name, SinkRow **rows);
static SinkRow find_sink(const char *name);
static void poke_launcher(void);

/* ---- helpers ---------------------------------------------------------------- */

static char *
required_text(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name),
				 errhint("Pass a value for \"%s\".", name)));
	return text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

static void
check_sink_name(const char *name)
{
	bool valid = name[0] != '\0' && !(name[0] >= '0' && name[0] <= '9') &&
		strlen(name) <= MAX_NAME_BYTES;

	for (const char *p = name; *p && valid; p++)
		valid = *p == '_' || (*p >= '0' && *p <= '9') ||
			(*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');
	if (!valid)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("invalid sink name: \"%s\"", name),
				 errdetail("A name starts with a letter or underscore, goes on with letters, digits and underscores, and has at most %d bytes.",
						   MAX_NAME_BYTES),
				 errhint("Choose a name such as \"main_broker\".")));
}

/* Sinks by name, or all; rows are locked against concurrent changes. Within SPI. */
static int
find_sinks(const char *name, SinkRow **rows)
{
	Oid types[] = {TEXTOID};
	Datum values[] = {name ? CStringGetTextDatum(name) : (Datum) 0};
	int n;

	if (SPI_execute_with_args("SELECT id, name, desired_state FROM outbox.sink WHERE name = $1 OR $1 IS NULL ORDER BY id FOR UPDATE",
							  1, types, values, name ? " " : "n", false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read outbox.sink");
	n = (int) SPI_processed;
	*rows = palloc(sizeof(SinkRow) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		HeapTuple tuple = SPI_tuptable->vals[i];
		bool isnull;

		(*rows)[i].id = DatumGetInt32(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 1, &isnull));
		(*rows)[i].name = SPI_getvalue(tuple, SPI_tuptable->tupdesc, 2);
		(*rows)[i].desired_state = SPI_getvalue(tuple, SPI_tuptable->tupdesc, 3);
	}
	return n;
}

/* The sink of this name, or an error. Within SPI. */
static SinkRow
find_sink(const char *name)
{
	SinkRow *rows;

	if (find_sinks(name, &rows) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("sink \"%s\" does not exist", name),
				 errhint("Create it with outbox.create_sink(), or see outbox.status for the sinks there are.")));
	return rows[0];
}

/* ---- the launcher follows what is committed ---------------------------------- */

static void
on_transaction(XactEvent event, void *arg)
{
	if (!poke_at_commit)
		return;
	if (event == XACT_EVENT_COMMIT)
		OutboxLauncherPoke(MyDatabaseId);
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		poke_at_commit = false;
}

static void
poke_launcher(void)
{
	static bool registered = false;

	if (!registered)
		RegisterXactCallback(on_transaction, NULL);
	registered = true;
	poke_at_commit = true;
}

/* ---- create and drop ---------------------------------------------------------- */

/* Loads the library and lets it check the options: nothing is started. */
static void
check_options(const char *library, Jsonb *options)
{
	const OutboxSinkCallbacks *callbacks = OutboxSinkLoad(library);
	int n;
	OutboxSinkOption *resolved = OutboxSinkOptions(options, true, &n);

	callbacks->validate_cb(resolved, n);
}

static int32
insert_sink(const char *name, const char *library, Jsonb *options, const char *start_at)
{
	Oid types[] = {TEXTOID, TEXTOID, JSONBOID, TEXTOID};
	Datum values[] = {
		CStringGetTextDatum(name), CStringGetTextDatum(library),
		JsonbPGetDatum(options), CStringGetTextDatum(start_at)};
	bool isnull;
	SinkRow *rows;

	if (find_sinks(name, &rows) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("sink \"%s\" already exists", name),
				 errhint("Choose another name, or drop it first with outbox.drop_sink().")));
	if (SPI_execute_with_args("INSERT INTO outbox.sink (name, library, options, start_at) VALUES ($1, $2, $3, $4) RETURNING id",
							  4, types, values, NULL, false, 0) != SPI_OK_INSERT_RETURNING)
		elog(ERROR, "could not insert into outbox.sink");
	return DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/*
 * start_at = 'now': the position of a relay that has published everything
 * that is committed at this moment.
 */
static void
insert_position(int32 sink_id)
{
	Oid types[] = {INT4OID, INT8OID, OIDOID};
	Datum values[] = {
		Int32GetDatum(sink_id), Int64GetDatum((int64) GetSystemIdentifier()),
		ObjectIdGetDatum(MyDatabaseId)};

	if (SPI_execute_with_args("INSERT INTO outbox.relay_progress (sink_id, snap_last, seq_seen, system_identifier, database_oid)"
							  " SELECT $1, pg_current_snapshot(), CASE WHEN s.is_called THEN s.last_value ELSE 0 END, $2, $3"
							  " FROM outbox.event_seq s",
							  3, types, values, NULL, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not insert into outbox.relay_progress");
}

/*
 * create_sink(name text, library text, options jsonb, start_at text).
 * Raises invalid_name, duplicate_object, invalid_parameter_value, and what
 * the library says about the options.
 */
Datum
outbox_create_sink(PG_FUNCTION_ARGS)
{
	char *name = required_text(fcinfo, 0, "name");
	char *library = required_text(fcinfo, 1, "library");
	Jsonb *options = PG_ARGISNULL(2) ? DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"))) : PG_GETARG_JSONB_P(2);
	char *start_at = PG_ARGISNULL(3) ? "earliest" : text_to_cstring(PG_GETARG_TEXT_PP(3));
	OutboxOwnerScope scope;
	int32 id;

	check_sink_name(name);
	if (strcmp(start_at, "earliest") != 0 && strcmp(start_at, "now") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid start_at of sink \"%s\": \"%s\"", name, start_at),
				 errdetail("A sink starts at the earliest event that is kept, or with events after its creation."),
				 errhint("Use \"earliest\" or \"now\".")));
	check_options(library, options);

	OutboxOwnerBegin(&scope);
	SPI_connect();
	id = insert_sink(name, library, options, start_at);
	if (strcmp(start_at, "now") == 0)
		insert_position(id);
	SPI_finish();
	OutboxOwnerEnd(&scope);
	PG_RETURN_VOID();
}

/* drop_sink(name text). Raises undefined_object, object_in_use. */
Datum
outbox_drop_sink(PG_FUNCTION_ARGS)
{
	char *name = required_text(fcinfo, 0, "name");
	OutboxOwnerScope scope;
	OutboxRelayInfo info;
	SinkRow sink;
	Oid types[] = {INT4OID};
	Datum values[1];

	OutboxOwnerBegin(&scope);
	SPI_connect();
	sink = find_sink(name);
	if (strcmp(sink.desired_state, "stopped") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot drop sink \"%s\" because it is not stopped", name),
				 errdetail("Its state is \"%s\".", sink.desired_state),
				 errhint("Stop it first: SELECT outbox.stop_relay('%s');", name)));
	if (OutboxRelayLookup(MyDatabaseId, sink.id, &info) && info.pid != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot drop sink \"%s\" while its relay is stopping", name),
				 errdetail("Process %d waits for outstanding acknowledgements.", info.pid),
				 errhint("Try again in a moment; outbox.drain_timeout limits how long it takes.")));
	values[0] = Int32GetDatum(sink.id);
	if (SPI_execute_with_args("DELETE FROM outbox.sink WHERE id = $1",
							  1, types, values, NULL, false, 0) != SPI_OK_DELETE)
		elog(ERROR, "could not delete from outbox.sink");
	SPI_finish();
	OutboxOwnerEnd(&scope);
	PG_RETURN_VOID();
}

/* ---- start and stop ----------------------------------------------------------- */

/*
 * The line that shared_preload_libraries should have: what it holds now, and
 * this library.
 */
static char *
preload_line(void)
{
	if (shared_preload_libraries_string == NULL || shared_preload_libraries_string[0] == '\0')
		return "shared_preload_libraries = 'outbox_ext'";
	return psprintf("shared_preload_libraries = '%s, outbox_ext'", shared_preload_libraries_string);
}

static void
require_preloading(void)
{
	if (OutboxSharedAvailable())
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot start a relay because outbox_ext is not preloaded"),
			 errdetail("Relays are started by a background worker that exists only when the library was loaded at server start."),
			 errhint("Write %s into postgresql.conf and restart the server.", preload_line())));
}

/*
 * Starting is also the consent to publish from this copy of the data: the
 * sink remembers which copy it is.
 */
static void
set_running(int32 sink_id)
{
	Oid types[] = {INT4OID, INT8OID, OIDOID, TEXTOID};
	bool has_site = outbox_site != NULL && outbox_site[0] != '\0';
	Datum values[] = {
		Int32GetDatum(sink_id), Int64GetDatum((int64) GetSystemIdentifier()),
		ObjectIdGetDatum(MyDatabaseId), has_site ? CStringGetTextDatum(outbox_site) : (Datum) 0};

	if (SPI_execute_with_args("UPDATE outbox.sink SET desired_state = 'running', system_identifier = $2, database_oid = $3, site = $4 WHERE id = $1",
							  4, types, values, has_site ? "    " : "   n", false, 0) != SPI_OK_UPDATE)
		elog(ERROR, "could not update outbox.sink");
}

/* What start_relay says about one sink. */
static char *
start_sentence(const SinkRow *sink)
{
	OutboxRelayInfo info;

	if (strcmp(sink->desired_state, "running") == 0 &&
		OutboxRelayLookup(MyDatabaseId, sink->id, &info) && info.pid != 0)
		return psprintf("The relay of sink \"%s\" is running already (process %d).", sink->name, info.pid);
	return psprintf("The relay of sink \"%s\" starts when this transaction commits.", sink->name);
}

/*
 * start_relay(sink text) returns text: what happens, one sentence per sink.
 * Raises object_not_in_prerequisite_state, undefined_object.
 */
Datum
outbox_start_relay(PG_FUNCTION_ARGS)
{
	char *name = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	MemoryContext caller = CurrentMemoryContext;
	OutboxOwnerScope scope;
	SinkRow *sinks;
	StringInfoData answer;
	int n;

	require_preloading();
	initStringInfo(&answer);
	OutboxOwnerBegin(&scope);
	SPI_connect();
	if (name != NULL)
		(void) find_sink(name);
	n = find_sinks(name, &sinks);
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no sink to start"),
				 errhint("Create one with outbox.create_sink().")));
	for (int i = 0; i < n; i++)
	{
		char *sentence = start_sentence(&sinks[i]);
		MemoryContext old = MemoryContextSwitchTo(caller);

		appendStringInfo(&answer, "%s%s", i > 0 ? " " : "", sentence);
		MemoryContextSwitchTo(old);
		set_running(sinks[i].id);
	}
	SPI_finish();
	OutboxOwnerEnd(&scope);
	poke_launcher();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(answer.data, answer.len));
}

/* stop_relay(sink text). Raises undefined_object. */
Datum
outbox_stop_relay(PG_FUNCTION_ARGS)
{
	char *name = required_text(fcinfo, 0, "sink");
	OutboxOwnerScope scope;
	SinkRow sink;
	Oid types[] = {INT4OID};
	Datum values[1];

	OutboxOwnerBegin(&scope);
	SPI_connect();
	sink = find_sink(name);
	values[0] = Int32GetDatum(sink.id);
	if (SPI_execute_with_args("UPDATE outbox.sink SET desired_state = 'stopped' WHERE id = $1",
							  1, types, values, NULL, false, 0) != SPI_OK_UPDATE)
		elog(ERROR, "could not update outbox.sink");
	SPI_finish();
	OutboxOwnerEnd(&scope);
	poke_launcher();
	PG_RETURN_VOID();
}
