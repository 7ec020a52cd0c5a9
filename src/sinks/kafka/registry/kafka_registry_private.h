/*-------------------------------------------------------------------------
 *
 * kafka_registry_private.h
 *	  The state of a registry, and what its files call of each other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_KAFKA_REGISTRY_PRIVATE_H
#define OUTBOX_KAFKA_REGISTRY_PRIVATE_H

#include "nodes/pg_list.h"

#include "sinks/kafka/registry/kafka_http.h"
#include "sinks/kafka/registry/kafka_registry.h"

typedef enum KafkaQuestion
{
	ASK_FOR_ID,    /* registers, or looks up */
	ASK_FOR_SCHEMA /* reads route->candidate back */
} KafkaQuestion;

typedef struct KafkaNews
{
	struct KafkaNews *next;
	int32 schema_id;
	OutboxRegistration registration;
} KafkaNews;

struct KafkaRegistry
{
	MemoryContext context;
	MemoryContext scratch; /* of one request or answer */
	const KafkaConfig *config;
	const OutboxSinkState *state;
	KafkaHttp *http;
	KafkaQuestion question; /* of the running request */
	KafkaRoute *route;      /* what it is about */
	TimestampTz asked_at;   /* when it began */
	TimestampTz silent_at;  /* the last one that brought no answer; 0: there was one since */
	List *failed;           /* of KafkaRoute, that got no id because of trouble that may end; asked for in turn */
	bool of_use;            /* the answer at hand is: an id, a schema, or a refusal in so many words */
	bool revived;           /* one of them was answered, and nobody has heard of it */
	KafkaNews *news;        /* not reported yet */
};

/* ---- kafka_obstacle.c ---- */

extern void KafkaNoteRefusal(KafkaRegistry *registry, const KafkaHttpAnswer *answer);
extern void KafkaNoteMissing(KafkaRegistry *registry);
extern void KafkaNoteTrouble(KafkaRegistry *registry, const char *reason);
extern void KafkaSetObstacle(KafkaRegistry *registry, const char *text);

#endif /* OUTBOX_KAFKA_REGISTRY_PRIVATE_H */
