/*-------------------------------------------------------------------------
 *
 * sink_private.h
 *	  Shared by the files of sink/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_SINK_SINK_PRIVATE_H
#define OUTBOX_SINK_SINK_PRIVATE_H

#include "sink/sink.h"

/* ---- http_hosts.c: Which hosts sinks may send HTTP requests to. ---- */

extern void OutboxCheckHttpHosts(const char *option, const char *value);

#endif /* OUTBOX_SINK_SINK_PRIVATE_H */
