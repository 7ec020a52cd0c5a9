/*-------------------------------------------------------------------------
 *
 * kafka_registry.c
 *	  Registers schemas at a Confluent-compatible schema registry.
 *
 * An id belongs to the registry and the subject that it came from.  The relay
 * remembers what is reported; before an id is used, new or remembered, the
 * schema under it is read back and compared with ours, once per process, and
 * again every schema.registry.check.interval.ms: a registry may have been
 * restored, emptied or set up anew at the same address.  An id that has gone,
 * or stands for another schema, is forgotten and the schema registered again.
 *
 * A registry that gives no answer does not hold up events whose id is
 * remembered: an outage says nothing about ids.
 *
 * Whatever is answered instead of an id (a refusal of the schema, 409 or 422;
 * registry down, 5xx, not allowed, nonsense) is an obstacle for the events of
 * this schema in this topic, and for no others.  The relay offers one of them
 * again after a while, and the registry is asked again.
 *
 * One request at a time, beside everything else (kafka_http.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <curl/curl.h>

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "sinks/kafka/registry/kafka_answer.h"
#include "sinks/kafka/registry/kafka_registry_private.h"

#define CONTENT_TYPE "application/vnd.schemaregistry.v1+json"

/* How often a registry that gave an event no id is asked whether it does now. */
#define REVIVE_MS 1000

/* How soon an id that could not be read back is tried again, and how long a registry without answer is not waited for. */
#define RETRY_MS 5000

static bool is_silent(const KafkaRegistry *registry);
static KafkaRoute *next_failed(KafkaRegistry *registry);
static void forget_failed(KafkaRegistry *registry, KafkaRoute *route);
static void ask(KafkaRegistry *registry, KafkaRoute *route, KafkaQuestion question);
static char *id_url(const KafkaRegistry *registry);
static bool take_id(KafkaRegistry *registry, const KafkaHttpAnswer *answer);
static bool take_schema(KafkaRegistry *registry, const KafkaHttpAnswer *answer);
static void use_id(KafkaRegistry *registry, KafkaRoute *route);
static void drop_id(KafkaRegistry *registry, const char *what);

KafkaRegistry *
KafkaRegistryCreate(const OutboxSinkState *state, const KafkaConfig *config)
{
	MemoryContext context = AllocSetContextCreate(state->context, "outbox kafka registry", ALLOCSET_SMALL_SIZES);
	KafkaRegistry *registry = MemoryContextAllocZero(context, sizeof(KafkaRegistry));

	registry->context = context;
	registry->scratch = AllocSetContextCreate(context, "outbox kafka registry request", ALLOCSET_SMALL_SIZES);
	registry->config = config;
	registry->state = state;
	registry->http = KafkaHttpCreate(context, config->registry_auth, config->registry_ca);
	KafkaConfirmedBegin(config->registry, state->forgotten);
	return registry;
}

void
KafkaRegistryDestroy(KafkaRegistry *registry)
{
	KafkaHttpDestroy(registry->http);
	MemoryContextDelete(registry->context);
}

int
KafkaRegistryDescriptor(const KafkaRegistry *registry)
{
	return KafkaHttpDescriptor(registry->http);
}

void
KafkaRegistryRecall(KafkaRegistry *registry, KafkaRoute *route)
{
	const OutboxSchema *schema = route->schema;
	MemoryContext caller = MemoryContextSwitchTo(registry->context);
	int i;

	route->subject = KafkaSubjectName(registry->config->subject, route->topic_name, route->schema->full_name);
	MemoryContextSwitchTo(caller);
	route->candidate = KafkaConfirmedId(schema->id, route->subject, &route->checked_at);
	route->registered_id = route->candidate;
	if (route->registered_id != 0)
		return;
	for (i = 0; i < schema->nregistrations; i++)
	{
		const OutboxRegistration *registration = &schema->registrations[i];

		if (strcmp(registration->registry, registry->config->registry) == 0 && strcmp(registration->subject, route->subject) == 0)
			route->candidate = registration->id;
	}
}

/* ---- questions ------------------------------------------------------------------- */

bool
KafkaRegistryResolve(KafkaRegistry *registry, KafkaRoute *route)
{
	if (route->registered_id == 0 && route->obstacle == NULL && !KafkaHttpBusy(registry->http))
		ask(registry, route, route->candidate != 0 ? ASK_FOR_SCHEMA : ASK_FOR_ID);
	/* it was remembered, and the registry has not said that it is wrong */
	if (route->registered_id == 0 && route->candidate != 0 && is_silent(registry))
		use_id(registry, route);
	return route->registered_id != 0 || route->obstacle != NULL;
}

