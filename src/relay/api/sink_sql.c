/*-------------------------------------------------------------------------
 *
 * sink_sql.c
 *	  SQL functions that create and drop sinks.
 *
 * They change rows of outbox_internal.sink.  Our tables are read and written as the
 * extension's owner; what the caller may do is decided by EXECUTE on these
 * functions, and, for files among a sink's options, by his own rights.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "replication/logicalworker.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "catalog/outbox_catalog.h"
#include "relay/api/api_private.h"
#include "relay/keeper/keeper.h"
#include "relay/session/session.h"
#include "shared/outbox_shared.h"
#include "sink/sink.h"
#include "util/util.h"

#define MAX_NAME_BYTES 63

PG_FUNCTION_INFO_V1(outbox_create_sink);
PG_FUNCTION_INFO_V1(outbox_drop_sink);
PG_FUNCTION_INFO_V1(outbox_check_sink_options);
PG_FUNCTION_INFO_V1(outbox_forget_schema_ids);

static void check_sink_name(const char *name);
static void check_on_reject(const char *name, const char *on_reject);
static void check_unchanged(const char *name, const char *property, const char *is, const char *wanted);

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

static void
check_on_reject(const char *name, const char *on_reject)
{
	if (strcmp(on_reject, "block_key") != 0 && strcmp(on_reject, "skip") != 0 && strcmp(on_reject, "stop") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid on_reject of sink \"%s\": \"%s\"", name, on_reject),
				 errdetail("When the broker rejects an event, later events of its aggregate wait, or all events go on, or all wait."),
				 errhint("Use \"block_key\", \"skip\" or \"stop\".")));
}

/* ---- create and drop ---------------------------------------------------------- */

/*
 * A secret may stand in the statement, which the server logs with an error,
 * and which is context when a function or DO block has called us.
 */
static void
hide_statement(void *arg)
{
	errhidestmt(true);
	errhidecontext(true);
}

/* Loads the library and lets it check the options: nothing is started. */
static void
check_options(const char *library, Jsonb *options)
{
	const OutboxSinkCallbacks *callbacks = OutboxSinkLoad(library);
	int n;
	OutboxSinkOption *resolved = OutboxSinkOptions(options, true, &n);

	callbacks->validate_cb(resolved, n);
}

typedef struct SinkLibrary
{
	const char *name;
	const OutboxSinkCallbacks *callbacks;
} SinkLibrary;

static void
load_library(void *arg)
{
	SinkLibrary *library = arg;

	library->callbacks = OutboxSinkLoad(library->name);
}

/* For what would break a promise, and nothing else: a library that cannot be loaded breaks none. */
static void
guard_options(const char *library, Jsonb *options)
{
	SinkLibrary loaded = {.name = library};
	int n;
	OutboxSinkOption *unread = OutboxSinkOptionsUnread(options, &n);

	if (OutboxCatch(load_library, &loaded, CurrentMemoryContext, OutboxIsIntervention) == NULL && loaded.callbacks->guard_cb != NULL)
		loaded.callbacks->guard_cb(unread, n);
}

static int32
insert_sink(const char *name, const char *library, Jsonb *options, const char *start_at, const char *on_reject)
{
	OutboxSinkEntry *sinks;
	OutboxRows rows;

	if (OutboxFindSinks(name, &sinks) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("sink \"%s\" already exists", name),
				 errhint("Choose another name; or, with or_replace => true, the call changes its options and on_reject.")));
	rows = OutboxRun("INSERT INTO outbox_internal.sink (name, library, options, start_at, on_reject)"
					 " VALUES ($1, $2, $3, $4, $5) RETURNING id",
					 OUTBOX_ARGS(OUTBOX_TEXT(name), OUTBOX_TEXT(library), OUTBOX_DATUM(JSONBOID, JsonbPGetDatum(options)),
								 OUTBOX_TEXT(start_at), OUTBOX_TEXT(on_reject)));
	return (int32) OutboxRowInt(&rows, 0, 1, 0);
}

/* A sink that is to be replaced: is it there, and does it differ from the call? Raises for what cannot change. */
typedef struct ExistingSink
{
	bool there;
	bool differs;
} ExistingSink;

