/*-------------------------------------------------------------------------
 *
 * sink_row.c
 *	  The relay's own row of outbox_internal.sink.
 *
 * A sink remembers which copy of the data it was started from: the database
 * system, the database, and the site when outbox.site names one. A restored
 * backup or a cloned database has the same row but must not publish by
 * surprise: consumers would see events of a world that is not theirs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/memutils.h"

#include "catalog/outbox_catalog.h"
#include "guc.h"
#include "relay/session/session_private.h"
#include "util/util.h"

static OutboxSinkWish read_row(OutboxSinkRow *row);
static Jsonb *copy_jsonb(const Jsonb *json);
static bool same_target(const OutboxSinkRow *row, const char *name, const char *library, const Jsonb *options, OutboxOnReject on_reject);
static OutboxOnReject parse_on_reject(const char *text);
static void check_copy(OutboxSinkRow *row, const OutboxRows *rows);
static void claim_copy(const OutboxSinkRow *row, const OutboxRows *rows);

void
OutboxSinkRowInit(OutboxSinkRow *row, int32 id, MemoryContext context)
{
	memset(row, 0, sizeof(*row));
	row->id = id;
	row->context = AllocSetContextCreate(context, "outbox sink row", ALLOCSET_SMALL_SIZES);
	/* until it was read */
	row->name = MemoryContextStrdup(row->context, psprintf("number %d", id));
}

/* Reads the row, in a transaction of its own, and says what it wants of the relay. */
OutboxSinkWish
OutboxSinkRowLoad(OutboxSinkRow *row)
{
	OutboxOwnerScope scope;
	OutboxSinkWish wish;
	Oid extension;

	OutboxSessionBegin();
	extension = OutboxExtensionOid(true);
	if (!OidIsValid(extension) || (row->loaded && extension != row->extension))
	{
		OutboxSessionCommit();
		return OUTBOX_SINK_STOP;
	}

	row->extension = extension;
	OutboxSessionEnterQuery(&scope);
	wish = read_row(row);
	OutboxSessionEndQuery(&scope);
	return wish;
}

static OutboxSinkWish
read_row(OutboxSinkRow *row)
{
	static const char query[] =
		"SELECT name, library, options, desired_state = 'running', system_identifier, database_oid, site,"
		" (SELECT min(r.id) FROM outbox_internal.replay_request r WHERE r.sink_id = $1 AND r.state IN ('waiting', 'running')),"
		" EXISTS (SELECT FROM outbox_internal.relay_progress WHERE sink_id = $1 AND rewind_to IS NOT NULL),"
		" on_reject, resolved, forgotten"
		" FROM outbox_internal.sink WHERE id = $1";
	OutboxRows rows = OutboxSelect(query, OUTBOX_ARGS(OUTBOX_INT4(row->id)));
	bool isnull;
	bool changed;
	char *name;
	char *library;
	Jsonb *options;
	OutboxOnReject on_reject;
	int64 forgotten;
	MemoryContext old;

	if (rows.n == 0 || !OutboxRowBool(&rows, 0, 4))
		return OUTBOX_SINK_STOP;

	name = OutboxRowText(&rows, 0, 1);
	library = OutboxRowText(&rows, 0, 2);
	options = DatumGetJsonbP(OutboxRowDatum(&rows, 0, 3, &isnull));
	on_reject = parse_on_reject(OutboxRowText(&rows, 0, 10));
	forgotten = OutboxRowInt(&rows, 0, 12, 0);
	/* asked to go back, or to ask the registry: the way to do that is to start over */
	changed = row->loaded && (!same_target(row, name, library, options, on_reject) || forgotten != row->forgotten || OutboxRowBool(&rows, 0, 9));

	MemoryContextReset(row->context);
	old = MemoryContextSwitchTo(row->context);
	row->name = pstrdup(name);
	row->library = pstrdup(library);
	row->options = copy_jsonb(options);
	row->replay_id = OutboxRowInt(&rows, 0, 8, 0);
	row->on_reject = on_reject;
	row->forgotten = forgotten;
	row->resolved = OutboxRowInt(&rows, 0, 11, 0);
	row->copy_error = NULL;
	row->copy_hint = NULL;
	check_copy(row, &rows);
	MemoryContextSwitchTo(old);
	row->loaded = true;
	if (row->copy_error == NULL)
		claim_copy(row, &rows);
	return changed ? OUTBOX_SINK_CHANGED : OUTBOX_SINK_RUN;
}

static Jsonb *
copy_jsonb(const Jsonb *json)
{
	return memcpy(palloc(VARSIZE(json)), json, VARSIZE(json));
}

