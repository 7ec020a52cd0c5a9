/*-------------------------------------------------------------------------
 *
 * kafka_properties.c
 *	  What each property of librdkafka may be set to in a sink, and why not.
 *
 * Every property is in one of the lists below: free, of consumers (accepted
 * by librdkafka, without effect here), limited to some values, or refused.  A
 * property that is in none of them is refused too: nobody has asked yet
 * whether the promises stand with it.  So a newer librdkafka cannot bring a
 * setting that breaks them.  test/t/095_kafka_properties.pl walks through the
 * properties of the library that is installed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "kafka_sink.h"

#define RUNS_CODE "It makes the server run a program or load a library."
#define KEEPS_ORDER "The order and completeness of events rest on its value."
#define KEEPS_REPORTS "Acknowledgements reach the relay through its value."
#define IS_ALWAYS_ALL "An event counts as published only when all in-sync replicas have it."
#define NEVER_GIVES_UP "Events are never given up: an outage only delays them."
#define NOT_FOR_SINKS "Events are acknowledged one by one, not in transactions."
#define IS_A_POINTER "Its value is a function or a structure of a program."
#define IS_A_MOCK "It makes events acknowledged that no broker has."

typedef struct RefusedProperty
{
	const char *name;
	const char *reason;
} RefusedProperty;

static const RefusedProperty refused[] = {
	{"plugin.library.paths", RUNS_CODE},
	{"sasl.kerberos.kinit.cmd", RUNS_CODE},
	{"ssl.engine.location", RUNS_CODE},
	{"ssl.engine.id", RUNS_CODE},
	{"ssl.providers", RUNS_CODE},
	{"interceptors", RUNS_CODE},
	{"enable.idempotence", KEEPS_ORDER},
	{"enable.gapless.guarantee", KEEPS_ORDER},
	{"queuing.strategy", KEEPS_ORDER},
	{"msg_order_cmp", KEEPS_ORDER},
	{"partitioner_cb", KEEPS_ORDER},
	{"acks", IS_ALWAYS_ALL},
	{"request.required.acks", IS_ALWAYS_ALL},
	{"message.timeout.ms", NEVER_GIVES_UP},
	{"delivery.timeout.ms", NEVER_GIVES_UP},
	{"retries", NEVER_GIVES_UP},
	{"message.send.max.retries", NEVER_GIVES_UP},
	{"transactional.id", NOT_FOR_SINKS},
	{"transaction.timeout.ms", NOT_FOR_SINKS},
	{"log.queue", KEEPS_REPORTS},
	{"delivery.report.only.error", KEEPS_REPORTS},
	{"enabled_events", KEEPS_REPORTS},
	{"default_topic_conf", KEEPS_REPORTS},
	{"dr_cb", KEEPS_REPORTS},
	{"dr_msg_cb", KEEPS_REPORTS},
	{"opaque", KEEPS_REPORTS},
	{"background_event_cb", IS_A_POINTER},
	{"closesocket_cb", IS_A_POINTER},
	{"connect_cb", IS_A_POINTER},
	{"consume_cb", IS_A_POINTER},
	{"enable_sasl_queue", IS_A_POINTER},
	{"error_cb", IS_A_POINTER},
	{"log_cb", IS_A_POINTER},
	{"oauthbearer_token_refresh_cb", IS_A_POINTER},
	{"offset_commit_cb", IS_A_POINTER},
	{"open_cb", IS_A_POINTER},
	{"rebalance_cb", IS_A_POINTER},
	{"resolve_cb", IS_A_POINTER},
	{"socket_cb", IS_A_POINTER},
	{"ssl.certificate.verify_cb", IS_A_POINTER},
	{"ssl_ca", IS_A_POINTER},
	{"ssl_certificate", IS_A_POINTER},
	{"ssl_engine_callback_data", IS_A_POINTER},
	{"ssl_key", IS_A_POINTER},
	{"stats_cb", IS_A_POINTER},
	{"throttle_cb", IS_A_POINTER},
	{"test.mock.num.brokers", IS_A_MOCK},
	{"test.mock.broker.rtt", IS_A_MOCK},
	{"api.version.request", "Headers and idempotence need what the broker says about its protocol."},
	{"api.version.fallback.ms", "Headers and idempotence need what the broker says about its protocol."},
	{"broker.version.fallback", "Headers and idempotence need what the broker says about its protocol."},
	{"topic.blacklist", "Events of a topic that the sink does not see would wait for ever."},
	{"internal.termination.signal", "Signals end or disturb the relay's process, and with it the server."},
};

/* What librdkafka accepts in a producer without using it. */
static const char *const of_consumers[] = {
	"allow.auto.create.topics",
	"auto.commit.enable",
	"auto.commit.interval.ms",
	"auto.offset.reset",
	"check.crcs",
	"client.rack",
	"consume.callback.max.messages",
	"coordinator.query.interval.ms",
	"enable.auto.commit",
	"enable.auto.offset.store",
	"enable.partition.eof",
	"fetch.error.backoff.ms",
	"fetch.max.bytes",
	"fetch.message.max.bytes",
	"fetch.min.bytes",
	"fetch.queue.backoff.ms",
	"fetch.wait.max.ms",
	"group.id",
	"group.instance.id",
	"group.protocol",
	"group.protocol.type",
	"group.remote.assignor",
	"heartbeat.interval.ms",
	"isolation.level",
	"max.partition.fetch.bytes",
	"max.poll.interval.ms",
	"max.poll.records",
	"offset.store.method",
	"offset.store.path",
	"offset.store.sync.interval.ms",
	"partition.assignment.strategy",
	"queued.max.messages.kbytes",
	"queued.min.messages",
	"session.timeout.ms",
	"share.acknowledgement.mode",
};