static ExistingSink
find_existing(const char *name, const char *library, Jsonb *options, const char *start_at, const char *on_reject)
{
	OutboxRows rows = OutboxSelect("SELECT library, start_at, options <> $2 OR on_reject <> $3 FROM outbox_internal.sink WHERE name = $1",
								   OUTBOX_ARGS(OUTBOX_TEXT(name), OUTBOX_DATUM(JSONBOID, JsonbPGetDatum(options)), OUTBOX_TEXT(on_reject)));
	ExistingSink sink = {.there = rows.n > 0};

	if (!sink.there)
		return sink;
	check_unchanged(name, "library", OutboxRowText(&rows, 0, 1), library);
	check_unchanged(name, "start_at", OutboxRowText(&rows, 0, 2), start_at);
	sink.differs = OutboxRowBool(&rows, 0, 3);
	return sink;
}

static void
check_unchanged(const char *name, const char *property, const char *is, const char *wanted)
{
	if (strcmp(is, wanted) == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("cannot change \"%s\" of sink \"%s\"", property, name),
			 errdetail("It is %s, and would be %s.", is, wanted),
			 errhint("Create another sink for it, or drop this one first with outbox.drop_sink().")));
}

static void
update_sink(const char *name, Jsonb *options, const char *on_reject)
{
	(void) OutboxRun("UPDATE outbox_internal.sink SET options = $2, on_reject = $3 WHERE name = $1",
					 OUTBOX_ARGS(OUTBOX_TEXT(name), OUTBOX_DATUM(JSONBOID, JsonbPGetDatum(options)), OUTBOX_TEXT(on_reject)));
}

/*
 * start_at = 'now': the position of a relay that has published everything
 * that is committed at this moment.  What this transaction itself writes is
 * not: it belongs to the sink.
 */
static void
insert_position(int32 sink_id)
{
	(void) OutboxRun("INSERT INTO outbox_internal.relay_progress (sink_id, snap_last, start_snap, seq_seen, system_identifier, database_oid, written_by)"
					 " SELECT $1, $4, $4, CASE WHEN s.is_called THEN s.last_value ELSE 0 END, $2, $3, pg_current_xact_id()"
					 " FROM outbox_internal.event_seq s",
					 OUTBOX_ARGS(OUTBOX_INT4(sink_id), OUTBOX_INT8((int64) GetSystemIdentifier()), OUTBOX_OID(MyDatabaseId),
								 OUTBOX_DATUM(PG_SNAPSHOTOID, PointerGetDatum(OutboxSnapshotOfOthers()))));
}

/*
 * create_sink(name text, library text, options jsonb, start_at text, on_reject text, or_replace boolean).
 * Raises invalid_name, duplicate_object, invalid_parameter_value, and what
 * the library says about the options.
 */
Datum
outbox_create_sink(PG_FUNCTION_ARGS)
{
	ErrorContextCallback context = {.callback = hide_statement, .previous = error_context_stack};
	OutboxOwnerScope scope;
	char *name;
	char *library;
	Jsonb *options;
	char *start_at;
	char *on_reject;
	ExistingSink existing = {0};
	int32 id;

	error_context_stack = &context;
	/* before any argument is looked at: an older script passes fewer */
	OutboxRequireVersion();
	name = OutboxRequiredTextArg(fcinfo, 0, "name");
	library = OutboxRequiredTextArg(fcinfo, 1, "library");
	options = PG_ARGISNULL(2) ? DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"))) : PG_GETARG_JSONB_P(2);
	start_at = PG_ARGISNULL(3) ? "earliest" : text_to_cstring(PG_GETARG_TEXT_PP(3));
	on_reject = PG_ARGISNULL(4) ? "block_key" : text_to_cstring(PG_GETARG_TEXT_PP(4));
	check_sink_name(name);
	if (strcmp(start_at, "earliest") != 0 && strcmp(start_at, "now") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid start_at of sink \"%s\": \"%s\"", name, start_at),
				 errdetail("A sink starts at the earliest event that is kept, or with events after its creation."),
				 errhint("Use \"earliest\" or \"now\".")));
	check_on_reject(name, on_reject);
	if (OutboxOrReplaceArg(fcinfo))
	{
		OutboxApiBegin(&scope);
		SPI_connect();
		existing = find_existing(name, library, options, start_at, on_reject);
		SPI_finish();
		OutboxOwnerEnd(&scope);
		if (existing.there && !existing.differs)
		{
			error_context_stack = context.previous;
			PG_RETURN_VOID();
		}
	}
	/* with the caller's rights */
	check_options(library, options);

	OutboxApiBegin(&scope);
	SPI_connect();
	if (existing.there)
	{
		update_sink(name, options, on_reject);
		SPI_finish();
		OutboxOwnerEnd(&scope);
		error_context_stack = context.previous;
		PG_RETURN_VOID();
	}
	/* before the position is taken: what it leaves behind must still be there when the sink is seen */
	OutboxLeavesKeep();
	id = insert_sink(name, library, options, start_at, on_reject);
	if (strcmp(start_at, "now") == 0)
		insert_position(id);
	SPI_finish();
	OutboxOwnerEnd(&scope);
	error_context_stack = context.previous;
	PG_RETURN_VOID();
}

