/*-------------------------------------------------------------------------
 *
 * kafka_registry.c
 *	  Registers schemas at a Confluent-compatible schema registry.
 *
 * One successful request per schema and sink, ever: the id is reported to the
 * relay, which remembers it.  The request runs beside everything else
 * (kafka_http.c).
 *
 * Whatever is answered instead of an id (a refusal of the schema, 409 or 422;
 * registry down, 5xx, not allowed, nonsense) is an obstacle for the events of
 * this schema in this topic, and for no others.  The relay offers one of them
 * again after a while, and the registry is asked again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <curl/curl.h>

#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "kafka_http.h"
#include "kafka_sink.h"

#define CONTENT_TYPE "application/vnd.schemaregistry.v1+json"

/* How much is shown of what a registry says. */
#define MESSAGE_MAX_BYTES 200

typedef struct KafkaRegistration
{
	struct KafkaRegistration *next;
	int32 schema_id;
	int32 registered_id;
} KafkaRegistration;

struct KafkaRegistry
{
	MemoryContext context;
	MemoryContext scratch; /* of one request or answer */
	const KafkaConfig *config;
	KafkaHttp *http;
	KafkaRoute *route;       /* what the request is about */
	KafkaRegistration *news; /* not reported yet */
};

static void start_request(KafkaRegistry *registry, KafkaRoute *route);
static char *subject_name(const KafkaRegistry *registry, const KafkaRoute *route);
static char *request_url(const KafkaRegistry *registry);
static char *request_body(const KafkaRoute *route);
static void accept_registration(KafkaRegistry *registry, const KafkaHttpAnswer *answer);
static void note_refusal(KafkaRegistry *registry, const KafkaHttpAnswer *answer);
static void note_trouble(KafkaRegistry *registry, const char *reason);
static Jsonb *parse_answer(const KafkaHttpAnswer *answer);
static int32 answer_id(const KafkaHttpAnswer *answer);
static const char *answer_message(const KafkaHttpAnswer *answer);

