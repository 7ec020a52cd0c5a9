/*-------------------------------------------------------------------------
 *
 * kafka_session.h
 *	  A registry asked in a session, one question after the other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_KAFKA_SESSION_H
#define OUTBOX_KAFKA_SESSION_H

#include "sinks/kafka/registry/kafka_http.h"
#include "sinks/kafka/registry/kafka_registry.h"

/* ---- kafka_session.c ---- */

typedef struct KafkaSession
{
	MemoryContext context;
	const OutboxRegistryCall *call;
	KafkaConfig config;
	KafkaHttp *http;
	bool given_up; /* no answer of use came: nothing more is asked */
} KafkaSession;

typedef enum KafkaMethod
{
	KAFKA_GET,
	KAFKA_POST,
	KAFKA_PUT
} KafkaMethod;

extern void KafkaSessionOpen(KafkaSession *session, const OutboxRegistryCall *call);
extern void KafkaSessionClose(KafkaSession *session);
extern KafkaHttpAnswer KafkaSessionAsk(KafkaSession *session, KafkaMethod method, const char *path, const char *body);
extern const char *KafkaSessionPath(const char *before, const char *subject, const char *behind);
extern KafkaHttpAnswer KafkaSessionLookUp(KafkaSession *session, const OutboxRegistryItem *item, const char *subject);
extern const char *KafkaSessionSubject(const KafkaSession *session, const OutboxRegistryItem *item);
extern void KafkaSessionReport(const KafkaSession *session, const OutboxRegistryFinding *finding);
extern void KafkaSessionGiveUp(KafkaSession *session, const KafkaHttpAnswer *answer);

/* ---- kafka_resolve.c ---- */

extern const char *KafkaResolveHosts(KafkaHttp *http, const char *url);

/* ---- kafka_compare.c ---- */

extern void KafkaCompareItem(KafkaSession *session, int item);
extern bool KafkaLevelIsWeaker(const char *level, const char *than);

/* Is it the first of the current ones that have its subject? */
extern bool KafkaIsFirstOfSubject(const KafkaSession *session, int item);

#endif /* OUTBOX_KAFKA_SESSION_H */
