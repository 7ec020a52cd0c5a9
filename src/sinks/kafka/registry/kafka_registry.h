/*-------------------------------------------------------------------------
 *
 * kafka_registry.h
 *	  What the Kafka sink knows of its schema registry.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_KAFKA_REGISTRY_H
#define OUTBOX_KAFKA_REGISTRY_H

#include "sinks/kafka/kafka_sink.h"

/* ---- kafka_subject.c ---- */

extern char *KafkaSubjectName(KafkaSubjectStrategy strategy, const char *topic_name, const char *full_name);
extern char *KafkaRegistryBody(const OutboxSchema *schema);
extern bool KafkaParseSubjectStrategy(const char *name, KafkaSubjectStrategy *strategy);
extern const char *KafkaSubjectOf(const OutboxSinkOption *options, int noptions, const char *topic, const char *full_name);

/* ---- kafka_registry.c ---- */

/* Others do not wait longer than this for a registry that does not answer. */
#define KAFKA_REGISTRY_PATIENCE_MS 1000

extern KafkaRegistry *KafkaRegistryCreate(const OutboxSinkState *state, const KafkaConfig *config); /* raises */
extern int KafkaRegistryDescriptor(const KafkaRegistry *registry);                                  /* readable: serve it */

/* Of a new route: its subject, and the id that is remembered for it. */
extern void KafkaRegistryRecall(KafkaRegistry *registry, KafkaRoute *route);

/*
 * Makes progress on the route's registration without waiting.  True when there
 * is an answer: route->registered_id or route->obstacle is set.
 */
extern bool KafkaRegistryResolve(KafkaRegistry *registry, KafkaRoute *route);
extern bool KafkaRegistryServe(KafkaRegistry *registry); /* true: there was an answer */

extern void KafkaRegistryGaveUp(KafkaRegistry *registry, KafkaRoute *route);

/* True once, when it is of use again after an event could not get its id. While it is not, it is asked every second. */
extern bool KafkaRegistryRevived(KafkaRegistry *registry);

/* Reads the id of the route back when that is due. True: a request was started. */
extern bool KafkaRegistryCheck(KafkaRegistry *registry, KafkaRoute *route);

/* A registration that was not reported yet, for the ack; false: none. */
extern bool KafkaRegistryNews(KafkaRegistry *registry, OutboxAck *ack);
extern void KafkaRegistryDestroy(KafkaRegistry *registry); /* never raises */

/* ---- kafka_confirmed.c ---- */

/* Of this registry from now on; what was confirmed at another, or before ids were forgotten, is void. */
extern void KafkaConfirmedBegin(const char *registry, int64 forgotten);

/* 0: none; else *at is when. */
extern int32 KafkaConfirmedId(int32 schema_id, const char *subject, TimestampTz *at);
extern void KafkaConfirm(int32 schema_id, const char *subject, int32 id, TimestampTz at);
extern void KafkaUnconfirm(int32 schema_id, const char *subject);

/* ---- kafka_inspect.c ---- */

extern void KafkaInspectRegistry(const OutboxRegistryCall *call); /* registry_cb */

#endif /* OUTBOX_KAFKA_REGISTRY_H */
