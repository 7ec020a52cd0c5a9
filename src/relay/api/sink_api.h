/*-------------------------------------------------------------------------
 *
 * sink_api.h
 *	  What the SQL functions on sinks and relays share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_SINK_API_H
#define OUTBOX_SINK_API_H

#include "fmgr.h"

/* A row of outbox_internal.sink, as far as these functions care. */
typedef struct OutboxSinkEntry
{
	int32 id;
	char *name;
	char *desired_state;
} OutboxSinkEntry;

/*
 * Sinks by name, or all when it is NULL, in the order of their ids; the rows
 * are locked against concurrent changes. Within SPI, whose memory the result
 * is in. Returns how many.
 */
extern int OutboxFindSinks(const char *name, OutboxSinkEntry **rows);

/* The sink of this name; raises when there is none. Within SPI. */
extern OutboxSinkEntry OutboxFindSink(const char *name);

/* What runs follows what is committed: the launcher looks at this database then. */
extern void OutboxPokeLauncherAtCommit(void);

/* The relays of this database look at what is wanted of them then, instead of within a second. */
extern void OutboxWakeRelaysAtCommit(void);

#endif /* OUTBOX_SINK_API_H */