KafkaRegistry *
KafkaRegistryCreate(MemoryContext parent, const KafkaConfig *config)
{
	MemoryContext context = AllocSetContextCreate(parent, "outbox kafka registry", ALLOCSET_SMALL_SIZES);
	KafkaRegistry *registry = MemoryContextAllocZero(context, sizeof(KafkaRegistry));

	registry->context = context;
	registry->scratch = AllocSetContextCreate(context, "outbox kafka registry request", ALLOCSET_SMALL_SIZES);
	registry->config = config;
	registry->http = KafkaHttpCreate(context, config->registry_auth, config->registry_ca);
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

bool
KafkaRegistryResolve(KafkaRegistry *registry, KafkaRoute *route)
{
	if (route->registered_id == 0 && route->obstacle == NULL && !KafkaHttpBusy(registry->http))
		start_request(registry, route);
	return route->registered_id != 0 || route->obstacle != NULL;
}

bool
KafkaRegistryNews(KafkaRegistry *registry, int32 *schema_id, int32 *registered_id)
{
	KafkaRegistration *news = registry->news;

	if (news == NULL)
		return false;
	*schema_id = news->schema_id;
	*registered_id = news->registered_id;
	registry->news = news->next;
	pfree(news);
	return true;
}

bool
KafkaRegistryServe(KafkaRegistry *registry)
{
	KafkaHttpAnswer answer;
	MemoryContext caller;

	if (!KafkaHttpServe(registry->http, &answer))
		return false;
	caller = MemoryContextSwitchTo(registry->scratch);
	if (answer.status == 0)
		note_trouble(registry, answer.error);
	else if (answer.status == 200 || answer.status == 201)
		accept_registration(registry, &answer);
	else if (answer.status == 409 || answer.status == 422)
		note_refusal(registry, &answer);
	else
		note_trouble(registry, psprintf("it answers with HTTP status %ld: %s", answer.status, answer_message(&answer)));
	MemoryContextSwitchTo(caller);
	MemoryContextReset(registry->scratch);
	return true;
}

static void
start_request(KafkaRegistry *registry, KafkaRoute *route)
{
	MemoryContext caller = MemoryContextSwitchTo(registry->scratch);

	registry->route = route;
	KafkaHttpPost(registry->http, request_url(registry), CONTENT_TYPE, request_body(route));
	MemoryContextSwitchTo(caller);
	MemoryContextReset(registry->scratch);
}

static char *
subject_name(const KafkaRegistry *registry, const KafkaRoute *route)
{
	switch (registry->config->subject)
	{
		case KAFKA_SUBJECT_TOPIC_NAME:
			return psprintf("%s-value", route->topic_name);
		case KAFKA_SUBJECT_RECORD_NAME:
			return pstrdup(route->schema->full_name);
		case KAFKA_SUBJECT_TOPIC_RECORD_NAME:
			break;
	}
	return psprintf("%s-%s", route->topic_name, route->schema->full_name);
}

static char *
request_url(const KafkaRegistry *registry)
{
	char *escaped = curl_easy_escape(NULL, subject_name(registry, registry->route), 0);
	char *url = psprintf("%s/subjects/%s/versions", registry->config->registry_url, escaped ? escaped : "");

	curl_free(escaped);
	return url;
}

static char *
request_body(const KafkaRoute *route)
{
	StringInfoData body;

	initStringInfo(&body);
	appendStringInfoString(&body, "{\"schema\": ");
	escape_json(&body, route->schema->text);
	appendStringInfoChar(&body, '}');
	return body.data;
}

static void
accept_registration(KafkaRegistry *registry, const KafkaHttpAnswer *answer)
{
	int32 id = answer_id(answer);
	KafkaRegistration *news;

	if (id <= 0)
	{
		note_trouble(registry, "its answer holds no schema id");
		return;
	}
	news = MemoryContextAlloc(registry->context, sizeof(KafkaRegistration));
	*news = (KafkaRegistration){.next = registry->news, .schema_id = registry->route->schema->id, .registered_id = id};
	registry->news = news;
	registry->route->registered_id = id;
	ereport(DEBUG1,
			(errmsg_internal("schema %s is number %d of the registry", registry->route->schema->full_name, id)));
}

static void
note_refusal(KafkaRegistry *registry, const KafkaHttpAnswer *answer)
{
	KafkaRoute *route = registry->route;
	char *text = psprintf("the schema registry refuses %s under subject \"%s\" (HTTP status %ld): %s",
						  route->schema->full_name, subject_name(registry, route), answer->status, answer_message(answer));

	route->obstacle = MemoryContextStrdup(registry->context, text);
}

static void
note_trouble(KafkaRegistry *registry, const char *reason)
{
	char *text = psprintf("could not register a schema at %s: %s", registry->config->registry_url, reason);

	registry->route->obstacle = MemoryContextStrdup(registry->context, text);
}

/* The answer as a JSON object, or NULL; whatever a wrong URL sends must not raise. */
static Jsonb *
parse_answer(const KafkaHttpAnswer *answer)
{
	MemoryContext caller = CurrentMemoryContext;
	Jsonb *volatile json = NULL;

	PG_TRY();
	{
		json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(answer->body)));
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		FlushErrorState();
	}
	PG_END_TRY();
	return json != NULL && JB_ROOT_IS_OBJECT(json) ? json : NULL;
}

/* 0: there is none. */
static int32
answer_id(const KafkaHttpAnswer *answer)
{
	Jsonb *json = parse_answer(answer);
	JsonbValue value;
	const char *digits;
	char *end;
	long id;

	if (json == NULL || getKeyJsonValueFromContainer(&json->root, "id", strlen("id"), &value) == NULL ||
		value.type != jbvNumeric)
		return 0;
	digits = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value.val.numeric)));
	id = strtol(digits, &end, 10);
	return *end == '\0' && id > 0 && id <= PG_INT32_MAX ? (int32) id : 0;
}

/*
 * The registry's words, fit for a log line. Nothing else of an answer is shown:
 * at a wrong URL it may be anybody's.
 */
static const char *
answer_message(const KafkaHttpAnswer *answer)
{
	Jsonb *json = parse_answer(answer);
	JsonbValue value;
	char *text;
	char *p;

	if (json != NULL && getKeyJsonValueFromContainer(&json->root, "message", strlen("message"), &value) != NULL &&
		value.type == jbvString)
		text = pnstrdup(value.val.string.val, Min(value.val.string.len, MESSAGE_MAX_BYTES));
	else
		return "without a message";
	for (p = text; *p != '\0'; p++)
	{
		if (*p < ' ' || *p > '~')
			*p = ' '; /* also half of a cut character, and what this server's encoding may not know */
	}
	return text[0] != '\0' ? text : "without a message";
}
