/*-------------------------------------------------------------------------
 *
 * trouble.c
 *	  The state of a relay that goes on: its transport is in trouble, it holds
 *	  as many events as it may, or all is well.
 *
 * Trouble is shown and logged, never counted: the sink keeps trying.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "relay/loop/loop.h"


static void note_full(OutboxRelay *relay);

/* Tells status, the log and pg_stat_activity whether the sink can publish. */
void
OutboxRelayCheckTrouble(OutboxRelay *relay)
{
	const char *trouble;
	char words[OUTBOX_ERROR_LEN];
	bool was_troubled = relay->report.state == OUTBOX_RELAY_BACKOFF;

	if (!relay->ready)
		return;
	if (relay->callbacks->revived_cb != NULL && relay->callbacks->revived_cb(&relay->sink))
		OutboxRouteRetry(&relay->hold, true);
	trouble = relay->callbacks->trouble_cb != NULL ? relay->callbacks->trouble_cb(&relay->sink) : NULL;
	if (trouble == NULL && relay->hold.full)
	{
		note_full(relay);
		return;
	}
	if (trouble == NULL)
	{
		if (relay->report.state == OUTBOX_RELAY_BLOCKED && relay->barrier_seq == 0)
			OutboxRelaySetState(relay, OUTBOX_RELAY_RUNNING);
		if (!was_troubled)
			return;
		OutboxRelaySetState(relay, OUTBOX_RELAY_RUNNING);
		ereport(LOG, (errmsg("sink \"%s\" works again", relay->row.name)));
		return;
	}
	OutboxClipText(words, trouble);
	if (!was_troubled)
		ereport(LOG, (errmsg("sink \"%s\" cannot publish at present, it keeps trying", relay->row.name), errdetail_internal("%s", words)));
	if (!was_troubled || strcmp(words, relay->report.last_error) != 0)
		OutboxRelayNoteError(relay, words);
	OutboxRelaySetState(relay, OUTBOX_RELAY_BACKOFF);
}

/* Behind events that must wait but have no room to. Said again after the words of a topic that was tried in vain. */
static void
note_full(OutboxRelay *relay)
{
	bool was_blocked = relay->report.state == OUTBOX_RELAY_BLOCKED;
	char text[160];

	if (was_blocked && relay->barrier_seq != 0)
		return;
	snprintf(text, sizeof(text), "%llu events wait behind rejected ones or for their topics, as many as outbox.max_held_events allows",
			 (unsigned long long) relay->hold.total);
	if (was_blocked && strcmp(text, relay->report.last_error) == 0)
		return;
	if (!was_blocked)
		ereport(LOG,
				(errmsg("sink \"%s\" holds so many events that it publishes nothing any more", relay->row.name),
				 errdetail_internal("%s.", text),
				 errhint("Resolve its dead letters and blocked topics, or raise the setting.")));
	OutboxRelayNoteError(relay, text);
	OutboxRelaySetState(relay, OUTBOX_RELAY_BLOCKED);
}