static bool
same_target(const OutboxSinkRow *row, const char *name, const char *library, const Jsonb *options, OutboxOnReject on_reject)
{
	return strcmp(row->name, name) == 0 && strcmp(row->library, library) == 0 && row->on_reject == on_reject &&
		VARSIZE(row->options) == VARSIZE(options) &&
		memcmp(row->options, options, VARSIZE(options)) == 0;
}

/* The table checks the words. */
static OutboxOnReject
parse_on_reject(const char *text)
{
	if (strcmp(text, "skip") == 0)
		return OUTBOX_ON_REJECT_SKIP;
	return strcmp(text, "stop") == 0 ? OUTBOX_ON_REJECT_STOP : OUTBOX_ON_REJECT_BLOCK_KEY;
}

/* Is this the copy of the data that the sink was started from? Marks that are NULL are not set yet. */
static void
check_copy(OutboxSinkRow *row, const OutboxRows *rows)
{
	uint64 system_identifier = (uint64) OutboxRowInt(rows, 0, 5, (int64) GetSystemIdentifier());
	Oid database = (Oid) OutboxRowInt(rows, 0, 6, MyDatabaseId);
	const char *site = OutboxRowText(rows, 0, 7);

	if (system_identifier != GetSystemIdentifier())
		row->copy_error = psprintf("sink \"%s\" was started in another database system (%llu, this one is %llu)",
								   row->name, (unsigned long long) system_identifier,
								   (unsigned long long) GetSystemIdentifier());
	else if (database != MyDatabaseId)
		row->copy_error = psprintf("sink \"%s\" was started in another database (with the object id %u, this one has %u)",
								   row->name, database, MyDatabaseId);
	else if (site != NULL && strcmp(site, outbox_site) != 0)
		row->copy_error = psprintf("sink \"%s\" was started at site \"%s\", but outbox.site is \"%s\"",
								   row->name, site, outbox_site);
	if (row->copy_error != NULL)
		row->copy_hint = psprintf("This looks like a copy of the data. If it shall publish, confirm it: SELECT outbox.start_relay('%s');",
								  row->name);
}

/* The first start marks the row; a site that is named later is added. */
static void
claim_copy(const OutboxSinkRow *row, const OutboxRows *rows)
{
	static const char query[] =
		"UPDATE outbox_internal.sink SET system_identifier = $2, database_oid = $3, site = nullif($4, '')"
		" WHERE id = $1 AND (system_identifier IS NULL OR database_oid IS NULL OR site IS DISTINCT FROM nullif($4, ''))";
	bool no_system;
	bool no_database;
	bool no_site;

	(void) OutboxRowDatum(rows, 0, 5, &no_system);
	(void) OutboxRowDatum(rows, 0, 6, &no_database);
	(void) OutboxRowDatum(rows, 0, 7, &no_site);
	if (!no_system && !no_database && (!no_site || outbox_site[0] == '\0'))
		return;
	(void) OutboxRun(query, OUTBOX_ARGS(OUTBOX_INT4(row->id), OUTBOX_INT8((int64) GetSystemIdentifier()), OUTBOX_OID(MyDatabaseId), OUTBOX_TEXT(outbox_site)));
}

/*
 * Was the extension dropped since the relay started? Also when it was created again. Outside of transactions.
 *
 * Raises nothing: after an error it tells whether that was only the end of the extension.
 */
bool
OutboxSinkRowGone(const OutboxSinkRow *row)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile bool gone = false;

	PG_TRY();
	{
		OutboxSessionBegin();
		gone = row->loaded && OutboxExtensionOid(true) != row->extension;
		OutboxSessionCommit();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		FlushErrorState();
		OutboxSessionAbort();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	return gone;
}

/*
 * A lock that only relays know and that ends with the process: two relays of
 * one sink never run. False: there is one.
 */
bool
OutboxSinkRowLock(const OutboxSinkRow *row)
{
	LOCKTAG tag;
	bool granted = true;

	OutboxSessionBegin();
	/* dropped by now, there is nothing to compete for, and the next look at the row ends the relay */
	if (OutboxExtensionOid(true) == row->extension)
	{
		SET_LOCKTAG_OBJECT(tag, MyDatabaseId, OutboxRelationOid("sink"), row->id, 0);
		/* of the session locks only those of the user method are released when a process exits */
		tag.locktag_lockmethodid = USER_LOCKMETHOD;
		granted = LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
	}
	OutboxSessionCommit();
	return granted;
}
