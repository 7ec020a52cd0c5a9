/*-------------------------------------------------------------------------
 *
 * kafka_route.c
 *	  Topic handle, frame and constant header values per schema and topic.
 *
 * A schema belongs to one event type and so nearly always to one topic; an
 * event type whose topic was changed has two for a while.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "kafka_sink.h"
#include "sinks/kafka/registry/kafka_registry.h"

/* How often ids are looked at, to find one that is to be read back. */
#define CHECK_MS 1000

static KafkaRoute *add_route(KafkaSink *sink, KafkaRouteEntry *entry, const OutboxMessage *message);
static char *topic_name(const KafkaSink *sink, const char *destination);
static void complete_route(KafkaSink *sink, KafkaRoute *route);

/*
 * The route of a message.  Its topic is NULL when the name is too long for any
 * broker.  Its frame_len is 0 while the registry has not answered, or gave no
 * id (then obstacle says why).  Raises when librdkafka gives no topic.
 */
KafkaRoute *
KafkaFindRoute(KafkaSink *sink, const OutboxMessage *message)
{
	KafkaRoute *route = sink->last_route;

	if (route == NULL || route->schema != message->schema || strcmp(route->destination, message->destination) != 0)
	{
		KafkaRouteEntry *entry;
		bool found;

		entry = hash_search(sink->routes, &message->schema->id, HASH_ENTER, &found);
		if (!found)
			entry->first = NULL;
		for (route = entry->first; route != NULL; route = route->next)
		{
			if (strcmp(route->destination, message->destination) == 0)
				break;
		}
		if (route == NULL)
			route = add_route(sink, entry, message);
		route->schema = message->schema;
		sink->last_route = route;
	}

	if (route->frame_len == 0 && route->topic != NULL)
		complete_route(sink, route);
	return route;
}

static KafkaRoute *
add_route(KafkaSink *sink, KafkaRouteEntry *entry, const OutboxMessage *message)
{
	MemoryContext context = sink->state->context;
	KafkaRoute *route = MemoryContextAllocZero(context, sizeof(KafkaRoute));

	route->schema = message->schema;
	route->destination = MemoryContextStrdup(context, message->destination);
	route->topic_name = topic_name(sink, message->destination);
	if (sink->registry != NULL)
		KafkaRegistryRecall(sink->registry, route);
	route->topic = KafkaFindTopic(sink, route->topic_name);
	route->next = entry->first;
	entry->first = route;
	return route;
}

/* The broker's name of a topic, for as long as the sink lives. */
static char *
topic_name(const KafkaSink *sink, const char *destination)
{
	MemoryContext caller = MemoryContextSwitchTo(sink->state->context);
	char *name = psprintf("%s%s", sink->config.topic_prefix, destination);

	MemoryContextSwitchTo(caller);
	return name;
}

/* Frame and constant header values, once the registered id is known. */
static void
complete_route(KafkaSink *sink, KafkaRoute *route)
{
	MemoryContext context = sink->state->context;
	char text[64];

	if (sink->registry == NULL)
	{
		snprintf(text, sizeof(text), "urn:avro:crc64:%016llx", (unsigned long long) route->schema->fingerprint);
		route->dataschema = MemoryContextStrdup(context, text);
	}
	else
	{
		MemoryContext caller;

		if (route->registered_id == 0 && !KafkaRegistryResolve(sink->registry, route))
			return;
		if (route->registered_id == 0)
			return;
		caller = MemoryContextSwitchTo(context);
		route->dataschema = psprintf("%s/schemas/ids/%d", sink->config.registry_url, route->registered_id);
		MemoryContextSwitchTo(caller);
	}
	route->dataschema_len = strlen(route->dataschema);
	KafkaPrepareFrame(route, sink->registry != NULL);
}

void
KafkaCheckRoutes(KafkaSink *sink)
{
	TimestampTz now = GetCurrentTimestamp();
	HASH_SEQ_STATUS scan;
	KafkaRouteEntry *entry;

	if (sink->routes == NULL || !TimestampDifferenceExceeds(sink->checked_at, now, CHECK_MS))
		return;
	sink->checked_at = now;
	hash_seq_init(&scan, sink->routes);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		KafkaRoute *route;

		for (route = entry->first; route != NULL; route = route->next)
		{
			if (KafkaRegistryCheck(sink->registry, route))
			{
				hash_seq_term(&scan);
				return;
			}
		}
	}
}

void
KafkaForgetRoutes(KafkaSink *sink)
{
	if (sink->routes != NULL)
		hash_destroy(sink->routes);
	sink->routes = NULL;
	sink->last_route = NULL;
}
