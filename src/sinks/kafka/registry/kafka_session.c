/*-------------------------------------------------------------------------
 *
 * kafka_session.c
 *	  A registry asked in a session, one question after the other.
 *
 * The client is the relay's (kafka_http.c), but here somebody waits for the
 * answer: until the call's deadline, serving interrupts.  No thread starts:
 * libcurl would look up names in one, so that is done before (kafka_resolve.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <curl/curl.h>

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "sinks/kafka/registry/kafka_answer.h"
#include "sinks/kafka/registry/kafka_session.h"

#define CONTENT_TYPE "application/vnd.schemaregistry.v1+json"

static void start(KafkaSession *session, KafkaMethod method, const char *url, const char *body);
static void give_up(KafkaSession *session, const char *words);

/* The options must have a registry. Raises for bad ones; whoever opens it closes it, also after an error. */
void
KafkaSessionOpen(KafkaSession *session, const OutboxRegistryCall *call)
{
	const char *trouble;

	session->http = KafkaHttpCreate(CurrentMemoryContext, session->config.registry_auth, session->config.registry_ca);
	session->call = call;
	trouble = KafkaResolveHosts(session->http, session->config.registry_url);
	if (trouble != NULL)
		give_up(session, trouble);
}

void
KafkaSessionClose(KafkaSession *session)
{
	if (session->http != NULL)
		KafkaHttpDestroy(session->http);
	session->http = NULL;
}

/* The answer's texts are valid until the next question. Status 0: there is none. */
KafkaHttpAnswer
KafkaSessionAsk(KafkaSession *session, KafkaMethod method, const char *path, const char *body)
{
	KafkaHttpAnswer answer = {.error = "it gave no answer before"};

	if (session->given_up)
		return answer;
	answer.error = "it gave no answer in time";
	if (GetCurrentTimestamp() >= session->call->deadline)
	{
		answer.error = "there was no time to ask about everything";
		KafkaSessionGiveUp(session, &answer);
		return answer;
	}
	start(session, method, psprintf("%s%s", session->config.registry_url, path), body);
	while (!KafkaHttpServe(session->http, &answer))
	{
		long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), session->call->deadline);

		if (left <= 0)
		{
			/* the request is still running: nothing more can be asked */
			answer = (KafkaHttpAnswer){.error = "it gave no answer in time"};
			KafkaSessionGiveUp(session, &answer);
			return answer;
		}
		(void) WaitLatchOrSocket(MyLatch, WL_LATCH_SET | WL_SOCKET_READABLE | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
								 KafkaHttpDescriptor(session->http), left, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return answer;
}

static void
start(KafkaSession *session, KafkaMethod method, const char *url, const char *body)
{
	switch (method)
	{
		case KAFKA_GET:
			KafkaHttpGet(session->http, url);
			break;
		case KAFKA_POST:
			KafkaHttpPost(session->http, url, CONTENT_TYPE, body);
			break;
		case KAFKA_PUT:
			KafkaHttpPut(session->http, url, CONTENT_TYPE, body);
			break;
	}
}

/* "/subjects/", a subject, "/versions" */
const char *
KafkaSessionPath(const char *before, const char *subject, const char *behind)
{
	char *escaped = curl_easy_escape(NULL, subject, 0);
	char *path = psprintf("%s%s%s", before, escaped ? escaped : "", behind);

	curl_free(escaped);
	return path;
}

/* Does the subject have the schema? Registers nothing. */
KafkaHttpAnswer
KafkaSessionLookUp(KafkaSession *session, const OutboxRegistryItem *item, const char *subject)
{
	return KafkaSessionAsk(session, KAFKA_POST, KafkaSessionPath("/subjects/", subject, ""), KafkaRegistryBody(item->schema));
}

const char *
KafkaSessionSubject(const KafkaSession *session, const OutboxRegistryItem *item)
{
	return KafkaSubjectName(session->config.subject, psprintf("%s%s", session->config.topic_prefix, item->topic), item->schema->full_name);
}

void
KafkaSessionReport(const KafkaSession *session, const OutboxRegistryFinding *finding)
{
	session->call->report(session->call, finding);
}

/* An answer of no use: said once, and nothing more is asked. */
void
KafkaSessionGiveUp(KafkaSession *session, const KafkaHttpAnswer *answer)
{
	const char *words = answer->error;

	if (session->given_up)
		return; /* it has been said */
	if (answer->status == 200)
		words = "it is no answer of a schema registry";
	else if (answer->status != 0)
		words = psprintf("it answers with HTTP status %ld: %s", answer->status, KafkaAnswerMessage(answer->body));
	give_up(session, words);
}

static void
give_up(KafkaSession *session, const char *words)
{
	session->given_up = true;
	KafkaSessionReport(session, &(OutboxRegistryFinding){.item = -1, .what = "unreachable", .theirs = psprintf("the schema registry at %s: %s", session->config.registry_url, words), .advice = "See that it runs and lets the sink's user ask; then ask again."});
}
