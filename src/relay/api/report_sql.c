/*-------------------------------------------------------------------------
 *
 * report_sql.c
 *	  What shared memory knows, as rows: relays and counters.
 *
 * The views build on these functions.  Every sink has a row, whether a relay
 * runs or not; columns that only a relay knows are null without one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "relay/launch/launch.h"
#include "shared/outbox_shared.h"
#include "util/util.h"

PG_FUNCTION_INFO_V1(outbox_relay_report);
PG_FUNCTION_INFO_V1(outbox_contract_counters);

/* Columns of relay_report(). */
enum
{
	REPORT_SINK_ID,
	REPORT_SINK,
	REPORT_STATE,
	REPORT_PID,
	REPORT_PUBLISHED,
	REPORT_ACKED,
	REPORT_QUEUED,
	REPORT_SEQ_SEEN,
	REPORT_OLDEST_UNACKED,
	REPORT_SCANS,
	REPORT_CYCLES,
	REPORT_LAST_ERROR,
	REPORT_LAST_ERROR_AT,
	REPORT_SINCE,
	REPORT_RETRY_AT,
	REPORT_IN_FLIGHT,
	REPORT_IN_FLIGHT_BYTES,
	REPORT_WINDOW_LEFT,
	REPORT_RETRIES,
	REPORT_COLUMNS
};

/*
 * One word.  A wanted relay without process is "starting"; "waiting" when the
 * launcher does not know of it yet; "no worker" when the server has none free;
 * "not listed" when outbox.databases keeps the launcher from it.
 */
static const char *
relay_state(const char *desired_state, const OutboxRelayInfo *info)
{
	if (info == NULL || info->pid == 0)
	{
		if (strcmp(desired_state, "running") != 0)
			return desired_state;
		if (OutboxSharedAvailable() && !OutboxDatabaseListed(get_database_name(MyDatabaseId)))
			return "not listed";
		if (OutboxLauncherLacksWorkers())
			return "no worker";
		return info != NULL ? "starting" : "waiting";
	}
	if (strcmp(desired_state, "running") != 0)
		return "stopping";
	switch (info->report.state)
	{
		case OUTBOX_RELAY_STARTING:
			return "starting";
		case OUTBOX_RELAY_RUNNING:
			return "running";
		case OUTBOX_RELAY_BACKOFF:
			return "backoff";
		case OUTBOX_RELAY_BLOCKED:
			return "blocked";
		case OUTBOX_RELAY_STOPPING:
			return "stopping";
	}
	return "unknown";
}

static void
fill_from_relay(const OutboxRelayInfo *info, Datum *values, bool *nulls)
{
	const OutboxRelayReport *report = &info->report;

	for (int i = REPORT_PID; i < REPORT_COLUMNS; i++)
		nulls[i] = false;
	values[REPORT_PID] = Int32GetDatum(info->pid);
	nulls[REPORT_PID] = info->pid == 0;
	values[REPORT_PUBLISHED] = Int64GetDatum((int64) report->published);
	values[REPORT_ACKED] = Int64GetDatum((int64) report->acked);
	values[REPORT_QUEUED] = Int64GetDatum((int64) report->queued);
	values[REPORT_SEQ_SEEN] = Int64GetDatum(report->seq_seen);
	values[REPORT_OLDEST_UNACKED] = TimestampTzGetDatum(report->oldest_unacked);
	nulls[REPORT_OLDEST_UNACKED] = report->oldest_unacked == 0;
	values[REPORT_SCANS] = Int64GetDatum((int64) report->scans);
	values[REPORT_CYCLES] = Int64GetDatum((int64) report->cycles);
	values[REPORT_LAST_ERROR] = CStringGetTextDatum(report->last_error);
	nulls[REPORT_LAST_ERROR] = report->last_error_at == 0;
	values[REPORT_LAST_ERROR_AT] = TimestampTzGetDatum(report->last_error_at);
	nulls[REPORT_LAST_ERROR_AT] = report->last_error_at == 0;
	values[REPORT_SINCE] = TimestampTzGetDatum(report->since);
	nulls[REPORT_SINCE] = report->since == 0;
	values[REPORT_RETRY_AT] = TimestampTzGetDatum(report->retry_at);
	nulls[REPORT_RETRY_AT] = report->retry_at == 0;
	values[REPORT_IN_FLIGHT] = Int64GetDatum((int64) report->in_flight);
	values[REPORT_IN_FLIGHT_BYTES] = Int64GetDatum((int64) report->in_flight_bytes);
	values[REPORT_WINDOW_LEFT] = Int64GetDatum((int64) report->window_left);
	values[REPORT_RETRIES] = Int64GetDatum((int64) report->retries);
}

