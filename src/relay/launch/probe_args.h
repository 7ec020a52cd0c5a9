/*-------------------------------------------------------------------------
 *
 * probe_args.h
 *	  What the launcher tells a probe worker (in bgw_extra).
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_PROBE_ARGS_H
#define OUTBOX_PROBE_ARGS_H

#define OUTBOX_PROBE_FUNCTION "OutboxProbeMain"

typedef struct OutboxProbeArgs
{
	Oid dboid;
	uint32 token; /* tells the launcher that this probe came to its end */
} OutboxProbeArgs;

#endif /* OUTBOX_PROBE_ARGS_H */
