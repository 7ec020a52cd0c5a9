/*-------------------------------------------------------------------------
 *
 * kafka_answer.c
 *	  Reads a schema registry's answers.
 *
 * With jansson, because answers are UTF-8 whatever the server's encoding is.
 * Its json_object() is never called: the server's executable has a function
 * of that name, which the dynamic linker would take instead.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <jansson.h>

#include "sinks/kafka/registry/kafka_answer.h"

/* Confluent's error codes: subject, version or schema not found. */
#define MISSING_FIRST 40401
#define MISSING_LAST 40403

/* How much is shown of what a registry says. */
#define MESSAGE_MAX_BYTES 200

static json_t *member(json_t *answer, const char *name);

/* NULL for what is no JSON object, or has no such member; it lives as long as the answer. */
static json_t *
member(json_t *answer, const char *name)
{
	return json_is_object(answer) ? json_object_get(answer, name) : NULL;
}

int32
KafkaAnswerId(const char *body)
{
	json_t *answer = json_loads(body, 0, NULL);
	json_t *id = member(answer, "id");
	json_int_t number = json_is_integer(id) ? json_integer_value(id) : 0;

	json_decref(answer);
	return number > 0 && number <= PG_INT32_MAX ? (int32) number : 0;
}

char *
KafkaAnswerSchema(const char *body)
{
	json_t *answer = json_loads(body, 0, NULL);
	const char *schema = json_string_value(member(answer, "schema"));
	char *copy = NULL;

	if (schema != NULL)
		copy = palloc_extended(strlen(schema) + 1, MCXT_ALLOC_NO_OOM | MCXT_ALLOC_HUGE);
	if (copy != NULL)
		strcpy(copy, schema);
	json_decref(answer);
	return copy;
}

bool
KafkaAnswerSaysMissing(const char *body)
{
	json_t *answer = json_loads(body, 0, NULL);
	json_t *code = member(answer, "error_code");
	json_int_t number = json_is_integer(code) ? json_integer_value(code) : 0;

	json_decref(answer);
	return number >= MISSING_FIRST && number <= MISSING_LAST;
}

const char *
KafkaAnswerMessage(const char *body)
{
	json_t *answer = json_loads(body, 0, NULL);
	const char *message = json_string_value(member(answer, "message"));
	const char *words = KafkaCleanWords(message != NULL && message[0] != '\0' ? message : "without a message");

	json_decref(answer);
	return words;
}

const char *
KafkaCleanWords(const char *words)
{
	char text[MESSAGE_MAX_BYTES + 1];
	char *p;

	strlcpy(text, words, sizeof(text));
	for (p = text; *p != '\0'; p++)
	{
		if (*p < ' ' || *p > '~')
			*p = ' '; /* also half of a cut character, and what this server's encoding may not know */
	}
	return pstrdup(text);
}

int
KafkaAnswerCompatible(const char *body, const char **words)
{
	json_t *answer = json_loads(body, 0, NULL);
	json_t *verdict = member(answer, "is_compatible");
	json_t *messages = member(answer, "messages");
	const char *first = json_is_array(messages) ? json_string_value(json_array_get(messages, 0)) : NULL;
	int compatible = json_is_boolean(verdict) ? json_is_true(verdict) : -1;

	*words = KafkaCleanWords(first != NULL ? first : "it is not compatible with an earlier version");
	json_decref(answer);
	return compatible;
}

const char *
KafkaAnswerLevel(const char *body)
{
	json_t *answer = json_loads(body, 0, NULL);
	const char *level = json_string_value(member(answer, "compatibilityLevel"));

	if (level == NULL)
		level = json_string_value(member(answer, "compatibility"));
	if (level != NULL)
		level = KafkaCleanWords(level);
	json_decref(answer);
	return level;
}

int
KafkaAnswerVersions(const char *body, int *versions, int max)
{
	json_t *answer = json_loads(body, 0, NULL);
	int n = json_is_array(answer) ? 0 : -1;
	size_t size = json_is_array(answer) ? json_array_size(answer) : 0;

	for (size_t i = size > (size_t) max ? size - max : 0; i < size; i++)
		versions[n++] = (int) json_integer_value(json_array_get(answer, i));
	json_decref(answer);
	return n;
}
