/*-------------------------------------------------------------------------
 *
 * kafka_limits.c
 *	  Properties of librdkafka that keep the promises with some values only.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "kafka_sink.h"

/* Values that keep the promises: a list of words, or the bounds of a number. */
typedef struct LimitedProperty
{
	const char *name;
	const char *words; /* separated by commas; NULL: a number */
	int64 min;
	int64 max;
	const char *reason;
} LimitedProperty;

static const LimitedProperty limited[] = {
	/* consistent_random sends empty keys anywhere, random all of them */
	{"partitioner", "murmur2_random,murmur2,consistent,fnv1a,fnv1a_random", 0, 0,
	 "The order of a key's events rests on its going to one partition."},
	{"max.in.flight", NULL, 1, 5, "A broker tells repeated batches of at most 5 requests of a producer."},
	{"max.in.flight.requests.per.connection", NULL, 1, 5, "A broker tells repeated batches of at most 5 requests of a producer."},
	{"socket.max.fails", NULL, 1, 1000000, "After a request without answer the connection has to be given up."},
	{"topic.metadata.refresh.interval.ms", NULL, 1, 3600000, "The sink would not learn of new partitions."},
};

static void check_word(const OutboxSinkOption *option, const LimitedProperty *property);
static void check_number(const OutboxSinkOption *option, const LimitedProperty *property);
static bool is_word_of(const char *value, const char *words);

/* Raises for a value with which a promise would break. False: the property's values are not limited. */
bool
KafkaCheckLimits(const OutboxSinkOption *option)
{
	int i;

	for (i = 0; i < lengthof(limited); i++)
	{
		if (strcmp(option->name, limited[i].name) != 0)
			continue;
		if (limited[i].words != NULL)
			check_word(option, &limited[i]);
		else
			check_number(option, &limited[i]);
		return true;
	}
	return false;
}

/* Neither of the two shows the value: it may come from a file. */
static void
check_word(const OutboxSinkOption *option, const LimitedProperty *property)
{
	if (!is_word_of(option->value, property->words))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value of sink option \"%s\"", option->name),
				 errdetail("%s", property->reason),
				 errhint("Give one of %s, or leave it out.", property->words)));
}

static void
check_number(const OutboxSinkOption *option, const LimitedProperty *property)
{
	char *end;
	int64 number = strtoi64(option->value, &end, 10);

	if (end == option->value || *end != '\0' || number < property->min || number > property->max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value of sink option \"%s\"", option->name),
				 errdetail("%s", property->reason),
				 errhint("Give a number from %lld to %lld, or leave it out.",
						 (long long) property->min, (long long) property->max)));
}

static bool
is_word_of(const char *value, const char *words)
{
	Size len = strlen(value);
	const char *word = words;

	while (word != NULL)
	{
		if (strncmp(word, value, len) == 0 && (word[len] == ',' || word[len] == '\0') && len > 0)
			return true;
		word = strchr(word, ',');
		if (word != NULL)
			word++;
	}
	return false;
}
