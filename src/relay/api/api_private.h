/*-------------------------------------------------------------------------
 *
 * api_private.h
 *	  Shared by the files of relay/api/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_RELAY_API_API_PRIVATE_H
#define OUTBOX_RELAY_API_API_PRIVATE_H

#include "relay/api/api.h"
#include "relay/session/session.h"

/* ---- sink_api.c: What the SQL functions on sinks and relays share. ---- */

extern int OutboxFindSinks(const char *name, OutboxSinkEntry **sinks);
extern int OutboxReadSinks(const char *name, OutboxSinkEntry **sinks);
extern OutboxSinkEntry OutboxReadSink(const char *name);
extern void OutboxPokeLauncherAtCommit(void);

/* ---- sink_position.c: How far sinks are acknowledged. ---- */

typedef struct OutboxSinkPosition
{
	int32 id;
	char *name;
	bool running; /* somebody wants it to publish */

	/* as recorded on disk; NULL without a position that is meant for this copy of the data */
	OutboxSnapshot *last;
	OutboxSnapshot *cur;
	int64 cursor;
	OutboxSnapshot *start; /* what it sees was not for this sink */
	OutboxSnapshot *shown; /* as its relay shows it, newer than `last`; NULL: nothing is shown */
	TimestampTz as_of;     /* when what we know was true; 0: nothing is known */
} OutboxSinkPosition;

extern int OutboxSinkPositions(const char *name, OutboxSinkPosition **sinks);
extern bool OutboxSinkPositionSees(const OutboxSinkPosition *sink, uint64 xid);

#endif /* OUTBOX_RELAY_API_API_PRIVATE_H */
