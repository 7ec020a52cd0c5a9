/*-------------------------------------------------------------------------
 *
 * kafka_sink.h
 *	  What the files of the Kafka sink share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_KAFKA_SINK_H
#define OUTBOX_KAFKA_SINK_H

#include <librdkafka/rdkafka.h>
#include <signal.h>

#include "lib/stringinfo.h"
#include "utils/hsearch.h"

#include "sink/outbox_sink.h"

typedef enum KafkaHeaderMode
{
	KAFKA_HEADERS_CLOUDEVENTS,
	KAFKA_HEADERS_MINIMAL, /* ce_id, ce_type, content-type */
	KAFKA_HEADERS_NONE
} KafkaHeaderMode;

typedef enum KafkaSubjectStrategy
{
	KAFKA_SUBJECT_TOPIC_RECORD_NAME,
	KAFKA_SUBJECT_TOPIC_NAME,
	KAFKA_SUBJECT_RECORD_NAME
} KafkaSubjectStrategy;

/* The options that are ours; everything else is a property of librdkafka. */
typedef struct KafkaConfig
{
	const char *topic_prefix; /* in front of the name of every topic; never NULL */
	KafkaHeaderMode headers;
	KafkaSubjectStrategy subject;
	const char *source;        /* ce_source; NULL: from the database's name */
	const char *registry_url;  /* NULL: no registry, single-object encoding */
	const char *registry;      /* the same in canonical form, and a hash of the user: what ids belong to */
	const char *registry_auth; /* user:password, or NULL */
	const char *registry_ca;   /* file of trusted certificates, or NULL: the system's */
	bool auto_register;        /* else ids are only looked up */
	bool preflight;            /* enable() asks whether it would take the schemas */
	int check_interval_ms;     /* how often ids are read back; 0: once */
} KafkaConfig;

typedef int32_t (*KafkaPartitioner)(const rd_kafka_topic_t *rkt, const void *key, size_t keylen, int32_t count,
									void *topic_opaque, void *message_opaque);

/* What librdkafka gets of a message. */
typedef struct KafkaRecord
{
	void *value; /* NULL: a tombstone */
	size_t value_len;
	const void *key;
	size_t key_len;
	rd_kafka_headers_t *headers; /* NULL: none */
	void *opaque;
} KafkaRecord;

/* One that the sink has taken and librdkafka has not got yet; value and key follow. */
typedef struct KafkaHeld
{
	struct KafkaHeld *next;
	uint64 order;
	KafkaRecord record;
} KafkaHeld;

typedef struct KafkaPartition
{
	int under_way;        /* librdkafka has them and has not reported on them */
	int most;             /* the most that were, since there was none */
	TimestampTz acked_at; /* the broker's last acknowledgement, in this producer's life; 0: none */
	TimestampTz since;    /* the last report, or when the first message got under way */
	KafkaHeld *first;     /* what waits, in order */
	KafkaHeld *last;
} KafkaPartition;

typedef struct KafkaTopic
{
	struct KafkaTopic *next;
	const char *name;
	rd_kafka_t *rk; /* the producer whose handle it is */
	rd_kafka_topic_t *handle;
	struct KafkaShared *shared;
	bool careful; /* its messages go by themselves through the careful producer (kafka_careful.c) */
	bool leaving; /* not any more, as soon as nothing is under way */
	HTAB *keys;   /* of a careful topic: what is under way and what waits, by key */
	int count;    /* of its partitions; 0: not known yet */
	KafkaPartition *partitions;
	int npartitions;           /* length of the array, never less than count */
	KafkaPartition unassigned; /* while count is not known: all messages */
	int32 opening;             /* the partition of the first message, which was chosen by librdkafka; -1: none was */
	int under_way;
	uint64 held;
} KafkaTopic;

/*
 * How much may go into one batch; 0 = as configured.  A broker refuses a batch
 * as a whole, so after a refusal batches shrink until the guilty record is
 * alone (README.md, "A refused batch").
 */
typedef struct KafkaBatchLimits
{
	int messages;
	int bytes;
} KafkaBatchLimits;

