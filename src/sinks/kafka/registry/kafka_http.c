/*-------------------------------------------------------------------------
 *
 * kafka_http.c
 *	  A client for one HTTP request at a time that never waits.
 *
 * libcurl's multi interface with an epoll descriptor of its own, which the
 * sink adds to the one that the relay waits on: an answer and a timeout wake
 * the relay.  libcurl resolves names in threads, so
 * it is called with all signals blocked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <curl/curl.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "utils/memutils.h"

#include "sinks/kafka/kafka_sink.h"
#include "sinks/kafka/registry/kafka_http.h"

#define CONNECT_TIMEOUT_MS 3000L
#define REQUEST_TIMEOUT_MS 5000L

/* Answers are some dozen bytes, or a schema; a wrong URL may lead anywhere. */
#define ANSWER_MAX_BYTES (4 * 1024 * 1024)
#define ANSWER_FIRST_BYTES 4096

struct KafkaHttp
{
	MemoryContext context;
	const char *auth;
	const char *ca_file;
	int wait_fd;  /* an epoll descriptor over timer_fd and libcurl's sockets */
	int timer_fd; /* libcurl's timer */
	CURLM *multi;

	CURL *request; /* NULL: none is running */
	struct curl_slist *headers;
	struct curl_slist *hosts; /* whose addresses are known */
	bool put;                 /* the body is PUT, not POSTed */
	char *url;
	char *body;
	bool finished;
	CURLcode result;
	char error[CURL_ERROR_SIZE];
	Size answer_len;
	Size answer_capacity;
	char *answer; /* never NULL */
};

static void send_body(KafkaHttp *http, const char *url, const char *content_type, const char *body);
static void start(KafkaHttp *http, const char *url, const char *header);
static void set_options(KafkaHttp *http);
static void step(KafkaHttp *http, curl_socket_t fd, int mask);
static void serve_timer(KafkaHttp *http);
static int curl_mask(uint32 events);
static void end_request(KafkaHttp *http);
static size_t on_data(char *data, size_t size, size_t n, void *arg);
static bool make_room(KafkaHttp *http, Size len);
static int on_socket(CURL *request, curl_socket_t fd, int what, void *arg, void *unused);
static int on_timer(CURLM *multi, long timeout_ms, void *arg);

KafkaHttp *
KafkaHttpCreate(MemoryContext parent, const char *auth, const char *ca_file)
{
	MemoryContext context = AllocSetContextCreate(parent, "outbox kafka http", ALLOCSET_DEFAULT_SIZES);
	KafkaHttp *http = MemoryContextAllocZero(context, sizeof(KafkaHttp));
	sigset_t saved;

	http->context = context;
	http->answer_capacity = ANSWER_FIRST_BYTES;
	http->answer = MemoryContextAlloc(context, http->answer_capacity);
	http->auth = auth;
	http->ca_file = ca_file;
	http->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	http->wait_fd = epoll_create1(EPOLL_CLOEXEC);

	KafkaBlockSignals(&saved);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	http->multi = curl_multi_init();
	KafkaRestoreSignals(&saved);
	if (http->multi == NULL || !KafkaWatch(http->wait_fd, http->timer_fd, EPOLLIN))
	{
		KafkaHttpDestroy(http);
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not create the client of the schema registry"),
				 errhint("Raise the operating system's limits of memory and open files.")));
	}
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
	return http;
}

void
KafkaHttpDestroy(KafkaHttp *http)
{
	sigset_t saved;

	end_request(http);
	KafkaBlockSignals(&saved);
	if (http->multi != NULL)
		curl_multi_cleanup(http->multi);
	curl_slist_free_all(http->hosts);
	KafkaRestoreSignals(&saved);
	if (http->timer_fd >= 0)
		close(http->timer_fd);
	if (http->wait_fd >= 0)
		close(http->wait_fd);
	MemoryContextDelete(http->context);
}

int
KafkaHttpDescriptor(const KafkaHttp *http)
{
	return http->wait_fd;
}

bool
KafkaHttpBusy(const KafkaHttp *http)
{
	return http->request != NULL;
}

void
KafkaHttpKnowHost(KafkaHttp *http, const char *entry)
{
	http->hosts = curl_slist_append(http->hosts, entry);
}

void
KafkaHttpPost(KafkaHttp *http, const char *url, const char *content_type, const char *body)
{
	http->put = false;
	send_body(http, url, content_type, body);
}

void
KafkaHttpPut(KafkaHttp *http, const char *url, const char *content_type, const char *body)
{
	http->put = true;
	send_body(http, url, content_type, body);
}

static void
send_body(KafkaHttp *http, const char *url, const char *content_type, const char *body)
{
	char header[256];

	snprintf(header, sizeof(header), "Content-Type: %s", content_type);
	http->body = MemoryContextStrdup(http->context, body);
	start(http, url, header);
}

void
KafkaHttpGet(KafkaHttp *http, const char *url)
{
	start(http, url, "Accept: application/json, application/*+json");
}

static void
start(KafkaHttp *http, const char *url, const char *header)
{
	sigset_t saved;

	Assert(http->request == NULL);
	http->finished = false;
	http->result = CURLE_OK;
	http->error[0] = '\0';
	http->answer_len = 0;
	http->url = MemoryContextStrdup(http->context, url);

	KafkaBlockSignals(&saved);
	http->request = curl_easy_init();
	http->headers = curl_slist_append(NULL, header);
	if (http->request == NULL || http->headers == NULL)
	{
		KafkaRestoreSignals(&saved);
		end_request(http);
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("Failed to prepare a request to the schema registry.")));
	}
	set_options(http);
	curl_multi_add_handle(http->multi, http->request);
	KafkaRestoreSignals(&saved);
	step(http, CURL_SOCKET_TIMEOUT, 0);
}

