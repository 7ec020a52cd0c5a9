/*-------------------------------------------------------------------------
 *
 * kafka_config.c
 *	  Options of a Kafka sink: ours, librdkafka's, and the refused ones.
 *
 * A few names are ours; every other option is a property of librdkafka, whose
 * value is checked by it.  Which properties may be set at all is decided in
 * kafka_properties.c.
 *
 * Used by a backend too (create_sink): nothing here starts a thread.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "utils/builtins.h"

#include "common/hashfn.h"
#include "compat.h"

#include "kafka_sink.h"
#include "sinks/kafka/registry/kafka_registry.h"
#include "sinks/topic_prefix.h"

typedef struct KafkaProperty
{
	const char *name;
	const char *value;
} KafkaProperty;

/*
 * What a user need not know; each may be overridden.  linger.ms: batches form
 * by themselves while a backlog is drained, because messages arrive faster
 * than requests leave; a single event should not wait.
 */
static const KafkaProperty defaults[] = {
	{"client.id", "outbox_ext"},
	{"partitioner", "murmur2_random"}, /* Java's: consumers that join topics must find equal keys in equal partitions */
	{"linger.ms", "0"},
	{"compression.codec", "lz4"},
	{"message.max.bytes", "1048576"}, /* outbox.max_message_bytes + frame + headers */
	{"socket.nagle.disable", "true"},
	{"reconnect.backoff.max.ms", "500"}, /* how late it is noticed that a broker is back, times 1.5 */
	{"log.connection.close", "false"},   /* brokers close idle connections */
	{"queue.buffering.max.messages", "30000"},
	{"queue.buffering.max.kbytes", "65536"},
	{"topic.metadata.refresh.fast.interval.ms", "100"},
	{"topic.metadata.propagation.max.ms", "10000"}, /* how long a missing topic may just not have been heard of */
};

/* What the promises rest on; see kafka_properties.c. */
static const KafkaProperty fixed[] = {
	{"enable.idempotence", "true"},
	{"enable.gapless.guarantee", "true"},
	{"acks", "all"},
	{"message.timeout.ms", "0"},
	{"queuing.strategy", "fifo"},
	{"log.queue", "true"},
	{"delivery.report.only.error", "false"},
};

/* How often ids of the registry are read back: a registry may be set up anew at any time. */
#define CHECK_INTERVAL_MS 60000

/*
 * librdkafka may put these into the command line of kinit, which it gives to a
 * shell: who may create a sink must not become the server's user by it. Its
 * template takes any property by name, %{sasl.kerberos.principal}, and the
 * broker's host name; the template itself, sasl.kerberos.kinit.cmd, is refused,
 * and the one that is built in names these.
 */
static const char *const shell_words[] = {"sasl.kerberos.principal", "sasl.kerberos.keytab", "sasl.kerberos.service.name"};

/* Longest value of ours that goes into headers. */
#define HEADER_MAX_BYTES 256

#define SHELL_SAFE "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/@"

static bool is_ours(const char *name);
static void check_shell_word(const OutboxSinkOption *option);
static void parse_ours(const OutboxSinkOption *option, KafkaConfig *config);
static void check_header(const OutboxSinkOption *option);
static void check_url(const char *url);
static char *trim_slashes(const char *url);
static char *canonical_url(const char *url);
static char *registry_of_user(const char *registry, const char *auth);
static bool parse_switch(const OutboxSinkOption *option);
static int parse_interval(const OutboxSinkOption *option);
OUTBOX_NORETURN static void bad_value(const OutboxSinkOption *option, const char *hint);
static void set_property(rd_kafka_conf_t *conf, const char *name, const char *value);
static void limit_property(rd_kafka_conf_t *conf, const char *name, int limit);

void
KafkaParseOptions(const OutboxSinkOption *options, int noptions, KafkaConfig *config)
{
	bool has_servers = false;
	int i;

	*config = (KafkaConfig){
		.topic_prefix = "",
		.headers = KAFKA_HEADERS_CLOUDEVENTS,
		.subject = KAFKA_SUBJECT_TOPIC_RECORD_NAME,
		.auto_register = true,
		.preflight = true,
		.check_interval_ms = CHECK_INTERVAL_MS};
	for (i = 0; i < noptions; i++)
	{
		const char *name = options[i].name;

		if (is_ours(name))
			parse_ours(&options[i], config);
		else
			KafkaCheckProperty(&options[i]);
		check_shell_word(&options[i]);
		if ((strcmp(name, "bootstrap.servers") == 0 || strcmp(name, "metadata.broker.list") == 0) &&
			options[i].value[0] != '\0')
			has_servers = true;
	}

	if (!has_servers)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"bootstrap.servers\" of a Kafka sink is missing"),
				 errhint("Add \"bootstrap.servers\": \"host:port\" to the options.")));
	if (config->registry_url == NULL && (config->registry_auth != NULL || config->registry_ca != NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"schema.registry.url\" of a Kafka sink is missing"),
				 errdetail("Another option says how to reach the registry."),
				 errhint("Add \"schema.registry.url\": \"https://host:port\", or leave the other one out.")));
	if (config->registry_auth != NULL)
		config->registry = registry_of_user(config->registry, config->registry_auth);
}

