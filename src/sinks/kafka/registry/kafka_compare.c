/*-------------------------------------------------------------------------
 *
 * kafka_compare.c
 *	  Does a registry hold what it should? The rows of registry_diff().
 *
 * Of each schema: is it under its subject, with the id that is remembered?
 * Of each subject, once: are there versions that are not ours, and is its
 * level as strict as the contract's?
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "sinks/kafka/registry/kafka_answer.h"
#include "sinks/kafka/registry/kafka_session.h"

/* How many versions of a subject are looked at, the newest. */
#define VERSIONS_MAX 20

static void compare_schema(KafkaSession *session, int item, const char *subject);
static void compare_found(KafkaSession *session, int item, const char *subject, int32 id);
static void explain_missing(KafkaSession *session, int item, const char *subject);
static bool has_deleted_versions(KafkaSession *session, const char *subject);
static int32 remembered_id(const KafkaSession *session, const OutboxSchema *schema, const char *subject);
static bool reads_alike(const KafkaSession *session, const OutboxSchema *schema, const char *other);
static bool is_ours(const KafkaSession *session, const char *subject, const char *schema);
static void compare_versions(KafkaSession *session, int item, const char *subject);
static void compare_level(KafkaSession *session, int item, const char *subject);
static void note(const KafkaSession *session, int item, const char *subject, const char *what, const char *ours, const char *theirs, const char *advice);

void
KafkaCompareItem(KafkaSession *session, int i)
{
	const char *subject = KafkaSessionSubject(session, &session->call->items[i]);

	compare_schema(session, i, subject);
	if (session->given_up || !KafkaIsFirstOfSubject(session, i))
		return;
	compare_versions(session, i, subject);
	if (!session->given_up)
		compare_level(session, i, subject);
}

bool
KafkaIsFirstOfSubject(const KafkaSession *session, int i)
{
	const char *subject = KafkaSessionSubject(session, &session->call->items[i]);

	for (int j = 0; j < i; j++)
	{
		if (session->call->items[j].current && strcmp(KafkaSessionSubject(session, &session->call->items[j]), subject) == 0)
			return false;
	}
	return true;
}

/* ---- one schema ------------------------------------------------------------------- */

static void
compare_schema(KafkaSession *session, int i, const char *subject)
{
	KafkaHttpAnswer answer = KafkaSessionLookUp(session, &session->call->items[i], subject);
	int32 id = answer.status == 200 ? KafkaAnswerId(answer.body) : 0;

	if (id > 0)
		compare_found(session, i, subject, id);
	else if (answer.status == 404 && KafkaAnswerSaysMissing(answer.body))
		explain_missing(session, i, subject);
	else
		KafkaSessionGiveUp(session, &answer);
}

static void
compare_found(KafkaSession *session, int i, const char *subject, int32 id)
{
	const OutboxSchema *schema = session->call->items[i].schema;
	int32 remembered = remembered_id(session, schema, subject);
	KafkaHttpAnswer answer = KafkaSessionAsk(session, KAFKA_GET, psprintf("/schemas/ids/%d", id), NULL);
	char *text = answer.status == 200 ? KafkaAnswerSchema(answer.body) : NULL;

	if (remembered != 0 && remembered != id)
		note(session, i, subject, "other id", psprintf("%d", remembered), psprintf("%d", id),
			 psprintf("Messages that left with the old number are lost on readers. SELECT outbox.forget_schema_ids('%s');", session->call->sink_name));
	if (text == NULL)
		KafkaSessionGiveUp(session, &answer);
	else if (!reads_alike(session, schema, text))
		note(session, i, subject, "different text", schema->text, text,
			 "Readers would get other values: make the registry return the schema that it was given.");
}

/* It is not there: was it ever, and what is there instead? */
static void
explain_missing(KafkaSession *session, int i, const char *subject)
{
	const OutboxSchema *schema = session->call->items[i].schema;
	int32 remembered = remembered_id(session, schema, subject);
	KafkaHttpAnswer answer;
	char *text;

	if (remembered != 0)
	{
		answer = KafkaSessionAsk(session, KAFKA_GET, psprintf("/schemas/ids/%d", remembered), NULL);
		text = answer.status == 200 ? KafkaAnswerSchema(answer.body) : NULL;
		if (text != NULL && !reads_alike(session, schema, text))
			note(session, i, subject, "different text", schema->text, text,
				 psprintf("It is another registry, or was set up anew. SELECT outbox.forget_schema_ids('%s');", session->call->sink_name));
	}
	if (remembered != 0 || has_deleted_versions(session, subject))
		note(session, i, subject, "deleted", remembered != 0 ? psprintf("%d", remembered) : NULL, NULL,
			 psprintf("The relay registers it again when it next asks: SELECT outbox.forget_schema_ids('%s');", session->call->sink_name));
	else if (session->config.auto_register)
		note(session, i, subject, "missing", NULL, NULL, "The relay registers it with the first event.");
	else
		note(session, i, subject, "missing", NULL, NULL,
			 psprintf("Register what SELECT outbox.avro_schema('%s'); returns, or set schema.registry.auto.register to true.", session->call->items[i].event_type));
}

