/*-------------------------------------------------------------------------
 *
 * server_error.h
 *	  Which errors the server itself has raised.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_SERVER_ERROR_H
#define OUTBOX_SERVER_ERROR_H

#include "utils/elog.h"

extern bool OutboxIsCancel(const ErrorData *error);
extern bool OutboxIsIntervention(const ErrorData *error);
extern bool OutboxIsSerializationFailure(const ErrorData *error);
extern bool OutboxIsDoomed(const ErrorData *error);
extern bool OutboxIsStorageTrouble(const ErrorData *error);
extern bool OutboxIsDiskFull(const ErrorData *error);
extern bool OutboxIsShortage(const ErrorData *error);

#endif /* OUTBOX_SERVER_ERROR_H */
