/*-------------------------------------------------------------------------
 *
 * registry.h
 *	  Schema registries, asked in a session through the libraries of sinks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_SINK_REGISTRY_H
#define OUTBOX_SINK_REGISTRY_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#include "sink/outbox_sink.h"

/* ---- registry_ask.c: One call of a sink's library, and what it found. ---- */

/* A sink as these functions see it. */
typedef struct OutboxRegistrySink
{
	int32 id;
	char *name;
	char *library;
	struct varlena *options; /* jsonb */
} OutboxRegistrySink;

/* A finding in texts of the database, palloc'd. */
typedef struct OutboxRegistryRow
{
	const char *sink;
	const char *event_type; /* NULL: the registry as a whole */
	const char *subject;
	const char *what;
	const char *ours;
	const char *theirs;
	const char *advice;
} OutboxRegistryRow;

extern List *OutboxRegistrySinks(const char *name);
extern List *OutboxRegistryCallSink(OutboxRegistryTask task, const OutboxRegistrySink *sink, List *items, TimestampTz deadline);
extern TimestampTz OutboxRegistryDeadline(void);
extern OutboxRegistryItem *OutboxRegistryItemMake(const char *topic, const char *event_type, const char *schema, const char *full_name, const char *level);

#endif /* OUTBOX_SINK_REGISTRY_H */
