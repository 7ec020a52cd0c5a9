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

/* Is it the registry that says so, rather than something in front of it? */
extern bool KafkaAnswerSaysMissing(const char *body);

/* The registry's words, fit for a log line. Nothing else of an answer is shown: at a wrong URL it may be anybody's. */
extern const char *KafkaAnswerMessage(const char *body);

#endif /* OUTBOX_KAFKA_ANSWER_H */