static void
set_options(KafkaHttp *http)
{
	CURL *request = http->request;

	curl_easy_setopt(request, CURLOPT_URL, http->url);
	if (http->body != NULL)
		curl_easy_setopt(request, CURLOPT_POSTFIELDS, http->body);
	if (http->body != NULL && http->put)
		curl_easy_setopt(request, CURLOPT_CUSTOMREQUEST, "PUT");
	if (http->hosts != NULL)
		curl_easy_setopt(request, CURLOPT_RESOLVE, http->hosts);
	curl_easy_setopt(request, CURLOPT_HTTPHEADER, http->headers);
	curl_easy_setopt(request, CURLOPT_USERAGENT, "outbox_ext");
	curl_easy_setopt(request, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(request, CURLOPT_WRITEDATA, http);
	curl_easy_setopt(request, CURLOPT_ERRORBUFFER, http->error);
	curl_easy_setopt(request, CURLOPT_NOSIGNAL, 1L);
	/* outbox.http_hosts allowed this host, and no other */
	curl_easy_setopt(request, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(request, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(request, CURLOPT_TIMEOUT_MS, REQUEST_TIMEOUT_MS);
	if (http->auth != NULL)
	{
		curl_easy_setopt(request, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
		curl_easy_setopt(request, CURLOPT_USERPWD, http->auth);
	}
	if (http->ca_file != NULL)
		curl_easy_setopt(request, CURLOPT_CAINFO, http->ca_file);
}

bool
KafkaHttpServe(KafkaHttp *http, KafkaHttpAnswer *answer)
{
	struct epoll_event events[8];
	int n;
	int i;

	if (http->request == NULL)
		return false;
	n = epoll_wait(http->wait_fd, events, lengthof(events), 0);
	for (i = 0; i < n; i++)
	{
		if (events[i].data.fd == http->timer_fd)
			serve_timer(http);
		else
			step(http, events[i].data.fd, curl_mask(events[i].events));
	}
	if (!http->finished)
		return false;

	http->finished = false;
	http->answer[http->answer_len] = '\0';
	*answer = (KafkaHttpAnswer){.body = http->answer};
	if (http->result == CURLE_OK)
		curl_easy_getinfo(http->request, CURLINFO_RESPONSE_CODE, &answer->status);
	else
		answer->error = http->error[0] != '\0' ? http->error : curl_easy_strerror(http->result);
	end_request(http);
	return true;
}

static void
serve_timer(KafkaHttp *http)
{
	uint64 expirations;

	if (read(http->timer_fd, &expirations, sizeof(expirations)) < 0)
		return;
	step(http, CURL_SOCKET_TIMEOUT, 0);
}

static int
curl_mask(uint32 events)
{
	return (events & EPOLLIN ? CURL_CSELECT_IN : 0) |
		(events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
		(events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
}

/* Lets libcurl work on one descriptor, or on its timer. */
static void
step(KafkaHttp *http, curl_socket_t fd, int mask)
{
	CURLMsg *message;
	sigset_t saved;
	int running;
	int left;

	if (http->request == NULL)
		return;
	KafkaBlockSignals(&saved);
	curl_multi_socket_action(http->multi, fd, mask, &running);
	KafkaRestoreSignals(&saved);
	while ((message = curl_multi_info_read(http->multi, &left)) != NULL)
	{
		if (message->msg != CURLMSG_DONE)
			continue;
		http->finished = true;
		http->result = message->data.result;
		KafkaSetTimer(http->timer_fd, 0); /* whoever waits on the descriptor has to look */
	}
}

static void
end_request(KafkaHttp *http)
{
	sigset_t saved;

	KafkaBlockSignals(&saved);
	if (http->request != NULL)
	{
		curl_multi_remove_handle(http->multi, http->request);
		curl_easy_cleanup(http->request);
		http->request = NULL;
	}
	curl_slist_free_all(http->headers);
	KafkaRestoreSignals(&saved);
	http->headers = NULL;
	if (http->url != NULL)
		pfree(http->url);
	if (http->body != NULL)
		pfree(http->body);
	http->url = http->body = NULL;
	KafkaSetTimer(http->timer_fd, -1);
}

/* Called by libcurl, as are the two below: must not raise. */
static size_t
on_data(char *data, size_t size, size_t n, void *arg)
{
	KafkaHttp *http = arg;
	size_t len = size * n;

	if (len > ANSWER_MAX_BYTES - http->answer_len || !make_room(http, len + 1))
		return 0; /* gives up */
	memcpy(http->answer + http->answer_len, data, len);
	http->answer_len += len;
	return len;
}

static bool
make_room(KafkaHttp *http, Size len)
{
	Size capacity = http->answer_capacity;
	char *larger;

	while (capacity < http->answer_len + len)
		capacity *= 2;
	if (capacity == http->answer_capacity)
		return true;
	larger = MemoryContextAllocExtended(http->context, capacity, MCXT_ALLOC_NO_OOM);
	if (larger == NULL)
		return false;
	memcpy(larger, http->answer, http->answer_len);
	pfree(http->answer);
	http->answer = larger;
	http->answer_capacity = capacity;
	return true;
}

static int
on_socket(CURL *request, curl_socket_t fd, int what, void *arg, void *unused)
{
	KafkaHttp *http = arg;

	if (what == CURL_POLL_REMOVE)
		(void) epoll_ctl(http->wait_fd, EPOLL_CTL_DEL, fd, NULL);
	else
		(void) KafkaWatch(http->wait_fd, fd, (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0));
	return 0;
}

static int
on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	KafkaHttp *http = arg;

	if (!http->finished)
		KafkaSetTimer(http->timer_fd, timeout_ms);
	return 0;
}