/* Deleted softly: shown on demand. */
static bool
has_deleted_versions(KafkaSession *session, const char *subject)
{
	int versions[VERSIONS_MAX];
	KafkaHttpAnswer live = KafkaSessionAsk(session, KAFKA_GET, KafkaSessionPath("/subjects/", subject, "/versions"), NULL);
	KafkaHttpAnswer all;

	if (live.status == 200)
		return false;
	all = KafkaSessionAsk(session, KAFKA_GET, KafkaSessionPath("/subjects/", subject, "/versions?deleted=true"), NULL);
	return all.status == 200 && KafkaAnswerVersions(all.body, versions, VERSIONS_MAX) > 0;
}

static int32
remembered_id(const KafkaSession *session, const OutboxSchema *schema, const char *subject)
{
	for (int i = 0; i < schema->nregistrations; i++)
	{
		const OutboxRegistration *registration = &schema->registrations[i];

		if (strcmp(registration->registry, session->config.registry) == 0 && strcmp(registration->subject, subject) == 0)
			return registration->id;
	}
	return 0;
}

static bool
reads_alike(const KafkaSession *session, const OutboxSchema *schema, const char *other)
{
	return session->call->reads_alike(schema, other);
}

/* ---- one subject ------------------------------------------------------------------ */

static void
compare_versions(KafkaSession *session, int i, const char *subject)
{
	KafkaHttpAnswer answer = KafkaSessionAsk(session, KAFKA_GET, KafkaSessionPath("/subjects/", subject, "/versions"), NULL);
	int versions[VERSIONS_MAX];
	int n = answer.status == 200 ? KafkaAnswerVersions(answer.body, versions, VERSIONS_MAX) : 0;

	if (answer.status != 200 && !(answer.status == 404 && KafkaAnswerSaysMissing(answer.body)))
		KafkaSessionGiveUp(session, &answer);
	for (int v = 0; v < n && !session->given_up; v++)
	{
		char *text;

		answer = KafkaSessionAsk(session, KAFKA_GET, KafkaSessionPath("/subjects/", subject, psprintf("/versions/%d", versions[v])), NULL);
		text = answer.status == 200 ? KafkaAnswerSchema(answer.body) : NULL;
		if (text == NULL)
			KafkaSessionGiveUp(session, &answer);
		else if (!is_ours(session, subject, text))
			note(session, i, subject, "extra version", NULL, psprintf("version %d: %s", versions[v], text),
				 "Somebody else registered it: readers that expect it get none of its events. Delete the version, or find out who writes to the topic.");
	}
}

/* Is a schema one that this database has ever pinned for the subject? */
static bool
is_ours(const KafkaSession *session, const char *subject, const char *schema)
{
	for (int i = 0; i < session->call->nitems; i++)
	{
		const OutboxRegistryItem *item = &session->call->items[i];

		if (strcmp(KafkaSessionSubject(session, item), subject) == 0 && reads_alike(session, item->schema, schema))
			return true;
	}
	return false;
}

static void
compare_level(KafkaSession *session, int i, const char *subject)
{
	const char *ours = session->call->items[i].schema->level;
	KafkaHttpAnswer answer = KafkaSessionAsk(session, KAFKA_GET, KafkaSessionPath("/config/", subject, "?defaultToGlobal=true"), NULL);
	const char *theirs;

	/* an older one knows no default here */
	if (answer.status == 404)
		answer = KafkaSessionAsk(session, KAFKA_GET, "/config", NULL);
	theirs = answer.status == 200 ? KafkaAnswerLevel(answer.body) : NULL;
	if (theirs == NULL)
		KafkaSessionGiveUp(session, &answer);
	else if (ours != NULL && KafkaLevelIsWeaker(theirs, ours))
		note(session, i, subject, "weaker level", ours, theirs, psprintf("SELECT outbox.push_level('%s');", session->call->sink_name));
}

/* Does a level let something through that another one refuses? One that is not known here may. */
bool
KafkaLevelIsWeaker(const char *level, const char *than)
{
	static const char transitive[] = "_TRANSITIVE";
	bool all = strstr(level, transitive) != NULL;
	bool all_of_them = strstr(than, transitive) != NULL;
	bool full = strncmp(level, "FULL", strlen("FULL")) == 0;
	bool backward = full || strncmp(level, "BACKWARD", strlen("BACKWARD")) == 0;
	bool forward = full || strncmp(level, "FORWARD", strlen("FORWARD")) == 0;
	bool wants_full = strncmp(than, "FULL", strlen("FULL")) == 0;
	bool wants_backward = wants_full || strncmp(than, "BACKWARD", strlen("BACKWARD")) == 0;
	bool wants_forward = wants_full || strncmp(than, "FORWARD", strlen("FORWARD")) == 0;

	return (wants_backward && !backward) || (wants_forward && !forward) || (all_of_them && !all);
}

/* Texts of the registry are cut and cleaned: at a wrong URL they may be anybody's. */
static void
note(const KafkaSession *session, int item, const char *subject, const char *what, const char *ours, const char *theirs, const char *advice)
{
	KafkaSessionReport(session, &(OutboxRegistryFinding){.item = item, .subject = subject, .what = what, .ours = ours != NULL ? KafkaCleanWords(ours) : NULL, .theirs = theirs != NULL ? KafkaCleanWords(theirs) : NULL, .advice = advice});
}
