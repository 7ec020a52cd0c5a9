/*-------------------------------------------------------------------------
 *
 * sink.h
 *	  Loading the libraries of sinks, and what their options may say.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_SINK_SINK_H
#define OUTBOX_SINK_SINK_H

#include "utils/jsonb.h"

#include "sink/outbox_sink.h"

/* ---- foreign_text.c: Words of brokers and libraries, made fit for our tables and logs. ---- */

extern char *OutboxPrintable(const char *text);
extern void OutboxMakeErrorPrintable(ErrorData *error);

/* ---- http_hosts.c: Which hosts sinks may send HTTP requests to. ---- */

extern bool OutboxHttpHostsValid(const char *list, const char **bad);

/* ---- sink_loader.c: Loads sink libraries and turns a sink's jsonb options into strings. ---- */

extern const OutboxSinkCallbacks *OutboxSinkLoad(const char *library);
extern OutboxSinkOption *OutboxSinkOptions(Jsonb *options, bool check_privileges, int *n);
extern void OutboxCheckSinkOptions(Jsonb *options);
extern OutboxSinkOption *OutboxSinkOptionsUnread(Jsonb *options, int *n);

#endif /* OUTBOX_SINK_SINK_H */