/* "0x00, schema id" or "0xC3 0x01, fingerprint". */
#define KAFKA_FRAME_MAX 10

/*
 * Where and how events of one schema and topic go: made at the first such
 * message, so that per message only what varies is computed.
 */
typedef struct KafkaRoute
{
	struct KafkaRoute *next; /* same schema, another topic */
	const OutboxSchema *schema;
	const char *destination; /* the relay's name of the topic */
	const char *topic_name;  /* the broker's: with topic.prefix */
	KafkaTopic *topic;       /* NULL: no broker takes so long a name */
	const char *subject;     /* in the registry */
	int32 candidate;         /* an id that was remembered or assigned; 0: none */
	bool fresh;              /* the registry has just assigned it */
	int32 registered_id;     /* the id to use; 0: not known (yet) */
	bool failed;             /* the registry is in trouble and is asked for it again: it is in KafkaRegistry.failed */
	bool unchecked;          /* it could not be read back, and is used all the same */
	TimestampTz checked_at;  /* when it was read back, or tried to be */
	char *obstacle;          /* why there is no id: the registry's words, or what is wrong with it; palloc'd */
	TimestampTz asked_at;    /* an event waits for the registry's answer since then; 0: none does */
	const char *dataschema;  /* value of ce_dataschema */
	Size dataschema_len;
	char frame[KAFKA_FRAME_MAX];
	int frame_len; /* 0: not ready, the registry has to be asked */
} KafkaRoute;

typedef struct KafkaRouteEntry
{
	int32 schema_id; /* hash key */
	KafkaRoute *first;
} KafkaRouteEntry;

/* Reports not handed to the relay yet, oldest at head. */
typedef struct KafkaAckQueue
{
	OutboxAck *items;
	int head;
	int tail;
	int capacity;
} KafkaAckQueue;

typedef struct KafkaRegistry KafkaRegistry;

typedef struct KafkaSink
{
	OutboxSinkState *state;
	KafkaConfig config;
	const char *source;
	Size source_len;

	rd_kafka_t *rk;                  /* idempotent, several batches under way */
	rd_kafka_t *careful_rk;          /* neither; for topics that refused something. NULL: none was needed yet */
	rd_kafka_queue_t *queue;         /* librdkafka's main queue: reports, errors, log lines */
	rd_kafka_queue_t *careful_queue; /* the same of the other one */
	int event_fd;                    /* readable: the queue or the acks have something */
	int wait_fd;                     /* an epoll descriptor over event_fd and the registry's; what the relay waits on */

	HTAB *routes;
	KafkaRoute *last_route;
	KafkaRegistry *registry; /* NULL: none configured */
	TimestampTz checked_at;  /* when ids were last looked at */
	StringInfoData value;    /* frame + payload of the message at hand */

	KafkaAckQueue acks;
	MemoryContext report_context; /* texts of acks; reset when all are handed over */
	const char *last_text;        /* the newest of them */
	uint64 outstanding;           /* librdkafka has them and has not reported on them */
	bool unheard;                 /* the relay has not heard of a refused message yet: nothing behind it is taken */

	/* kafka_topic.c, kafka_held.c */
	KafkaTopic *topics;
	KafkaPartitioner partitioner;
	struct KafkaShared *shared;
	MemoryContext held_context;
	Size batch_bytes; /* how large a batch may be */
	uint64 held;      /* taken, and not given to librdkafka yet */
	uint64 taken;     /* counts what was ever held */
	int uncounted;    /* topics whose number of partitions is not known */
	bool release_all; /* something may be able to go that no report is going to ask for */
	TimestampTz now;
	TimestampTz looked_at; /* for partitions that were forgotten */

	/*
	 * Once a message failed, nothing more is taken: what comes after it in its
	 * partition must not overtake it.
	 */
	bool failed;
	bool doubted; /* an acknowledgement was only inferred: no more of them are believed */
	bool blamed;  /* failure names the message's error, not only librdkafka's verdict on itself */
	TimestampTz failed_at;
	char failure[512];

	char error[512]; /* librdkafka's last error, '' = none */
	TimestampTz error_at;
	TimestampTz probed_at;   /* when it was last tried whether that is over */
	TimestampTz progress_at; /* last report, or first message after a pause */
	char trouble[640];       /* what trouble_cb last returned */
} KafkaSink;