/* Where the broker is, how it is reached, how much goes into a request: nothing that a promise rests on. */
static const char *const unlimited[] = {
	"api.version.request.timeout.ms",
	"batch.num.messages",
	"batch.size",
	"bootstrap.servers",
	"broker.address.family",
	"broker.address.ttl",
	"builtin.features",
	"client.dns.lookup",
	"client.id",
	"client.software.name",
	"client.software.version",
	"compression.codec",
	"compression.level",
	"compression.type",
	"connections.max.idle.ms",
	"debug",
	"enable.metrics.push",
	"enable.random.seed",
	"enable.sasl.oauthbearer.unsecure.jwt",
	"enable.sparse.connections",
	"enable.ssl.certificate.verification",
	"https.ca.location",
	"https.ca.pem",
	"linger.ms",
	"log.connection.close",
	"log.thread.name",
	"log_level",
	"message.copy.max.bytes",
	"message.max.bytes",
	"metadata.broker.list",
	"metadata.max.age.ms",
	"metadata.recovery.rebootstrap.trigger.ms",
	"metadata.recovery.strategy",
	"metadata.request.timeout.ms",
	"produce.offset.report",
	"queue.buffering.backpressure.threshold",
	"queue.buffering.max.kbytes",
	"queue.buffering.max.messages",
	"queue.buffering.max.ms",
	"receive.message.max.bytes",
	"reconnect.backoff.jitter.ms",
	"reconnect.backoff.max.ms",
	"reconnect.backoff.ms",
	"request.timeout.ms",
	"retry.backoff.max.ms",
	"retry.backoff.ms",
	"sasl.kerberos.keytab",
	"sasl.kerberos.min.time.before.relogin",
	"sasl.kerberos.principal",
	"sasl.kerberos.service.name",
	"sasl.mechanism",
	"sasl.mechanisms",
	"sasl.oauthbearer.assertion.algorithm",
	"sasl.oauthbearer.assertion.claim.aud",
	"sasl.oauthbearer.assertion.claim.exp.seconds",
	"sasl.oauthbearer.assertion.claim.iss",
	"sasl.oauthbearer.assertion.claim.jti.include",
	"sasl.oauthbearer.assertion.claim.nbf.seconds",
	"sasl.oauthbearer.assertion.claim.sub",
	"sasl.oauthbearer.assertion.file",
	"sasl.oauthbearer.assertion.jwt.template.file",
	"sasl.oauthbearer.assertion.private.key.file",
	"sasl.oauthbearer.assertion.private.key.passphrase",
	"sasl.oauthbearer.assertion.private.key.pem",
	"sasl.oauthbearer.client.credentials.client.id",
	"sasl.oauthbearer.client.credentials.client.secret",
	"sasl.oauthbearer.client.id",
	"sasl.oauthbearer.client.secret",
	"sasl.oauthbearer.config",
	"sasl.oauthbearer.extensions",
	"sasl.oauthbearer.grant.type",
	"sasl.oauthbearer.metadata.authentication.type",
	"sasl.oauthbearer.method",
	"sasl.oauthbearer.scope",
	"sasl.oauthbearer.sub.claim.name",
	"sasl.oauthbearer.token.endpoint.url",
	"sasl.password",
	"sasl.username",
	"security.protocol",
	"socket.blocking.max.ms",
	"socket.connection.setup.timeout.ms",
	"socket.keepalive.enable",
	"socket.nagle.disable",
	"socket.receive.buffer.bytes",
	"socket.send.buffer.bytes",
	"socket.timeout.ms",
	"ssl.ca.certificate.stores",
	"ssl.ca.location",
	"ssl.ca.pem",
	"ssl.certificate.location",
	"ssl.certificate.pem",
	"ssl.cipher.suites",
	"ssl.crl.location",
	"ssl.curves.list",
	"ssl.endpoint.identification.algorithm",
	"ssl.key.location",
	"ssl.key.password",
	"ssl.key.pem",
	"ssl.keystore.location",
	"ssl.keystore.password",
	"ssl.sigalgs.list",
	"statistics.interval.ms",
	"sticky.partitioning.linger.ms", /* of messages without key, which no event is */
	"topic.metadata.propagation.max.ms",
	"topic.metadata.refresh.fast.cnt",
	"topic.metadata.refresh.fast.interval.ms",
	"topic.metadata.refresh.sparse",
};

