/*-------------------------------------------------------------------------
 *
 * kafka_subject.c
 *	  What a registry is told of a schema: its subject, and the schema itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/json.h"

#include "sinks/kafka/registry/kafka_registry.h"
#include "sinks/topic_prefix.h"

/* Of a topic under the broker's name, and a record's full name; palloc'd. */
char *
KafkaSubjectName(KafkaSubjectStrategy strategy, const char *topic_name, const char *full_name)
{
	switch (strategy)
	{
		case KAFKA_SUBJECT_TOPIC_NAME:
			return psprintf("%s-value", topic_name);
		case KAFKA_SUBJECT_RECORD_NAME:
			return pstrdup(full_name);
		case KAFKA_SUBJECT_TOPIC_RECORD_NAME:
			break;
	}
	return psprintf("%s-%s", topic_name, full_name);
}

/* False: there is no strategy of this name. */
bool
KafkaParseSubjectStrategy(const char *name, KafkaSubjectStrategy *strategy)
{
	static const char *const names[] = {
		[KAFKA_SUBJECT_TOPIC_RECORD_NAME] = "TopicRecordName",
		[KAFKA_SUBJECT_TOPIC_NAME] = "TopicName",
		[KAFKA_SUBJECT_RECORD_NAME] = "RecordName"};

	for (int i = 0; i < lengthof(names); i++)
	{
		if (strcmp(name, names[i]) != 0)
			continue;
		*strategy = i;
		return true;
	}
	return false;
}

/* subject_cb: NULL without a registry, and where an option that decides about it is in a file or not valid. */
const char *
KafkaSubjectOf(const OutboxSinkOption *options, int noptions, const char *topic, const char *full_name)
{
	KafkaSubjectStrategy strategy = KAFKA_SUBJECT_TOPIC_RECORD_NAME;
	const char *prefix = "";
	bool has_registry = false;

	for (int i = 0; i < noptions; i++)
	{
		const char *value = options[i].value;

		if (strcmp(options[i].name, "schema.registry.url") == 0)
			has_registry = true;
		else if (strcmp(options[i].name, TOPIC_PREFIX_OPTION) == 0)
			prefix = value;
		else if (strcmp(options[i].name, "subject.strategy") == 0 && (value == NULL || !KafkaParseSubjectStrategy(value, &strategy)))
			return NULL;
	}
	if (!has_registry || prefix == NULL)
		return NULL;
	return KafkaSubjectName(strategy, psprintf("%s%s", prefix, topic), full_name);
}

/* The body of a request about a schema; palloc'd. */
char *
KafkaRegistryBody(const OutboxSchema *schema)
{
	StringInfoData body;

	initStringInfo(&body);
	appendStringInfoString(&body, "{\"schema\": ");
	escape_json(&body, schema->text);
	appendStringInfoChar(&body, '}');
	return body.data;
}