/* ---- kafka_config.c ---- */

/* Our options; raises for a bad one. The strings of *config point into options. */
extern void KafkaParseOptions(const OutboxSinkOption *options, int noptions, KafkaConfig *config);

/* librdkafka's configuration from our defaults and the rest of the options; raises for a bad one. The caller owns it. */
extern rd_kafka_conf_t *KafkaBuildConf(const OutboxSinkOption *options, int noptions, const KafkaBatchLimits *limits);

/* ---- kafka_properties.c ---- */

/* Raises when the option is no property of librdkafka, or one that must not have this value. */
extern void KafkaCheckProperty(const OutboxSinkOption *option);

/* Raises when the promises would not stand with the option; its value is NULL where it is in a file. */
extern void KafkaGuardProperty(const OutboxSinkOption *option);

/* ---- kafka_limits.c ---- */

extern bool KafkaCheckLimits(const OutboxSinkOption *option);

/* ---- kafka_producer.c ---- */

/* librdkafka and libcurl start threads that must not receive our signals. */
extern void KafkaBlockSignals(sigset_t *saved);
extern void KafkaRestoreSignals(const sigset_t *saved);

extern void KafkaProducerOpen(KafkaSink *sink);  /* raises; does not wait for the broker */
extern void KafkaProducerClose(KafkaSink *sink); /* never raises, bounded in time */

extern rd_kafka_t *KafkaCarefulProducer(KafkaSink *sink); /* opens it if need be; raises */

/* ---- kafka_careful.c ---- */

/* What was learned with other options is void. */
extern void KafkaCarefulBegin(const OutboxSinkOption *options, int noptions);

/* A batch for the topic was refused, or a record when it was alone: from the next attempt on its records go one by one. */
extern void KafkaBeCareful(const KafkaSink *sink, const KafkaTopic *topic, bool too_large, bool alone);
extern bool KafkaIsCareful(const char *topic);

/* Of a careful topic: a record was refused, or reported otherwise. */
extern void KafkaCarefulRefused(const char *topic);
extern void KafkaCarefulDone(const char *topic);
extern bool KafkaCarefulOver(const KafkaSink *sink, const char *topic);
extern void KafkaCarefulEnd(const char *topic);

/* Of each key of a careful topic one record is under way. `held`, `under_way`: one more or one less. */
extern void KafkaKeysOpen(KafkaSink *sink, KafkaTopic *topic);
extern void KafkaKeysClose(KafkaTopic *topic);
extern void KafkaKeyCount(KafkaTopic *topic, const void *key, Size len, int held, int under_way);
extern bool KafkaKeyIsUnderWay(const KafkaTopic *topic, const KafkaRecord *record);
extern bool KafkaKeyIsHeld(const KafkaTopic *topic, const KafkaRecord *record);

/* What refused batches taught this process about their size. */
extern const KafkaBatchLimits *KafkaCurrentLimits(void);

/* ---- kafka_topic.c ---- */

extern KafkaTopic *KafkaFindTopic(KafkaSink *sink, const char *name);
extern void KafkaForgetTopics(KafkaSink *sink);
extern void KafkaFreeShared(KafkaSink *sink);
extern KafkaPartitioner KafkaFindPartitioner(const char *name);
extern KafkaPartition *KafkaPartitionOf(KafkaTopic *topic, const KafkaRecord *record);
extern bool KafkaCountDiffers(const KafkaTopic *topic);
extern bool KafkaLearnCount(KafkaSink *sink, KafkaTopic *topic);
extern void KafkaLearnCounts(KafkaSink *sink);
extern void KafkaDistrustTopic(KafkaTopic *topic);
extern KafkaTopic *KafkaReported(KafkaSink *sink, const rd_kafka_message_t *report, KafkaPartition **partition);
extern void KafkaLeaveCareful(KafkaSink *sink, KafkaTopic *topic);
extern bool KafkaForgotten(const KafkaSink *sink);

/* ---- kafka_held.c ---- */

