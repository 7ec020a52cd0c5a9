/*-------------------------------------------------------------------------
 *
 * replay_request.h
 *	  A row of outbox_internal.replay_request: what to publish again, and how far it got.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_REPLAY_REQUEST_H
#define OUTBOX_REPLAY_REQUEST_H

#include "datatype/timestamp.h"

#include "relay/session/window.h"

typedef struct OutboxReplayRequest
{
	int64 id;

	/* which events: what is not restricted has the widest value, or NULL */
	TimestampTz from_time;
	TimestampTz to_time; /* exclusive */
	int64 from_seq;
	int64 to_seq; /* inclusive */
	char *event_type;
	char *aggregate_type;
	char *message_key;

	/* what the sink had published when the replay was asked for: nothing else is replayed */
	OutboxSnapshot *last;
	OutboxSnapshot *cur;
	int64 cur_cursor;
	int64 *excluded; /* seq of what it had passed and not published, in order */
	int nexcluded;

	/* how */
	char *topic; /* in UTF-8; NULL: the event's own */
	int rate;    /* events per second, 0 = no limit */

	/* how far */
	int64 events; /* counted when it was asked for */
	int64 cursor; /* every event up to this seq is done */
	int64 published;
	int64 rejected;
} OutboxReplayRequest;

/* Was this event passed without being published? */
extern bool OutboxReplayExcludes(const OutboxReplayRequest *request, int64 seq);

/*
 * Reads the request into the current memory context, in a transaction of its
 * own. False: it is not open any more, or belongs to another copy of the data,
 * in which case it is closed.
 */
extern bool OutboxReplayRequestLoad(OutboxReplayRequest *request, int64 id);

/*
 * Records how far it got, in a transaction of its own; finished: it is done.
 * error: what is wrong at present, NULL = nothing. False: somebody cancelled it.
 */
extern bool OutboxReplayRequestSave(const OutboxReplayRequest *request, bool finished, const char *error);

#endif /* OUTBOX_REPLAY_REQUEST_H */
