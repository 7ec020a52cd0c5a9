/*-------------------------------------------------------------------------
 *
 * control_sql.c
 *	  SQL functions that start, stop, pause and resume relays.
 *
 * They change outbox_internal.sink.desired_state and tell the launcher at commit: what
 * runs follows what is committed.  A paused sink has no relay either; it
 * differs from a stopped one in that somebody means it to go on, so it cannot
 * be dropped, is not started along with all others, and says in status how it
 * goes on.  The position is kept in both cases.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "guc.h"
#include "relay/api/api_private.h"
#include "relay/launch/launch.h"
#include "shared/outbox_shared.h"
#include "util/util.h"

PG_FUNCTION_INFO_V1(outbox_start_relay);
PG_FUNCTION_INFO_V1(outbox_stop_relay);
PG_FUNCTION_INFO_V1(outbox_pause);
PG_FUNCTION_INFO_V1(outbox_resume);

static void start_on_trial(const OutboxSinkEntry *sink);
static char *preload_line(void);
static void start_sink(const OutboxSinkEntry *sink);
static char *start_sentence(const OutboxSinkEntry *sink, bool by_name);
static void set_desired_state(int32 sink_id, const char *state);
static OutboxSinkEntry find_started(const char *name, const char *what);
static void begin(OutboxOwnerScope *scope);
static void end(const OutboxOwnerScope *scope);

/* ---- start ------------------------------------------------------------------- */

/*
 * start_relay(sink text) returns text: what happens, one sentence per sink.
 * Raises object_not_in_prerequisite_state, undefined_object.
 */
Datum
outbox_start_relay(PG_FUNCTION_ARGS)
{
	char *name = OutboxTextArg(fcinfo, 0);
	MemoryContext caller = CurrentMemoryContext;
	OutboxOwnerScope scope;
	OutboxSinkEntry *sinks;
	StringInfoData answer;
	int n;

	initStringInfo(&answer);
	begin(&scope);
	if (name != NULL)
		(void) OutboxFindSink(name);
	n = OutboxFindSinks(name, &sinks);
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no sink to start"),
				 errhint("Create one with outbox.create_sink().")));
	for (int i = 0; i < n; i++)
	{
		char *sentence = start_sentence(&sinks[i], name != NULL);
		MemoryContext old = MemoryContextSwitchTo(caller);

		appendStringInfo(&answer, "%s%s", i > 0 ? " " : "", sentence);
		MemoryContextSwitchTo(old);
		if (name != NULL || strcmp(sinks[i].desired_state, "paused") != 0)
			start_sink(&sinks[i]);
	}
	end(&scope);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(answer.data, answer.len));
}

/* Without preloading there is no launcher that would start it. Within SPI. */
static void
start_on_trial(const OutboxSinkEntry *sink)
{
	if (!OutboxSharedAvailable() && OutboxTrialRelay(sink->id) == 0)
		OutboxTrialStart(sink->id, sink->name);
}

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

/*
 * Starting is also the consent to publish from this copy of the data: the
 * sink remembers which copy it is.
 */
static void
start_sink(const OutboxSinkEntry *sink)
{
	const char *site = outbox_site != NULL && outbox_site[0] != '\0' ? outbox_site : NULL;

	(void) OutboxRun("UPDATE outbox_internal.sink SET desired_state = 'running', system_identifier = $2, database_oid = $3, site = $4 WHERE id = $1",
					 OUTBOX_ARGS(OUTBOX_INT4(sink->id), OUTBOX_INT8((int64) GetSystemIdentifier()), OUTBOX_OID(MyDatabaseId),
								 OUTBOX_TEXT(site)));
	start_on_trial(sink);
}

