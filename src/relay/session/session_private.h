/*-------------------------------------------------------------------------
 *
 * session_private.h
 *	  Shared by the files of relay/session/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_RELAY_SESSION_SESSION_PRIVATE_H
#define OUTBOX_RELAY_SESSION_SESSION_PRIVATE_H

#include "relay/session/session.h"

/* ---- session.c: The relay as a session of the server: signals, settings, transactions. ---- */

extern void OutboxSessionEnterQuery(OutboxOwnerScope *scope);
extern void OutboxSessionBeginWait(void);
extern void OutboxSessionEndWait(void);

#endif /* OUTBOX_RELAY_SESSION_SESSION_PRIVATE_H */