/*
 * forget_schema_ids(sink text) returns bigint: how many ids of registries were
 * forgotten.  The row that is updated is what a running relay looks at.
 * Raises undefined_object.
 */
Datum
outbox_forget_schema_ids(PG_FUNCTION_ARGS)
{
	char *name = OutboxRequiredTextArg(fcinfo, 0, "sink");
	OutboxOwnerScope scope;
	int32 id;
	uint64 n;

	OutboxApiBegin(&scope);
	SPI_connect();
	id = OutboxFindSink(name).id;
	/* before the rows: a relay that stores one is behind this, or finds that it is void */
	(void) OutboxRun("UPDATE outbox_internal.sink SET forgotten = forgotten + 1 WHERE id = $1", OUTBOX_ARGS(OUTBOX_INT4(id)));
	n = OutboxRun("DELETE FROM outbox_internal.schema_registration WHERE sink_id = $1", OUTBOX_ARGS(OUTBOX_INT4(id))).n;
	SPI_finish();
	OutboxOwnerEnd(&scope);
	PG_RETURN_INT64((int64) n);
}

/* drop_sink(name text). Raises undefined_object, object_in_use. */
Datum
outbox_drop_sink(PG_FUNCTION_ARGS)
{
	char *name = OutboxRequiredTextArg(fcinfo, 0, "name");
	OutboxOwnerScope scope;
	OutboxRelayInfo info;
	OutboxSinkEntry sink;

	OutboxApiBegin(&scope);
	SPI_connect();
	sink = OutboxFindSink(name);
	if (strcmp(sink.desired_state, "stopped") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot drop sink \"%s\" because it is not stopped", name),
				 errdetail("Its state is \"%s\".", sink.desired_state),
				 errhint("Stop it first: SELECT outbox.stop_relay('%s');", name)));
	if (OutboxRelayLookup(sink.id, &info) && info.pid != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot drop sink \"%s\" while its relay is stopping", name),
				 errdetail("Process %d waits for outstanding acknowledgements.", info.pid),
				 errhint("Try again in a moment; outbox.drain_timeout limits how long it takes.")));
	(void) OutboxRun("DELETE FROM outbox_internal.sink WHERE id = $1", OUTBOX_ARGS(OUTBOX_INT4(sink.id)));
	SPI_finish();
	OutboxOwnerEnd(&scope);
	PG_RETURN_VOID();
}

/*
 * Trigger of outbox_internal.sink: an UPDATE of options follows the rules of create_sink
 * on files and hosts, and on what would break a promise. What is merely wrong
 * is said by the relay. Not for INSERT: a restored sink is checked when it starts.
 */
Datum
outbox_check_sink_options(PG_FUNCTION_ARGS)
{
	ErrorContextCallback context = {.callback = hide_statement, .previous = error_context_stack};
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc desc;
	Datum library;
	Datum options;
	bool no_library;
	bool no_options;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("outbox_internal.check_sink_options() was not called by its trigger")));
	/* what is replicated was decided where it comes from; an error would stop the subscription */
	if (IsLogicalWorker())
		return PointerGetDatum(trigger->tg_newtuple);
	error_context_stack = &context;
	desc = RelationGetDescr(trigger->tg_relation);
	library = heap_getattr(trigger->tg_newtuple, SPI_fnumber(desc, "library"), desc, &no_library);
	options = heap_getattr(trigger->tg_newtuple, SPI_fnumber(desc, "options"), desc, &no_options);
	/* NULL: the table's constraints say so */
	if (!no_library && !no_options)
	{
		OutboxCheckSinkOptions(DatumGetJsonbP(options));
		guard_options(TextDatumGetCString(library), DatumGetJsonbP(options));
	}
	error_context_stack = context.previous;
	return PointerGetDatum(trigger->tg_newtuple);
}
