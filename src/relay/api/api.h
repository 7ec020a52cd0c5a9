/*-------------------------------------------------------------------------
 *
 * api.h
 *	  SQL functions on sinks and relays.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_RELAY_API_API_H
#define OUTBOX_RELAY_API_API_H

#include "fmgr.h"
#include "utils/jsonb.h"

/* ---- sink_api.c: What the SQL functions on sinks and relays share. ---- */

/* A row of outbox_internal.sink, as far as these functions care. */
typedef struct OutboxSinkEntry
{
	int32 id;
	char *name;
	char *desired_state;
	char *library; /* this and the next: of OutboxReadSinks() alone */
	Jsonb *options;
} OutboxSinkEntry;

extern OutboxSinkEntry OutboxFindSink(const char *name);
extern void OutboxWakeRelaysAtCommit(void);

#endif /* OUTBOX_RELAY_API_API_H */