static bool
is_silent(const KafkaRegistry *registry)
{
	TimestampTz now = GetCurrentTimestamp();

	return (KafkaHttpBusy(registry->http) && TimestampDifferenceExceeds(registry->asked_at, now, KAFKA_REGISTRY_PATIENCE_MS)) ||
		(registry->silent_at != 0 && !TimestampDifferenceExceeds(registry->silent_at, now, RETRY_MS));
}

bool
KafkaRegistryCheck(KafkaRegistry *registry, KafkaRoute *route)
{
	int interval = registry->config->check_interval_ms;

	if (route->registered_id == 0 || KafkaHttpBusy(registry->http) || interval == 0 ||
		!TimestampDifferenceExceeds(route->checked_at, GetCurrentTimestamp(), route->unchecked ? RETRY_MS : interval))
		return false;
	ask(registry, route, ASK_FOR_SCHEMA);
	return true;
}

/* An event of the route did not wait for the answer, or the answer was of no use. */
void
KafkaRegistryGaveUp(KafkaRegistry *registry, KafkaRoute *route)
{
	MemoryContext caller;

	if (route->failed)
		return;
	caller = MemoryContextSwitchTo(registry->context);
	registry->failed = lappend(registry->failed, route);
	MemoryContextSwitchTo(caller);
	route->failed = true;
}

/*
 * The same questions again: whoever waits for the answers need not guess when
 * it is worth asking.  One that is answered says that others may be, too.
 */
bool
KafkaRegistryRevived(KafkaRegistry *registry)
{
	bool revived = registry->revived;

	registry->revived = false;
	if (!KafkaHttpBusy(registry->http) && TimestampDifferenceExceeds(registry->asked_at, GetCurrentTimestamp(), REVIVE_MS))
	{
		KafkaRoute *route = next_failed(registry);

		if (route != NULL)
			ask(registry, route, route->candidate != 0 ? ASK_FOR_SCHEMA : ASK_FOR_ID);
	}
	return revived;
}

/* Each in its turn. Some have got their id meanwhile. */
static KafkaRoute *
next_failed(KafkaRegistry *registry)
{
	while (registry->failed != NIL)
	{
		KafkaRoute *route = linitial(registry->failed);

		forget_failed(registry, route);
		if (route->registered_id != 0)
			continue;
		KafkaRegistryGaveUp(registry, route);
		return route;
	}
	return NULL;
}

static void
forget_failed(KafkaRegistry *registry, KafkaRoute *route)
{
	registry->failed = list_delete_ptr(registry->failed, route);
	route->failed = false;
}

static void
ask(KafkaRegistry *registry, KafkaRoute *route, KafkaQuestion question)
{
	MemoryContext caller = MemoryContextSwitchTo(registry->scratch);

	registry->route = route;
	registry->question = question;
	registry->asked_at = GetCurrentTimestamp();
	if (question == ASK_FOR_SCHEMA)
		KafkaHttpGet(registry->http, psprintf("%s/schemas/ids/%d", registry->config->registry_url, route->candidate));
	else
		KafkaHttpPost(registry->http, id_url(registry), CONTENT_TYPE, KafkaRegistryBody(route->schema));
	MemoryContextSwitchTo(caller);
	MemoryContextReset(registry->scratch);
}

static char *
id_url(const KafkaRegistry *registry)
{
	char *escaped = curl_easy_escape(NULL, registry->route->subject, 0);
	char *url = psprintf("%s/subjects/%s%s", registry->config->registry_url, escaped ? escaped : "",
						 registry->config->auto_register ? "/versions" : "");

	curl_free(escaped);
	return url;
}

/* ---- answers --------------------------------------------------------------------- */

bool
KafkaRegistryServe(KafkaRegistry *registry)
{
	KafkaHttpAnswer answer;
	MemoryContext caller;
	bool done;

	if (!KafkaHttpServe(registry->http, &answer))
		return false;
	registry->silent_at = answer.status == 0 ? GetCurrentTimestamp() : 0;
	caller = MemoryContextSwitchTo(registry->scratch);
	registry->of_use = true;
	done = registry->question == ASK_FOR_ID ? take_id(registry, &answer) : take_schema(registry, &answer);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(registry->scratch);
	/* that another schema has its id says nothing: the trouble may be that of a subject */
	if (registry->of_use && registry->route->failed)
	{
		forget_failed(registry, registry->route);
		registry->revived = true;
	}
	/* what is known by now leads to the next question */
	if (!done)
		ask(registry, registry->route, registry->route->candidate != 0 ? ASK_FOR_SCHEMA : ASK_FOR_ID);
	return done;
}