static bool among(const char *name, const char *const *names, int n);
static const RefusedProperty *find_refused(const char *name);
static void refuse(const RefusedProperty *property);
static void refuse_unknown(const char *name);

void
KafkaCheckProperty(const OutboxSinkOption *option)
{
	const RefusedProperty *property = find_refused(option->name);

	if (property != NULL)
		refuse(property);
	if (!KafkaCheckLimits(option) &&
		!among(option->name, unlimited, lengthof(unlimited)) &&
		!among(option->name, of_consumers, lengthof(of_consumers)))
		refuse_unknown(option->name);
}

void
KafkaGuardProperty(const OutboxSinkOption *option)
{
	const RefusedProperty *property = find_refused(option->name);

	/* librdkafka does not take a string for a pointer, so that is a mistake and no danger */
	if (property != NULL && strcmp(property->reason, IS_A_POINTER) != 0)
		refuse(property);
	if (option->value != NULL)
		(void) KafkaCheckLimits(option);
}

static const RefusedProperty *
find_refused(const char *name)
{
	int i;

	for (i = 0; i < lengthof(refused); i++)
	{
		if (strcmp(name, refused[i].name) == 0)
			return &refused[i];
	}
	return NULL;
}

static void
refuse(const RefusedProperty *property)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"%s\" cannot be set for a Kafka sink", property->name),
			 errdetail("%s", property->reason),
			 errhint("Leave it out.")));
}

static bool
among(const char *name, const char *const *names, int n)
{
	int i;

	for (i = 0; i < n; i++)
	{
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

/* Is it a mistyped name, or a property that is newer than this list? */
static void
refuse_unknown(const char *name)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	size_t size = 0;
	bool known = rd_kafka_conf_get(conf, name, NULL, &size) != RD_KAFKA_CONF_UNKNOWN;

	rd_kafka_conf_destroy(conf);
	if (known)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" cannot be set for a Kafka sink", name),
				 errdetail("This version of the sink does not know whether order and completeness of events stand with it."),
				 errhint("Leave it out.")));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown option \"%s\" of a Kafka sink", name),
			 errdetail("It is neither an option of the sink nor a property of librdkafka."),
			 errhint("See the list of properties in librdkafka's CONFIGURATION.md.")));
}
