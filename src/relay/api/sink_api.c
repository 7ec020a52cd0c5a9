/*-------------------------------------------------------------------------
 *
 * sink_api.c
 *	  What the SQL functions on sinks and relays share.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"

#include "compat.h"
#include "relay/api/api_private.h"
#include "shared/outbox_shared.h"
#include "util/util.h"

static bool poke_at_commit = false;
static bool wake_at_commit = false;

static void register_callback(void);
OUTBOX_NORETURN static void refuse_unknown(const char *name);

/*
 * Sinks by name, or all when it is NULL, in the order of their ids; the rows
 * are locked against concurrent changes. Within SPI, whose memory the result
 * is in. Returns how many.
 */
int
OutboxFindSinks(const char *name, OutboxSinkEntry **sinks)
{
	OutboxRows rows = OutboxRun("SELECT id, name, desired_state FROM outbox_internal.sink WHERE name = $1 OR $1 IS NULL ORDER BY id FOR UPDATE",
								OUTBOX_ARGS(OUTBOX_TEXT(name)));

	*sinks = palloc(sizeof(OutboxSinkEntry) * Max(rows.n, 1));
	for (uint64 i = 0; i < rows.n; i++)
		(*sinks)[i] = (OutboxSinkEntry){.id = (int32) OutboxRowInt(&rows, i, 1, 0),
										.name = OutboxRowText(&rows, i, 2),
										.desired_state = OutboxRowText(&rows, i, 3)};
	return (int) rows.n;
}

/* The sink of this name; raises when there is none. Within SPI. */
OutboxSinkEntry
OutboxFindSink(const char *name)
{
	OutboxSinkEntry *sinks;

	if (OutboxFindSinks(name, &sinks) == 0)
		refuse_unknown(name);
	return sinks[0];
}

/*
 * As the two above, but without a lock, which a relay that stores rows of its
 * sink would wait for; and with library and options.
 */
int
OutboxReadSinks(const char *name, OutboxSinkEntry **sinks)
{
	OutboxRows rows = OutboxSelect("SELECT id, name, desired_state, library, options FROM outbox_internal.sink WHERE name = $1 OR $1 IS NULL ORDER BY id",
								   OUTBOX_ARGS(OUTBOX_TEXT(name)));
	bool isnull;

	*sinks = palloc(sizeof(OutboxSinkEntry) * Max(rows.n, 1));
	for (uint64 i = 0; i < rows.n; i++)
		(*sinks)[i] = (OutboxSinkEntry){.id = (int32) OutboxRowInt(&rows, i, 1, 0),
										.name = OutboxRowText(&rows, i, 2),
										.desired_state = OutboxRowText(&rows, i, 3),
										.library = OutboxRowText(&rows, i, 4),
										.options = DatumGetJsonbP(OutboxRowDatum(&rows, i, 5, &isnull))};
	return (int) rows.n;
}

OutboxSinkEntry
OutboxReadSink(const char *name)
{
	OutboxSinkEntry *sinks;

	if (OutboxReadSinks(name, &sinks) == 0)
		refuse_unknown(name);
	return sinks[0];
}

static void
refuse_unknown(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("sink \"%s\" does not exist", name),
			 errhint("Create it with outbox.create_sink(), or see outbox.status for the sinks that exist.")));
}

/* ---- the launcher follows what is committed ---------------------------------- */

static void
on_transaction(XactEvent event, void *arg)
{
	if (!poke_at_commit && !wake_at_commit)
		return;
	if (event == XACT_EVENT_COMMIT && poke_at_commit)
		OutboxLauncherPoke(MyDatabaseId);
	if (event == XACT_EVENT_COMMIT && wake_at_commit)
		OutboxWakeRelays();
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		poke_at_commit = wake_at_commit = false;
}

/* What runs follows what is committed: the launcher looks at this database then. */
void
OutboxPokeLauncherAtCommit(void)
{
	register_callback();
	poke_at_commit = true;
}

/* The relays of this database look at what is wanted of them then, instead of within a second. */
void
OutboxWakeRelaysAtCommit(void)
{
	register_callback();
	OutboxWakePrepare();
	wake_at_commit = true;
}

static void
register_callback(void)
{
	static bool registered = false;

	if (!registered)
		RegisterXactCallback(on_transaction, NULL);
	registered = true;
}