/* What start_relay says about one sink. */
static char *
start_sentence(const OutboxSinkEntry *sink, bool by_name)
{
	OutboxRelayInfo info;

	if (!by_name && strcmp(sink->desired_state, "paused") == 0)
		return psprintf("Sink \"%s\" stays paused; SELECT outbox.resume('%s') goes on.", sink->name, sink->name);
	if (strcmp(sink->desired_state, "running") == 0 &&
		OutboxRelayLookup(sink->id, &info) && info.pid != 0)
		return psprintf("The relay of sink \"%s\" is running already (process %d).", sink->name, info.pid);
	if (!OutboxSharedAvailable())
		return psprintf("The relay of sink \"%s\" starts on trial when this transaction commits: it looks for events every outbox.poll_interval and ends with the server; for more, write %s into postgresql.conf and restart.",
						sink->name, preload_line());
	if (!OutboxDatabaseListed(get_database_name(MyDatabaseId)))
		return psprintf("The relay of sink \"%s\" starts when outbox.databases names this database: add it in postgresql.conf and reload.",
						sink->name);
	return psprintf("The relay of sink \"%s\" starts when this transaction commits.", sink->name);
}

/* ---- stop, pause, resume ------------------------------------------------------ */

/* stop_relay(sink text). A sink that somebody has paused has no relay, and stays what it is. Raises undefined_object. */
Datum
outbox_stop_relay(PG_FUNCTION_ARGS)
{
	char *name = OutboxTextArg(fcinfo, 0);
	OutboxOwnerScope scope;
	OutboxSinkEntry *sinks;
	int n;

	begin(&scope);
	if (name != NULL)
		(void) OutboxFindSink(name);
	n = OutboxFindSinks(name, &sinks);
	for (int i = 0; i < n; i++)
	{
		if (name != NULL || strcmp(sinks[i].desired_state, "paused") != 0)
			set_desired_state(sinks[i].id, "stopped");
	}
	end(&scope);
	PG_RETURN_VOID();
}

/* pause(sink text). Raises undefined_object, object_not_in_prerequisite_state. */
Datum
outbox_pause(PG_FUNCTION_ARGS)
{
	char *name = OutboxRequiredTextArg(fcinfo, 0, "sink");
	OutboxOwnerScope scope;
	OutboxSinkEntry sink;

	begin(&scope);
	sink = find_started(name, "pause");
	set_desired_state(sink.id, "paused");
	end(&scope);
	PG_RETURN_VOID();
}

/*
 * resume(sink text). Other than start_relay it does not confirm a copy of the
 * data. Raises undefined_object, object_not_in_prerequisite_state.
 */
Datum
outbox_resume(PG_FUNCTION_ARGS)
{
	char *name = OutboxRequiredTextArg(fcinfo, 0, "sink");
	OutboxOwnerScope scope;
	OutboxSinkEntry sink;

	begin(&scope);
	sink = find_started(name, "resume");
	set_desired_state(sink.id, "running");
	start_on_trial(&sink);
	end(&scope);
	PG_RETURN_VOID();
}

/* Within SPI. */
static void
set_desired_state(int32 sink_id, const char *state)
{
	(void) OutboxRun("UPDATE outbox_internal.sink SET desired_state = $2 WHERE id = $1 AND desired_state <> $2",
					 OUTBOX_ARGS(OUTBOX_INT4(sink_id), OUTBOX_TEXT(state)));
}

/* Raises unless the sink is there and not stopped. Within SPI. */
static OutboxSinkEntry
find_started(const char *name, const char *what)
{
	OutboxSinkEntry sink = OutboxFindSink(name);

	if (strcmp(sink.desired_state, "stopped") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot %s sink \"%s\" because it is stopped", what, name),
				 errhint("Start it: SELECT outbox.start_relay('%s');", name)));
	return sink;
}

/* With SPI, as the extension's owner. */
static void
begin(OutboxOwnerScope *scope)
{
	OutboxApiBegin(scope);
	SPI_connect();
}

/* The launcher looks at the sinks when the transaction commits. */
static void
end(const OutboxOwnerScope *scope)
{
	SPI_finish();
	OutboxOwnerEnd(scope);
	OutboxPokeLauncherAtCommit();
}
