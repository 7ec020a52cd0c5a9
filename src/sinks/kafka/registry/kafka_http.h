/*-------------------------------------------------------------------------
 *
 * kafka_http.h
 *	  A client for one HTTP request at a time that never waits.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_KAFKA_HTTP_H
#define OUTBOX_KAFKA_HTTP_H

#include "utils/palloc.h"

typedef struct KafkaHttp KafkaHttp;

typedef struct KafkaHttpAnswer
{
	long status;       /* 0: there was none, error says why */
	const char *body;  /* terminated; its encoding is whatever was sent */
	const char *error; /* valid, like body, until the next request */
} KafkaHttpAnswer;

/* auth is user:password or NULL, ca_file a file of trusted certificates or NULL for the system's. Raises. */
extern KafkaHttp *KafkaHttpCreate(MemoryContext parent, const char *auth, const char *ca_file);
extern void KafkaHttpDestroy(KafkaHttp *http); /* never raises */

/* An address of a host, "host:port:address", that need not be looked up: libcurl does that in a thread. */
extern void KafkaHttpKnowHost(KafkaHttp *http, const char *entry);

/* Readable when KafkaHttpServe has something to do. */
extern int KafkaHttpDescriptor(const KafkaHttp *http);

/* Start a request; none may be running. */
extern void KafkaHttpGet(KafkaHttp *http, const char *url);
extern void KafkaHttpPut(KafkaHttp *http, const char *url, const char *content_type, const char *body);
extern void KafkaHttpPost(KafkaHttp *http, const char *url, const char *content_type, const char *body);
extern bool KafkaHttpBusy(const KafkaHttp *http);

/* Works on what is ready. True: the request is finished. */
extern bool KafkaHttpServe(KafkaHttp *http, KafkaHttpAnswer *answer);

/* ---- kafka_wait.c ---- */

extern void KafkaSetTimer(int timer_fd, long ms);
extern bool KafkaWatch(int wait_fd, int fd, uint32 events);

#endif /* OUTBOX_KAFKA_HTTP_H */
