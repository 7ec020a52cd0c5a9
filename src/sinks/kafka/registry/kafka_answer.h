/*-------------------------------------------------------------------------
 *
 * kafka_answer.h
 *	  What a schema registry's answers say.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_KAFKA_ANSWER_H
#define OUTBOX_KAFKA_ANSWER_H

/* All of them take whatever a wrong URL sends, raise only when memory is out, and return palloc'd texts. */

/* 0: there is none. */
extern int32 KafkaAnswerId(const char *body);

/* In UTF-8; NULL: there is none. */
extern char *KafkaAnswerSchema(const char *body);

/* Of a compatibility check: 1, 0, or -1 when it does not say; *words: why not, as KafkaAnswerMessage(). */
extern int KafkaAnswerCompatible(const char *body, const char **words);

/* Of a subject's configuration; NULL: there is none. */
extern const char *KafkaAnswerLevel(const char *body);

/* The numbers of versions, the newest last, at most `max` of the newest; -1: it is no list of numbers. */
extern int KafkaAnswerVersions(const char *body, int *versions, int max);

/* What a registry says, fit for a log line. */
extern const char *KafkaCleanWords(const char *words);

/* Is it the registry that says so, rather than something in front of it? */
extern bool KafkaAnswerSaysMissing(const char *body);

/* The registry's words, fit for a log line. Nothing else of an answer is shown: at a wrong URL it may be anybody's. */
extern const char *KafkaAnswerMessage(const char *body);

#endif /* OUTBOX_KAFKA_ANSWER_H */
