/*-------------------------------------------------------------------------
 *
 * kafka_registry.c
 *	  Registers schemas at a Confluent-compatible schema registry.
 *
 * One request per schema and sink, ever: the id is reported to the relay,
 * which remembers it.  The request runs beside everything else: libcurl's
 * descriptors are part of the one that the relay waits on, and publishing
 * stops at the message whose schema has no id yet.
 *
 * A refusal of the schema (409, 422) is final for its events; anything else
 * (registry down, 5xx, not allowed, nonsense) is trouble, and is tried again
 * with growing pauses.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <curl/curl.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "kafka_sink.h"

#define CONNECT_TIMEOUT_MS 3000L
#define REQUEST_TIMEOUT_MS 5000L

#define RETRY_MS_MIN 250
#define RETRY_MS_MAX 10000

/* Answers are some dozen bytes; a wrong URL may lead anywhere. */
#define ANSWER_MAX_BYTES (64 * 1024)

#define CONTENT_TYPE_HEADER "Content-Type: application/vnd.schemaregistry.v1+json"
#define ACCEPT_HEADER "Accept: application/vnd.schemaregistry.v1+json, application/json"

typedef struct KafkaRegistration
{
	struct KafkaRegistration *next;
	int32 schema_id;
	int32 registered_id;
} KafkaRegistration;

struct KafkaRegistry
{
	MemoryContext context;
	MemoryContext request_context; /* body, URL and answer of one request */
	const KafkaConfig *config;
	int wait_fd;  /* an epoll descriptor over timer_fd and libcurl's sockets */
	int timer_fd; /* libcurl's timer while a request runs, the pause before the next otherwise */
	CURLM *multi;
	CURL *request; /* NULL: none is running */
	struct curl_slist *headers;
	KafkaRoute *route; /* what the request is about */
	char *answer;      /* ANSWER_MAX_BYTES + 1 */
	Size answer_len;
	char curl_error[CURL_ERROR_SIZE];
	bool pausing;
	int pause_ms;
	KafkaRegistration *news; /* not reported yet */
	char trouble[640];       /* '' = none */
};

static void start_request(KafkaRegistry *registry, KafkaRoute *route);
static char *subject_name(const KafkaRegistry *registry, const KafkaRoute *route);
static char *request_url(const KafkaRegistry *registry);
static char *request_body(const KafkaRoute *route);
static void set_options(KafkaRegistry *registry, const char *url, const char *body);
static void step(KafkaRegistry *registry, curl_socket_t fd, int mask);
static void finish_request(KafkaRegistry *registry, CURLcode result);
static void end_request(KafkaRegistry *registry);
static void accept_registration(KafkaRegistry *registry);
static void accept_refusal(KafkaRegistry *registry, long status);
static void note_trouble(KafkaRegistry *registry, const char *reason);
static void set_timer(KafkaRegistry *registry, long ms);
static Jsonb *parse_answer(KafkaRegistry *registry);
static int32 answer_id(KafkaRegistry *registry);
static const char *answer_message(KafkaRegistry *registry);
static bool watch(KafkaRegistry *registry, int fd, uint32 events);
static size_t on_data(char *data, size_t size, size_t n, void *arg);
static int on_socket(CURL *request, curl_socket_t fd, int what, void *arg, void *unused);
static int on_timer(CURLM *multi, long timeout_ms, void *arg);

KafkaRegistry *
KafkaRegistryCreate(MemoryContext parent, const KafkaConfig *config)
{
	MemoryContext context = AllocSetContextCreate(parent, "outbox kafka registry", ALLOCSET_SMALL_SIZES);
	KafkaRegistry *registry = MemoryContextAllocZero(context, sizeof(KafkaRegistry));
	sigset_t saved;

	registry->context = context;
	registry->request_context = AllocSetContextCreate(context, "outbox kafka registry request", ALLOCSET_SMALL_SIZES);
	registry->config = config;
	registry->pause_ms = RETRY_MS_MIN;
	registry->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	registry->wait_fd = epoll_create1(EPOLL_CLOEXEC);

	KafkaBlockSignals(&saved);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	registry->multi = curl_multi_init();
	KafkaRestoreSignals(&saved);
	curl_multi_setopt(registry->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(registry->multi, CURLMOPT_SOCKETDATA, registry);
	curl_multi_setopt(registry->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(registry->multi, CURLMOPT_TIMERDATA, registry);
	registry->headers = curl_slist_append(curl_slist_append(NULL, CONTENT_TYPE_HEADER), ACCEPT_HEADER);

	if (registry->multi == NULL || registry->headers == NULL || !watch(registry, registry->timer_fd, EPOLLIN))
	{
		KafkaRegistryDestroy(registry);
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not create the client of the schema registry"),
				 errhint("Raise the operating system's limits of memory and open files.")));
	}
	return registry;
}