/*
 * One address may serve many users with a registry each, so who asks is a part
 * of what an id belongs to.  The name may be a secret: its hash is shown.
 */
static char *
registry_of_user(const char *registry, const char *auth)
{
	return psprintf("%s (user %08x)", registry, hash_bytes((const unsigned char *) auth, (int) strcspn(auth, ":")));
}

rd_kafka_conf_t *
KafkaBuildConf(const OutboxSinkOption *options, int noptions, const KafkaBatchLimits *limits)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	int i;

	for (i = 0; i < lengthof(defaults); i++)
		set_property(conf, defaults[i].name, defaults[i].value);
	for (i = 0; i < noptions; i++)
	{
		if (!is_ours(options[i].name))
			set_property(conf, options[i].name, options[i].value);
	}
	for (i = 0; i < lengthof(fixed); i++)
		set_property(conf, fixed[i].name, fixed[i].value);

	limit_property(conf, "batch.num.messages", limits->messages);
	limit_property(conf, "batch.size", limits->bytes);
	return conf;
}

static bool
is_ours(const char *name)
{
	return strncmp(name, "schema.registry.", strlen("schema.registry.")) == 0 ||
		strcmp(name, TOPIC_PREFIX_OPTION) == 0 ||
		strcmp(name, "subject.strategy") == 0 ||
		strcmp(name, "headers") == 0 ||
		strcmp(name, "source") == 0;
}

static void
check_shell_word(const OutboxSinkOption *option)
{
	int i;

	for (i = 0; i < lengthof(shell_words); i++)
	{
		if (strcmp(option->name, shell_words[i]) == 0 &&
			(strspn(option->value, SHELL_SAFE) != strlen(option->value) || option->value[0] == '-'))
			bad_value(option, "Give a value of letters, digits and the characters . _ - / @ only.");
	}
}

static void
parse_ours(const OutboxSinkOption *option, KafkaConfig *config)
{
	const char *name = option->name;
	const char *value = option->value;

	if (strcmp(name, "headers") == 0)
	{
		if (strcmp(value, "cloudevents") == 0)
			config->headers = KAFKA_HEADERS_CLOUDEVENTS;
		else if (strcmp(value, "minimal") == 0)
			config->headers = KAFKA_HEADERS_MINIMAL;
		else if (strcmp(value, "none") == 0)
			config->headers = KAFKA_HEADERS_NONE;
		else
			bad_value(option, "Give cloudevents, minimal or none.");
	}
	else if (strcmp(name, "subject.strategy") == 0)
	{
		if (!KafkaParseSubjectStrategy(value, &config->subject))
			bad_value(option, "Give TopicRecordName, TopicName or RecordName.");
	}
	else if (strcmp(name, TOPIC_PREFIX_OPTION) == 0)
	{
		CheckTopicPrefix(value);
		config->topic_prefix = value;
	}
	else if (strcmp(name, "source") == 0)
	{
		check_header(option);
		if (value[0] == '\0' || strpbrk(value, " \t\r\n") != NULL)
			bad_value(option, "Give a URI reference such as /orders or https://shop.example.com/db.");
		config->source = value;
	}
	else if (strcmp(name, "schema.registry.url") == 0)
	{
		check_header(option);
		check_url(value);
		config->registry_url = trim_slashes(value);
		config->registry = canonical_url(config->registry_url);
	}
	else if (strcmp(name, "schema.registry.basic.auth") == 0)
	{
		if (strchr(value, ':') == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid value of sink option \"%s\"", name),
					 errhint("Give user:password, or {\"file\": \"/path\"} with this content.")));
		config->registry_auth = value;
	}
	else if (strcmp(name, "schema.registry.ssl.ca.location") == 0)
		config->registry_ca = value;
	else if (strcmp(name, "schema.registry.auto.register") == 0)
		config->auto_register = parse_switch(option);
	else if (strcmp(name, "schema.registry.preflight") == 0)
		config->preflight = parse_switch(option);
	else if (strcmp(name, "schema.registry.check.interval.ms") == 0)
		config->check_interval_ms = parse_interval(option);
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown option \"%s\" of a Kafka sink", name),
				 errhint("The options for the registry are schema.registry.url, schema.registry.basic.auth, schema.registry.ssl.ca.location, schema.registry.auto.register, schema.registry.preflight and schema.registry.check.interval.ms.")));
}

