/*-------------------------------------------------------------------------
 *
 * hold_route.c
 *	  Topics, and schemas of topics, that take nothing at present.
 *
 * A topic that is missing or may not be written to, a schema that a registry
 * refuses: none of it says anything against an event, so events of such a
 * route wait and are not counted as tried.  Now and then one of them is
 * offered to see; the pauses grow, are kept across attempts and restarts, and
 * vary, so that many sinks do not ask at once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "relay/hold/hold_private.h"
#include "relay/session/session.h"
#include "sink/sink.h"
#include "util/util.h"

#define RETRY_FIRST_MS 500
#define RETRY_LONGEST_MS 60000

static OutboxRoute *exact_route(OutboxHold *hold, const char *topic, int32 schema_id);
static void schedule(OutboxRoute *route);
static void delete_route(int32 sink_id, const OutboxRoute *route);
static void write_route(int32 sink_id, const OutboxRoute *route);

/* The route that keeps events of a schema from leaving; NULL: none. */
OutboxRoute *
OutboxRouteFind(OutboxHold *hold, const OutboxCachedSchema *schema)
{
	for (OutboxRoute *route = hold->routes; route != NULL; route = route->next)
	{
		if (!route->open && (route->schema_id == 0 || route->schema_id == schema->id) &&
			strcmp(route->topic, schema->topic) == 0)
			return route;
	}
	return NULL;
}

static OutboxRoute *
exact_route(OutboxHold *hold, const char *topic, int32 schema_id)
{
	for (OutboxRoute *route = hold->routes; route != NULL; route = route->next)
	{
		if (route->schema_id == schema_id && strcmp(route->topic, topic) == 0)
			return route;
	}
	return NULL;
}

OutboxRoute *
OutboxRouteAdd(OutboxHold *hold, const char *topic, int32 schema_id)
{
	OutboxRoute *route = MemoryContextAllocZero(hold->context, sizeof(OutboxRoute));

	route->topic = MemoryContextStrdup(hold->context, topic);
	route->schema_id = schema_id;
	route->next = hold->routes;
	hold->routes = route;
	return route;
}

/* The sink says so: it is tried again after a pause that grows, with jitter. False: that was known. */
bool
OutboxRouteBlock(OutboxHold *hold, const OutboxCachedSchema *schema, bool only_schema, const char *reason)
{
	int32 schema_id = only_schema ? schema->id : 0;
	OutboxRoute *route = exact_route(hold, schema->topic, schema_id);
	bool blocked = route != NULL && !route->open;

	/* many messages of a route fail at once: that is one try */
	if (blocked && !route->probing)
		return false;
	if (route == NULL)
		route = OutboxRouteAdd(hold, schema->topic, schema_id);
	if (!blocked)
		ereport(LOG,
				(errmsg("topic \"%s\" takes no messages at present, its events are held", route->topic),
				 errdetail_internal("%s", reason),
				 errhint("It is tried again by itself; others go on. If it never takes them, outbox.discard_held() gives them up.")));
	if (route->reason != NULL)
		pfree(route->reason);
	route->reason = MemoryContextStrdup(hold->context, reason);
	route->open = false;
	if (!route->probing)
		schedule(route);
	route->probing = false;
	route->changed = true;
	return true;
}

/* One of its events is about to be offered: the next time is after the next pause, whatever becomes of it. */
void
OutboxRouteProbe(OutboxRoute *route)
{
	schedule(route);
	route->probing = true;
	route->changed = true;
}

static void
schedule(OutboxRoute *route)
{
	double ms = Min((double) RETRY_LONGEST_MS, RETRY_FIRST_MS * (double) (1 << Min(route->tries, 16)));

	ms *= 0.5 + pg_prng_double(&pg_global_prng_state);
	route->tried_at = GetCurrentTimestamp();
	route->next_try = TimestampTzPlusMilliseconds(route->tried_at, (int64) ms);
	route->tries++;
	route->due = false;
}

/* Marks the routes that may be tried now; true: there are some. */
bool
OutboxRouteDue(OutboxHold *hold, TimestampTz now)
{
	bool found = false;

	for (OutboxRoute *route = hold->routes; route != NULL; route = route->next)
	{
		if (!route->open && !route->probing && now != DT_NOBEGIN && OutboxTimeReached(route->next_try, now, 2 * RETRY_LONGEST_MS))
			route->due = true;
		found |= !route->open && route->due && !route->probing;
	}
	return found;
}

/* All, or all single schemas of topics, may be tried now, whatever their pauses say. */
void
OutboxRouteRetry(OutboxHold *hold, bool only_schemas)
{
	for (OutboxRoute *route = hold->routes; route != NULL; route = route->next)
	{
		if (route->schema_id != 0 || !only_schemas)
			route->next_try = DT_NOBEGIN;
	}
}

/* Milliseconds until one is due, at most `limit`. */
long
OutboxRouteWait(const OutboxHold *hold, TimestampTz now, long limit)
{
	for (const OutboxRoute *route = hold->routes; route != NULL; route = route->next)
	{
		if (!route->open && !route->probing)
			limit = Min(limit, TimestampDifferenceMilliseconds(now, route->next_try));
	}
	return limit;
}

/* Writes or removes changed routes; within a query. */
void
OutboxRoutesSave(OutboxHold *hold)
{
	OutboxRoute **link = &hold->routes;

	while (*link != NULL)
	{
		OutboxRoute *route = *link;

		if (route->open)
		{
			delete_route(hold->sink_id, route);
			*link = route->next;
			ereport(LOG, (errmsg("topic \"%s\" takes messages again", route->topic)));
			continue;
		}
		if (route->changed)
			write_route(hold->sink_id, route);
		route->changed = false;
		link = &route->next;
	}
}

static void
delete_route(int32 sink_id, const OutboxRoute *route)
{
	static const char query[] =
		"DELETE FROM outbox_internal.blocked_route WHERE sink_id = $1 AND topic = $2 AND schema_id = $3";

	(void) OutboxRun(query, OUTBOX_ARGS(OUTBOX_INT4(sink_id), OUTBOX_UTF8(route->topic), OUTBOX_INT4(route->schema_id)));
}

static void
write_route(int32 sink_id, const OutboxRoute *route)
{
	static const char query[] =
		"INSERT INTO outbox_internal.blocked_route (sink_id, topic, schema_id, reason, tries, tried_at, next_try)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (sink_id, topic, schema_id)"
		" DO UPDATE SET reason = $4, tries = $5, tried_at = $6, next_try = $7";

	(void) OutboxRun(query, OUTBOX_ARGS(OUTBOX_INT4(sink_id), OUTBOX_UTF8(route->topic), OUTBOX_INT4(route->schema_id), OUTBOX_TEXT(OutboxPrintable(route->reason)), OUTBOX_INT4(route->tries), OUTBOX_TIME(route->tried_at), OUTBOX_TIME(route->next_try)));
}