/* False: another question has to be asked. */
static bool
take_id(KafkaRegistry *registry, const KafkaHttpAnswer *answer)
{
	KafkaRoute *route = registry->route;
	int32 id;

	if (answer->status == 0)
		KafkaNoteTrouble(registry, answer->error);
	else if (answer->status == 409 || answer->status == 422)
		KafkaNoteRefusal(registry, answer);
	else if (answer->status == 404 && !registry->config->auto_register && KafkaAnswerSaysMissing(answer->body))
		KafkaNoteMissing(registry);
	else if (answer->status != 200 && answer->status != 201)
		KafkaNoteTrouble(registry, psprintf("it answers with HTTP status %ld: %s", answer->status, KafkaAnswerMessage(answer->body)));
	else if ((id = KafkaAnswerId(answer->body)) <= 0)
		KafkaNoteTrouble(registry, "its answer holds no schema id");
	else
	{
		route->candidate = id;
		route->fresh = true;
		if (KafkaConfirmedId(route->schema->id, route->subject, &route->checked_at) != id)
			return false;
		use_id(registry, route);
	}
	return true;
}

/* What stands under route->candidate?  False: another question has to be asked. */
static bool
take_schema(KafkaRegistry *registry, const KafkaHttpAnswer *answer)
{
	KafkaRoute *route = registry->route;
	char *schema = answer->status == 200 ? KafkaAnswerSchema(answer->body) : NULL;
	bool gone = answer->status == 404 && KafkaAnswerSaysMissing(answer->body);

	if (schema != NULL && (registry->state->reads_alike == NULL || registry->state->reads_alike(route->schema, schema)))
	{
		route->checked_at = GetCurrentTimestamp();
		route->unchecked = false;
		KafkaConfirm(route->schema->id, route->subject, route->candidate, route->checked_at);
		use_id(registry, route);
		return true;
	}
	if (schema == NULL && !gone)
	{
		/* nothing that speaks against it */
		registry->of_use = false;
		use_id(registry, route);
		route->unchecked = true;
		route->checked_at = GetCurrentTimestamp();
		return true;
	}
	if (route->fresh)
	{
		KafkaSetObstacle(registry, psprintf("the schema registry at %s says that %s is number %d, but holds %s under it", registry->config->registry_url, route->schema->full_name, route->candidate, gone ? "nothing" : "another schema"));
		route->candidate = 0;
		route->fresh = false;
		return true;
	}
	drop_id(registry, gone ? "nothing" : "another schema");
	return false;
}

/* The candidate it is. */
static void
use_id(KafkaRegistry *registry, KafkaRoute *route)
{
	route->registered_id = route->candidate;
	if (route->fresh)
	{
		KafkaNews *news = MemoryContextAlloc(registry->context, sizeof(KafkaNews));

		*news = (KafkaNews){
			.next = registry->news,
			.schema_id = route->schema->id,
			.registration = {.registry = registry->config->registry, .subject = route->subject, .id = route->candidate}};
		registry->news = news;
		ereport(DEBUG1,
				(errmsg_internal("schema %s is number %d of the registry", route->schema->full_name, route->candidate)));
	}
	else if (route->checked_at == 0)
	{
		route->unchecked = true;
		route->checked_at = GetCurrentTimestamp();
	}
	route->fresh = false;
}

/* The registry is not what it was: messages that left with the old id are lost on readers, later ones need not be. */
static void
drop_id(KafkaRegistry *registry, const char *what)
{
	KafkaRoute *route = registry->route;

	ereport(LOG,
			(errmsg("schema registry of sink \"%s\" has other contents than before: %s is registered again",
					registry->state->sink_name, route->schema->full_name),
			 errdetail("It holds %s under number %d, which it gave to subject \"%s\" earlier.", what, route->candidate, route->subject)));
	KafkaUnconfirm(route->schema->id, route->subject);
	route->candidate = 0;
	route->registered_id = 0;
	route->frame_len = 0;
}

bool
KafkaRegistryNews(KafkaRegistry *registry, OutboxAck *ack)
{
	KafkaNews *news = registry->news;

	if (news == NULL)
		return false;
	ack->schema_id = news->schema_id;
	ack->registration = news->registration;
	registry->news = news->next;
	pfree(news);
	return true;
}
