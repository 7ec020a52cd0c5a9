/*-------------------------------------------------------------------------
 *
 * sink_loader.h
 *	  Loads sink libraries and turns a sink's jsonb options into strings.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_SINK_LOADER_H
#define OUTBOX_SINK_LOADER_H

#include "utils/jsonb.h"

#include "sink/outbox_sink.h"

/*
 * The callbacks of a sink library, loaded into this process for good.  The
 * name is bare (no path) and listed in outbox.sink_libraries.  Raises when it
 * is not, when the library is missing or is not a sink, or when it was built
 * for another version of outbox_sink.h.  Needs no transaction.
 */
extern const OutboxSinkCallbacks *OutboxSinkLoad(const char *library);

/*
 * The options of a sink as an array of *n strings, in the order of the jsonb
 * (allocated in the current memory context; at least one element, so never
 * NULL).  {"file": "/path"} is replaced by the file's content.  With
 * check_privileges the current user must be allowed to read server files, also
 * where an option's name says that its value is a path, so call it before
 * switching to the extension's owner.  Raises for anything but an object of
 * strings, numbers, booleans and files, and for URLs of hosts that
 * outbox.http_hosts does not have.  A transaction is needed
 * only with check_privileges.
 */
extern OutboxSinkOption *OutboxSinkOptions(Jsonb *options, bool check_privileges, int *n);

/* What OutboxSinkOptions refuses of files and hosts, without reading any file. The options need not be valid. */
extern void OutboxCheckSinkOptions(Jsonb *options);

/* All options without opening files: where a value is not a string, number or boolean it is NULL. They need not be valid. */
extern OutboxSinkOption *OutboxSinkOptionsUnread(Jsonb *options, int *n);

#endif /* OUTBOX_SINK_LOADER_H */