/* Without shared memory a relay reports nothing but that it is there. Within SPI. */
static void
fill_on_trial(const char *desired_state, Datum *values, bool *nulls)
{
	int pid = OutboxTrialRelay(DatumGetInt32(values[REPORT_SINK_ID]));

	if (pid == 0)
		return;
	values[REPORT_STATE] = CStringGetTextDatum(strcmp(desired_state, "running") == 0 ? "running" : "stopping");
	values[REPORT_PID] = Int32GetDatum(pid);
	nulls[REPORT_PID] = false;
}

/*
 * relay_report(): one row per sink of this database, as the relay last
 * reported it.  Counts are those of the relay's process.
 */
Datum
outbox_relay_report(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	OutboxOwnerScope scope;
	OutboxRows sinks;

	InitMaterializedSRF(fcinfo, 0);
	OutboxOwnerBegin(&scope);
	SPI_connect();
	sinks = OutboxSelect("SELECT id, name, desired_state FROM outbox_internal.sink ORDER BY id", OUTBOX_NO_ARGS);
	for (uint64 i = 0; i < sinks.n; i++)
	{
		const char *desired_state = OutboxRowText(&sinks, i, 3);
		Datum values[REPORT_COLUMNS] = {0};
		bool nulls[REPORT_COLUMNS];
		OutboxRelayInfo info;
		bool known;

		memset(nulls, true, sizeof(nulls));
		values[REPORT_SINK_ID] = OutboxRowDatum(&sinks, i, 1, &nulls[REPORT_SINK_ID]);
		values[REPORT_SINK] = OutboxRowDatum(&sinks, i, 2, &nulls[REPORT_SINK]);
		known = OutboxRelayLookup(DatumGetInt32(values[REPORT_SINK_ID]), &info);
		values[REPORT_STATE] = CStringGetTextDatum(relay_state(desired_state, known ? &info : NULL));
		nulls[REPORT_STATE] = false;
		if (known)
			fill_from_relay(&info, values, nulls);
		else if (!OutboxSharedAvailable())
			fill_on_trial(desired_state, values, nulls);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	SPI_finish();
	OutboxOwnerEnd(&scope);
	return (Datum) 0;
}

/*
 * contract_counters(): what was captured per contract since the server
 * started; no rows when the library is not preloaded.
 */
Datum
outbox_contract_counters(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	OutboxOwnerScope scope;
	OutboxRows contracts;

	InitMaterializedSRF(fcinfo, 0);
	OutboxOwnerBegin(&scope);
	SPI_connect();
	contracts = OutboxSelect("SELECT id FROM outbox_internal.contract ORDER BY id", OUTBOX_NO_ARGS);
	for (uint64 i = 0; i < contracts.n; i++)
	{
		OutboxContractCounters counters;
		OutboxWriterCounters *writers = &counters.writers;
		Datum values[12];
		bool nulls[12] = {0};

		values[0] = OutboxRowDatum(&contracts, i, 1, &nulls[0]);
		if (!OutboxGetCounters(DatumGetInt32(values[0]), &counters))
			continue;
		values[1] = Int64GetDatum((int64) counters.events);
		values[2] = Int64GetDatum((int64) counters.dead_letters);
		values[3] = Int64GetDatum((int64) writers->calls);
		values[4] = Int64GetDatum((int64) writers->skips);
		values[5] = Int64GetDatum((int64) writers->transitions);
		values[6] = Int64GetDatum((int64) (writers->call_ns / 1000));
		values[7] = Int64GetDatum((int64) (writers->max_call_ns / 1000));
		values[8] = Int64GetDatum((int64) writers->flushes);
		values[9] = Int64GetDatum((int64) writers->flush_keys);
		values[10] = Int64GetDatum((int64) (writers->flush_ns / 1000));
		values[11] = Int64GetDatum((int64) (writers->max_flush_ns / 1000));
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	SPI_finish();
	OutboxOwnerEnd(&scope);
	return (Datum) 0;
}