extern rd_kafka_resp_err_t KafkaOffer(KafkaSink *sink, KafkaTopic *topic, const KafkaRecord *record);
extern void KafkaRelease(KafkaSink *sink);
extern void KafkaGoOn(KafkaSink *sink, KafkaTopic *topic, KafkaPartition *partition);
extern void KafkaGiveBack(KafkaSink *sink, KafkaTopic *only, const KafkaRecord *behind, const char *reason);
extern void KafkaSpread(KafkaSink *sink, KafkaTopic *topic);
extern void KafkaDropFirst(KafkaSink *sink, KafkaTopic *topic, KafkaPartition *partition);

/* ---- kafka_error.c ---- */

typedef enum KafkaVerdict
{
	KAFKA_OK,
	KAFKA_RETRY,   /* another attempt may get over it */
	KAFKA_BEHIND,  /* RETRY, and not the reason of anything: thrown out, or behind a failed batch */
	KAFKA_REJECT,  /* the record, or another one of its batch */
	KAFKA_TOO_BIG, /* REJECT: the record, or the batch that it was in */
	KAFKA_BLOCKED  /* everything of its topic */
} KafkaVerdict;

typedef struct KafkaErrorRule
{
	int code;
	const char *name;
	KafkaVerdict verdict;
	const char *advice; /* appended to the broker's words; NULL: none */
} KafkaErrorRule;

/* The rule of a code; NULL: no rule was made for it, which means RETRY. */
extern KafkaVerdict KafkaJudge(rd_kafka_resp_err_t err);
extern void KafkaDescribe(char *reason, Size size, const char *topic, rd_kafka_resp_err_t err);

/* ---- kafka_acks.c ---- */

extern void *KafkaOpaque(OutboxPosition position);
extern void KafkaReserveAcks(KafkaSink *sink, int n);
extern void KafkaAddAck(KafkaSink *sink, const OutboxAck *ack);

/* A message that librdkafka does not get: never, or not at present. */
extern void KafkaBlock(KafkaSink *sink, const OutboxMessage *message, bool only_schema, const char *detail);

/* librdkafka did not take a record of a topic. */
extern void KafkaNotProduced(KafkaSink *sink, KafkaTopic *topic, const KafkaRecord *record, rd_kafka_resp_err_t err);

/* The relay shall hand a record over again. */
extern void KafkaReturn(KafkaSink *sink, void *opaque, const char *reason);

extern int KafkaTakeAcks(KafkaSink *sink, OutboxAck *acks, int max);
extern void KafkaSignalSelf(KafkaSink *sink);
extern OutboxPosition KafkaPositionOf(const KafkaSink *sink, const void *opaque);
extern const char *KafkaAckText(KafkaSink *sink, const char *text);

/* ---- kafka_report.c ---- */

/* Reads librdkafka's queue until it is empty or `enough` reports wait to be handed over. */
extern void KafkaServeEvents(KafkaSink *sink, int enough);
extern void KafkaServeCareful(KafkaSink *sink, int enough);
extern void KafkaPurgeQueue(KafkaSink *sink);
extern void KafkaFail(KafkaSink *sink, const char *reason);

/* ---- kafka_route.c ---- */

extern KafkaRoute *KafkaFindRoute(KafkaSink *sink, const OutboxMessage *message);
extern void KafkaForgetRoutes(KafkaSink *sink);

/* Reads back an id of the registry, when one is due. */
extern void KafkaCheckRoutes(KafkaSink *sink);

/* ---- kafka_record.c ---- */

extern bool KafkaTakeMessage(KafkaSink *sink, const OutboxMessage *message);

extern void KafkaPrepareFrame(KafkaRoute *route, bool with_registry);

/* ---- kafka_headers.c ---- */

/* ce_source when the option is not given: "/<database>" as a URI reference, in the current memory context. */
extern char *KafkaDefaultSource(const char *database);

/* The headers of a message, owned by the caller; NULL when the mode is none. */
extern rd_kafka_headers_t *KafkaBuildHeaders(KafkaSink *sink, const KafkaRoute *route, const OutboxMessage *message);

#endif /* OUTBOX_KAFKA_SINK_H */
