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

/* ---- sink_api.c: What the SQL functions on sinks and relays share. ---- */

extern int OutboxFindSinks(const char *name, OutboxSinkEntry **sinks);
extern void OutboxPokeLauncherAtCommit(void);

#endif /* OUTBOX_RELAY_API_API_PRIVATE_H */