/* What is in a header of every message: outbox.max_message_bytes has room for so much of it. */
static void
check_header(const OutboxSinkOption *option)
{
	if (strlen(option->value) > HEADER_MAX_BYTES)
		bad_value(option, "Give at most 256 bytes: the value is in a header of every message.");
}

/* The URL appears in the headers of every event, so it must not hold a password. */
static void
check_url(const char *url)
{
	const char *host = NULL;
	Size host_len;

	if (strncmp(url, "http://", strlen("http://")) == 0)
		host = url + strlen("http://");
	else if (strncmp(url, "https://", strlen("https://")) == 0)
		host = url + strlen("https://");
	host_len = host ? strcspn(host, "/") : 0;
	if (host_len == 0 || strpbrk(url, " \t\r\n?#") != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value of sink option \"%s\"", "schema.registry.url"),
				 errhint("Give http://host:port or https://host:port, with a path where the registry has one.")));
	if (memchr(host, '@', host_len) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("sink option \"%s\" contains a user name or password", "schema.registry.url"),
				 errdetail("The URL is published in the headers of events."),
				 errhint("Use the option \"schema.registry.basic.auth\": \"user:password\".")));
}

static char *
trim_slashes(const char *url)
{
	Size len = strlen(url);

	while (len > 0 && url[len - 1] == '/')
		len--;
	return pnstrdup(url, len);
}

/* Scheme and host in lower case, without the port that the scheme means anyway: two spellings of one registry. */
static char *
canonical_url(const char *url)
{
	char *canonical = pstrdup(url);
	char *host = strstr(canonical, "://") + strlen("://");
	char *host_end = host + strcspn(host, "/");
	const char *port;
	char *c;

	for (c = canonical; c < host_end; c++)
		*c = pg_ascii_tolower((unsigned char) *c);
	port = strncmp(canonical, "https:", strlen("https:")) == 0 ? ":443" : ":80";
	if (host_end - host > strlen(port) && strncmp(host_end - strlen(port), port, strlen(port)) == 0)
		memmove(host_end - strlen(port), host_end, strlen(host_end) + 1);
	return canonical;
}

static bool
parse_switch(const OutboxSinkOption *option)
{
	bool on;

	if (!parse_bool(option->value, &on))
		bad_value(option, "Give true or false.");
	return on;
}

static int
parse_interval(const OutboxSinkOption *option)
{
	char *end;
	long value = strtol(option->value, &end, 10);

	if (end == option->value || *end != '\0' || value < 0 || value > INT_MAX)
		bad_value(option, "Give a number of milliseconds, 0 for never.");
	return (int) value;
}

/* Does not show the value: it may come from a file. */
static void
bad_value(const OutboxSinkOption *option, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value of sink option \"%s\"", option->name),
			 errhint("%s", hint)));
}

/* Frees conf before it raises: it is not memory of ours. */
static void
set_property(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char reason[512];
	rd_kafka_conf_res_t result;

	result = rd_kafka_conf_set(conf, name, value, reason, sizeof(reason));
	if (result == RD_KAFKA_CONF_OK)
		return;

	rd_kafka_conf_destroy(conf);
	if (result == RD_KAFKA_CONF_UNKNOWN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown option \"%s\" of a Kafka sink", name),
				 errdetail("It is neither an option of the sink nor a property of librdkafka."),
				 errhint("See the list of properties in librdkafka's CONFIGURATION.md.")));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value of sink option \"%s\"", name),
			 strstr(reason, value) == NULL ? errdetail("librdkafka says: %s.", reason) : 0, /* it may be a secret */
			 errhint("See the property's range in librdkafka's CONFIGURATION.md.")));
}

/* Lowers a numeric property to the limit, where there is one. */
static void
limit_property(rd_kafka_conf_t *conf, const char *name, int limit)
{
	char value[32];
	size_t size = sizeof(value);

	if (limit <= 0 ||
		rd_kafka_conf_get(conf, name, value, &size) != RD_KAFKA_CONF_OK ||
		atoi(value) <= limit)
		return;
	snprintf(value, sizeof(value), "%d", limit);
	set_property(conf, name, value);
}
