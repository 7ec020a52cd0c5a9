/*-------------------------------------------------------------------------
 *
 * schema_cache.h
 *	  Pinned schemas as messages need them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_SCHEMA_CACHE_H
#define OUTBOX_SCHEMA_CACHE_H

#include "utils/hsearch.h"

#include "sink/outbox_sink.h"

typedef struct OutboxCachedSchema
{
	int32 id;            /* hash key */
	OutboxSchema schema; /* what sinks see */
	const char *topic;
	uint64 topic_hash;
	const char *ce_type;
} OutboxCachedSchema;

typedef struct OutboxNewRegistration
{
	int32 schema_id;
	OutboxRegistration registration;
} OutboxNewRegistration;

/*
 * Pinned schemas never change, so an entry is loaded once per attempt. What
 * the registry assigned is per sink and does change.
 */
typedef struct OutboxSchemaCache
{
	int32 sink_id;
	int64 forgotten;       /* outbox.sink.forgotten when the attempt began: what was reported before is not stored after */
	MemoryContext context; /* lives as long as an attempt */
	HTAB *entries;
	OutboxCachedSchema *last;       /* events of one type come in runs */
	OutboxNewRegistration *unsaved; /* reported by the sink, not stored yet */
	int nunsaved;
	int capacity;
} OutboxSchemaCache;

extern void OutboxSchemaCacheInit(OutboxSchemaCache *cache, int32 sink_id, int64 forgotten, MemoryContext context);

/* Needs a transaction and an active snapshot. Raises when the schema does not exist. */
extern const OutboxCachedSchema *OutboxSchemaGetSlow(OutboxSchemaCache *cache, int32 id);

/* The sink reports an id that a registry assigned. */
extern void OutboxSchemaRegistered(OutboxSchemaCache *cache, int32 schema_id, const OutboxRegistration *registration);

/* Stores what was reported; within OutboxSessionBeginQuery. */
extern void OutboxSchemaSaveRegistrations(OutboxSchemaCache *cache);

static inline const OutboxCachedSchema *
OutboxSchemaGet(OutboxSchemaCache *cache, int32 id)
{
	if (likely(cache->last != NULL && cache->last->id == id))
		return cache->last;
	return OutboxSchemaGetSlow(cache, id);
}

#endif /* OUTBOX_SCHEMA_CACHE_H */
