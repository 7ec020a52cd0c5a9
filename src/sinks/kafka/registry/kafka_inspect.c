/*-------------------------------------------------------------------------
 *
 * kafka_inspect.c
 *	  registry_cb: what a session asks of a registry, or tells it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/json.h"

#include "sinks/kafka/registry/kafka_answer.h"
#include "sinks/kafka/registry/kafka_session.h"

static void work(KafkaSession *session);
static void ask_for_consent(KafkaSession *session, int item);
static void ask_whether_compatible(KafkaSession *session, int item, const char *subject);
static void refuse(const KafkaSession *session, int item, const char *subject, const char *words, const char *advice);
static void push_level(KafkaSession *session, int item);
static bool is_refusal(long status);
static bool has_stronger(const KafkaSession *session, int item);

void
KafkaInspectRegistry(const OutboxRegistryCall *call)
{
	KafkaSession session = {0};

	KafkaParseOptions(call->options, call->noptions, &session.config);
	if (session.config.registry_url == NULL || (call->task == OUTBOX_REGISTRY_ASK && !session.config.preflight))
		return;
	PG_TRY();
	{
		KafkaSessionOpen(&session, call);
		work(&session);
	}
	PG_FINALLY();
	{
		KafkaSessionClose(&session);
	}
	PG_END_TRY();
}

static void
work(KafkaSession *session)
{
	for (int i = 0; i < session->call->nitems && !session->given_up; i++)
	{
		if (!session->call->items[i].current)
			continue;
		switch (session->call->task)
		{
			case OUTBOX_REGISTRY_ASK:
				ask_for_consent(session, i);
				break;
			case OUTBOX_REGISTRY_COMPARE:
				KafkaCompareItem(session, i);
				break;
			case OUTBOX_REGISTRY_PUSH_LEVEL:
				push_level(session, i);
				break;
		}
	}
}

/* Has the subject a schema whose contract promises more, or as much and comes first? */
static bool
has_stronger(const KafkaSession *session, int i)
{
	const OutboxRegistryItem *items = session->call->items;
	const char *subject = KafkaSessionSubject(session, &items[i]);

	for (int j = 0; j < session->call->nitems; j++)
	{
		const char *other = items[j].schema->level;

		if (j == i || !items[j].current || other == NULL || strcmp(KafkaSessionSubject(session, &items[j]), subject) != 0)
			continue;
		if (KafkaLevelIsWeaker(items[i].schema->level, other) || (j < i && strcmp(items[i].schema->level, other) == 0))
			return true;
	}
	return false;
}

/* Would it take the schema? One that it has already needs no further question. */
static void
ask_for_consent(KafkaSession *session, int i)
{
	const OutboxRegistryItem *item = &session->call->items[i];
	const char *subject = KafkaSessionSubject(session, item);
	KafkaHttpAnswer answer = KafkaSessionLookUp(session, item, subject);

	if (answer.status == 200 && KafkaAnswerId(answer.body) > 0)
		return;
	if (is_refusal(answer.status))
		refuse(session, i, subject, psprintf("HTTP status %ld: %s", answer.status, KafkaAnswerMessage(answer.body)), NULL);
	else if (answer.status != 404 || !KafkaAnswerSaysMissing(answer.body))
		KafkaSessionGiveUp(session, &answer);
	else
	{
		ask_whether_compatible(session, i, subject);
		if (!session->config.auto_register && !session->given_up)
			KafkaSessionReport(session, &(OutboxRegistryFinding){.item = i, .subject = subject, .what = "missing", .theirs = psprintf("the schema of \"%s\" is not registered under subject \"%s\", and schema.registry.auto.register is false", item->event_type, subject)});
	}
}

/* With all versions, as far as the subject's level asks for that; a registry without that question is asked about the newest. */
static void
ask_whether_compatible(KafkaSession *session, int i, const char *subject)
{
	const char *body = KafkaRegistryBody(session->call->items[i].schema);
	KafkaHttpAnswer answer = KafkaSessionAsk(session, KAFKA_POST, KafkaSessionPath("/compatibility/subjects/", subject, "/versions?verbose=true"), body);
	const char *words;

	if ((answer.status == 404 && !KafkaAnswerSaysMissing(answer.body)) || answer.status == 405)
		answer = KafkaSessionAsk(session, KAFKA_POST, KafkaSessionPath("/compatibility/subjects/", subject, "/versions/latest?verbose=true"), body);
	if (answer.status == 404 && KafkaAnswerSaysMissing(answer.body))
		return; /* nothing to be compatible with */
	if (is_refusal(answer.status))
		refuse(session, i, subject, psprintf("HTTP status %ld: %s", answer.status, KafkaAnswerMessage(answer.body)), NULL);
	else if (answer.status != 200 || KafkaAnswerCompatible(answer.body, &words) < 0)
		KafkaSessionGiveUp(session, &answer);
	else if (KafkaAnswerCompatible(answer.body, &words) == 0)
		refuse(session, i, subject, words, NULL);
}

/* The schema itself, in so many words. */
static bool
is_refusal(long status)
{
	return status == 409 || status == 422;
}

static void
refuse(const KafkaSession *session, int item, const char *subject, const char *words, const char *advice)
{
	KafkaSessionReport(session, &(OutboxRegistryFinding){.item = item, .subject = subject, .what = "refused", .theirs = words, .advice = advice});
}

/* ---- levels ----------------------------------------------------------------------- */

static void
push_level(KafkaSession *session, int i)
{
	const OutboxRegistryItem *item = &session->call->items[i];
	const char *subject = KafkaSessionSubject(session, item);
	KafkaHttpAnswer answer;

	if (item->schema->level == NULL || has_stronger(session, i))
		return;
	answer = KafkaSessionAsk(session, KAFKA_PUT, KafkaSessionPath("/config/", subject, ""), psprintf("{\"compatibility\": \"%s\"}", item->schema->level));
	if (answer.status == 0)
		KafkaSessionGiveUp(session, &answer);
	else if (answer.status != 200)
		refuse(session, i, subject, psprintf("HTTP status %ld: %s", answer.status, KafkaAnswerMessage(answer.body)),
			   answer.status == 404 ? "It takes a level only for a subject that has a version: push the level again when the first event was published." : NULL);
}