void
KafkaRegistryDestroy(KafkaRegistry *registry)
{
	sigset_t saved;

	KafkaBlockSignals(&saved);
	end_request(registry);
	curl_multi_cleanup(registry->multi);
	curl_slist_free_all(registry->headers);
	KafkaRestoreSignals(&saved);
	if (registry->timer_fd >= 0)
		close(registry->timer_fd);
	if (registry->wait_fd >= 0)
		close(registry->wait_fd);
	MemoryContextDelete(registry->context);
}

int
KafkaRegistryDescriptor(const KafkaRegistry *registry)
{
	return registry->wait_fd;
}

bool
KafkaRegistryResolve(KafkaRegistry *registry, KafkaRoute *route)
{
	if (registry->request == NULL && !registry->pausing)
		start_request(registry, route);
	return route->registered_id != 0 || route->refusal != NULL;
}

const char *
KafkaRegistryTrouble(const KafkaRegistry *registry)
{
	return registry->trouble[0] != '\0' ? registry->trouble : NULL;
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

/* Lets libcurl work on whatever is ready. */
void
KafkaRegistryServe(KafkaRegistry *registry)
{
	struct epoll_event events[8];
	uint64 expirations;
	int n;
	int i;

	if (registry->request == NULL && !registry->pausing)
		return;
	n = epoll_wait(registry->wait_fd, events, lengthof(events), 0);
	for (i = 0; i < n; i++)
	{
		int fd = events[i].data.fd;
		int mask = 0;

		if (fd == registry->timer_fd)
		{
			if (read(fd, &expirations, sizeof(expirations)) < 0)
				continue;
			registry->pausing = false;
			step(registry, CURL_SOCKET_TIMEOUT, 0);
		}
		else
		{
			if (events[i].events & EPOLLIN)
				mask |= CURL_CSELECT_IN;
			if (events[i].events & EPOLLOUT)
				mask |= CURL_CSELECT_OUT;
			if (events[i].events & (EPOLLERR | EPOLLHUP))
				mask |= CURL_CSELECT_ERR;
			step(registry, fd, mask);
		}
	}
}

static void
start_request(KafkaRegistry *registry, KafkaRoute *route)
{
	MemoryContext caller;
	sigset_t saved;

	MemoryContextReset(registry->request_context);
	caller = MemoryContextSwitchTo(registry->request_context);
	registry->answer = palloc(ANSWER_MAX_BYTES + 1);
	registry->answer_len = 0;
	registry->curl_error[0] = '\0';
	registry->route = route;

	KafkaBlockSignals(&saved);
	registry->request = curl_easy_init();
	KafkaRestoreSignals(&saved);
	if (registry->request == NULL)
		note_trouble(registry, "out of memory");
	else
	{
		set_options(registry, request_url(registry), request_body(route));
		KafkaBlockSignals(&saved);
		curl_multi_add_handle(registry->multi, registry->request);
		KafkaRestoreSignals(&saved);
		step(registry, CURL_SOCKET_TIMEOUT, 0);
	}
	MemoryContextSwitchTo(caller);
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
	char *escaped = curl_easy_escape(registry->request, subject_name(registry, registry->route), 0);
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

/* url and body stay valid until the request ends. */
static void
set_options(KafkaRegistry *registry, const char *url, const char *body)
{
	CURL *request = registry->request;
	const KafkaConfig *config = registry->config;

	curl_easy_setopt(request, CURLOPT_URL, url);
	curl_easy_setopt(request, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(request, CURLOPT_HTTPHEADER, registry->headers);
	curl_easy_setopt(request, CURLOPT_USERAGENT, "outbox_ext");
	curl_easy_setopt(request, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(request, CURLOPT_WRITEDATA, registry);
	curl_easy_setopt(request, CURLOPT_ERRORBUFFER, registry->curl_error);
	curl_easy_setopt(request, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(request, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(request, CURLOPT_TIMEOUT_MS, REQUEST_TIMEOUT_MS);
	if (config->registry_auth != NULL)
	{
		curl_easy_setopt(request, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
		curl_easy_setopt(request, CURLOPT_USERPWD, config->registry_auth);
	}
	if (config->registry_ca != NULL)
		curl_easy_setopt(request, CURLOPT_CAINFO, config->registry_ca);
}

static void
step(KafkaRegistry *registry, curl_socket_t fd, int mask)
{
	CURLMsg *message;
	sigset_t saved;
	int running;
	int left;

	if (registry->request == NULL)
		return;
	KafkaBlockSignals(&saved);
	curl_multi_socket_action(registry->multi, fd, mask, &running);
	KafkaRestoreSignals(&saved);
	while (registry->request != NULL && (message = curl_multi_info_read(registry->multi, &left)) != NULL)
	{
		if (message->msg == CURLMSG_DONE)
			finish_request(registry, message->data.result);
	}
}

static void
finish_request(KafkaRegistry *registry, CURLcode result)
{
	MemoryContext caller = MemoryContextSwitchTo(registry->request_context);
	long status = 0;

	curl_easy_getinfo(registry->request, CURLINFO_RESPONSE_CODE, &status);
	end_request(registry);
	registry->answer[registry->answer_len] = '\0';

	if (result != CURLE_OK)
		note_trouble(registry, registry->curl_error[0] != '\0' ? registry->curl_error : curl_easy_strerror(result));
	else if (status == 200 || status == 201)
		accept_registration(registry);
	else if (status == 409 || status == 422)
		accept_refusal(registry, status);
	else
		note_trouble(registry, psprintf("it answers with HTTP status %ld: %s", status, answer_message(registry)));
	MemoryContextSwitchTo(caller);
}

static void
end_request(KafkaRegistry *registry)
{
	sigset_t saved;

	if (registry->request == NULL)
		return;
	KafkaBlockSignals(&saved);
	curl_multi_remove_handle(registry->multi, registry->request);
	curl_easy_cleanup(registry->request);
	KafkaRestoreSignals(&saved);
	registry->request = NULL;
	set_timer(registry, -1);
}

static void
accept_registration(KafkaRegistry *registry)
{
	int32 id = answer_id(registry);
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
	registry->trouble[0] = '\0';
	registry->pause_ms = RETRY_MS_MIN;
	ereport(DEBUG1,
			(errmsg_internal("schema %s is number %d of the registry", registry->route->schema->full_name, id)));
}

static void
accept_refusal(KafkaRegistry *registry, long status)
{
	KafkaRoute *route = registry->route;
	char *text = psprintf("the schema registry refuses %s under subject \"%s\" (HTTP status %ld): %s",
						  route->schema->full_name, subject_name(registry, route), status, answer_message(registry));

	route->refusal = MemoryContextStrdup(registry->context, text);
	registry->trouble[0] = '\0';
	registry->pause_ms = RETRY_MS_MIN;
}

/* Nothing is refused because the registry is not well: pause, then ask again. */
static void
note_trouble(KafkaRegistry *registry, const char *reason)
{
	snprintf(registry->trouble, sizeof(registry->trouble), "could not register a schema at %s: %s",
			 registry->config->registry_url, reason);
	registry->pausing = true;
	set_timer(registry, registry->pause_ms);
	registry->pause_ms = Min(registry->pause_ms * 2, RETRY_MS_MAX);
}

/* Negative: never. */
static void
set_timer(KafkaRegistry *registry, long ms)
{
	struct itimerspec when = {0};

	if (ms >= 0)
	{
		when.it_value.tv_sec = ms / 1000;
		when.it_value.tv_nsec = ms % 1000 * 1000000L + 1; /* zero would disarm it */
	}
	(void) timerfd_settime(registry->timer_fd, 0, &when, NULL);
}

/* The answer as a JSON object, or NULL; whatever a wrong URL sends must not raise. */
static Jsonb *
parse_answer(KafkaRegistry *registry)
{
	MemoryContext caller = CurrentMemoryContext;
	Jsonb *volatile json = NULL;

	PG_TRY();
	{
		json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(registry->answer)));
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
answer_id(KafkaRegistry *registry)
{
	Jsonb *json = parse_answer(registry);
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

/* The registry's words, fit for a log line. */
static const char *
answer_message(KafkaRegistry *registry)
{
	Jsonb *json = parse_answer(registry);
	JsonbValue value;
	char *text;
	char *p;

	if (json != NULL && getKeyJsonValueFromContainer(&json->root, "message", strlen("message"), &value) != NULL &&
		value.type == jbvString)
		text = pnstrdup(value.val.string.val, Min(value.val.string.len, 400));
	else
		text = pnstrdup(registry->answer, Min(registry->answer_len, 200));
	for (p = text; *p != '\0'; p++)
	{
		if (*p < ' ' || *p > '~')
			*p = ' '; /* also half of a cut character, and what this server's encoding may not know */
	}
	return text[0] != '\0' ? text : "without a message";
}

/* Called by libcurl, as are the two below: must not raise. */
static size_t
on_data(char *data, size_t size, size_t n, void *arg)
{
	KafkaRegistry *registry = arg;
	size_t len = size * n;

	if (len > ANSWER_MAX_BYTES - registry->answer_len)
		return 0; /* gives up: no registry answers so much */
	memcpy(registry->answer + registry->answer_len, data, len);
	registry->answer_len += len;
	return len;
}

static int
on_socket(CURL *request, curl_socket_t fd, int what, void *arg, void *unused)
{
	KafkaRegistry *registry = arg;

	if (what == CURL_POLL_REMOVE)
		(void) epoll_ctl(registry->wait_fd, EPOLL_CTL_DEL, fd, NULL);
	else
		(void) watch(registry, fd, (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0));
	return 0;
}

static int
on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	set_timer(arg, timeout_ms);
	return 0;
}

static bool
watch(KafkaRegistry *registry, int fd, uint32 events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};

	return epoll_ctl(registry->wait_fd, EPOLL_CTL_MOD, fd, &event) == 0 ||
		epoll_ctl(registry->wait_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}
