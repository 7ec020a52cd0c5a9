/*-------------------------------------------------------------------------
 *
 * http_hosts.h
 *	  Which hosts sinks may send HTTP requests to.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_HTTP_HOSTS_H
#define OUTBOX_HTTP_HOSTS_H

/* Is this a list of host, host:port, [address] and [address]:port? *bad is the first element that is none. */
extern bool OutboxHttpHostsValid(const char *list, const char **bad);

/* Raises when an option's value has a URL whose host outbox.http_hosts does not have. Needs no transaction. */
extern void OutboxCheckHttpHosts(const char *option, const char *value);

#endif /* OUTBOX_HTTP_HOSTS_H */
