/*-------------------------------------------------------------------------
 *
 * relay_args.h
 *	  What the launcher tells a relay worker when it starts it.
 *
 * The slot in shared memory travels in bgw_main_arg, this struct in
 * bgw_extra.  The slot_generation tells a late worker that its slot was given to
 * somebody else meanwhile: OutboxRelayAttach then returns false and the
 * worker exits without an error.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_RELAY_ARGS_H
#define OUTBOX_RELAY_ARGS_H

#define OUTBOX_RELAY_LIBRARY "outbox_ext"
#define OUTBOX_RELAY_FUNCTION "OutboxRelayMain"
#define OUTBOX_RELAY_TYPE "outbox relay"

typedef struct OutboxRelayArgs
{
	Oid dboid;
	int32 sink_id;
	uint32 slot_generation;
	TransactionId starter; /* of a relay on trial; invalid: it need not be waited for */
} OutboxRelayArgs;

#endif /* OUTBOX_RELAY_ARGS_H */
