/*-------------------------------------------------------------------------
 *
 * kafka_confirmed.c
 *	  The ids under which this process has seen our schemas in the registry.
 *
 * They outlive an attempt on purpose: the next one need not ask again.  Void
 * when another registry is configured, and when a person had the ids
 * forgotten.  A relay process serves one sink; its replays share what was
 * learned.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "sinks/kafka/registry/kafka_registry.h"

typedef struct KafkaConfirmed
{
	struct KafkaConfirmed *next;
	int32 schema_id;
	int32 id;
	TimestampTz at;
	char subject[FLEXIBLE_ARRAY_MEMBER];
} KafkaConfirmed;

static struct
{
	MemoryContext context; /* of what follows; NULL: nothing yet */
	char *registry;
	int64 forgotten;
	KafkaConfirmed *first;
} confirmed;

static KafkaConfirmed *find(int32 schema_id, const char *subject);

void
KafkaConfirmedBegin(const char *registry, int64 forgotten)
{
	if (confirmed.registry != NULL && confirmed.forgotten == forgotten && strcmp(confirmed.registry, registry) == 0)
		return;
	if (confirmed.context == NULL)
		confirmed.context = AllocSetContextCreate(TopMemoryContext, "outbox kafka confirmed ids", ALLOCSET_SMALL_SIZES);
	confirmed.first = NULL;
	confirmed.registry = NULL;
	MemoryContextReset(confirmed.context);
	confirmed.registry = MemoryContextStrdup(confirmed.context, registry);
	confirmed.forgotten = forgotten;
}

int32
KafkaConfirmedId(int32 schema_id, const char *subject, TimestampTz *at)
{
	const KafkaConfirmed *entry = find(schema_id, subject);

	if (entry == NULL)
		return 0;
	*at = entry->at;
	return entry->id;
}

void
KafkaConfirm(int32 schema_id, const char *subject, int32 id, TimestampTz at)
{
	KafkaConfirmed *entry = find(schema_id, subject);

	if (entry == NULL)
	{
		Size len = strlen(subject) + 1;

		entry = MemoryContextAlloc(confirmed.context, offsetof(KafkaConfirmed, subject) + len);
		memcpy(entry->subject, subject, len);
		entry->schema_id = schema_id;
		entry->next = confirmed.first;
		confirmed.first = entry;
	}
	entry->id = id;
	entry->at = at;
}

void
KafkaUnconfirm(int32 schema_id, const char *subject)
{
	KafkaConfirmed *entry = find(schema_id, subject);

	if (entry != NULL)
		entry->id = 0;
}

static KafkaConfirmed *
find(int32 schema_id, const char *subject)
{
	KafkaConfirmed *entry;

	for (entry = confirmed.first; entry != NULL; entry = entry->next)
	{
		if (entry->schema_id == schema_id && strcmp(entry->subject, subject) == 0)
			return entry;
	}
	return NULL;
}
