/*-------------------------------------------------------------------------
 *
 * kafka_obstacle.c
 *	  Why the registry gave no id, in words for the event that waits for it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "sinks/kafka/registry/kafka_answer.h"
#include "sinks/kafka/registry/kafka_registry_private.h"

void
KafkaNoteRefusal(KafkaRegistry *registry, const KafkaHttpAnswer *answer)
{
	const KafkaRoute *route = registry->route;

	KafkaSetObstacle(registry, psprintf("the schema registry refuses %s under subject \"%s\" (HTTP status %ld): %s", route->schema->full_name, route->subject, answer->status, KafkaAnswerMessage(answer->body)));
}

/* With auto.register = false. */
void
KafkaNoteMissing(KafkaRegistry *registry)
{
	const KafkaRoute *route = registry->route;

	KafkaSetObstacle(registry,
					 psprintf("the schema of %s is not registered under subject \"%s\" at %s, and schema.registry.auto.register is false. "
							  "HINT: Register what outbox.avro_schema() returns for the event type, or set the option to true",
							  route->schema->full_name, route->subject, registry->config->registry_url));
}

void
KafkaNoteTrouble(KafkaRegistry *registry, const char *reason)
{
	registry->of_use = false;
	KafkaRegistryGaveUp(registry, registry->route);
	KafkaSetObstacle(registry, psprintf("could not register a schema at %s: %s", registry->config->registry_url, reason));
}

/* For the event that waits; when none does, the next one asks again. */
void
KafkaSetObstacle(KafkaRegistry *registry, const char *text)
{
	if (registry->route->asked_at != 0)
		registry->route->obstacle = MemoryContextStrdup(registry->context, text);
}
