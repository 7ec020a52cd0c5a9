/*-------------------------------------------------------------------------
 *
 * text_utf8.h
 *	  Texts between the server's encoding and UTF-8, without raising.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_AVRO_TEXT_UTF8_H
#define OUTBOX_AVRO_TEXT_UTF8_H

typedef enum OutboxTextAction
{
	TEXT_AS_IS, /* the server's encoding is UTF-8 */
	TEXT_CHECK, /* SQL_ASCII: bytes of no known encoding, UTF-8 by luck */
	TEXT_CONVERT
} OutboxTextAction;

/* How texts of this database become UTF-8, and back. */
typedef struct OutboxTextRule
{
	OutboxTextAction action;
	Oid to_utf8; /* conversion procedures */
	Oid from_utf8;
} OutboxTextRule;

/* Looks in the system catalogs unless the server's encoding is UTF-8. */
extern OutboxTextRule OutboxTextRuleOfDatabase(void);

/*
 * The text in the other encoding: the input itself when nothing has to change,
 * else palloc'd; *length is updated. NULL when a character has no counterpart
 * or the input is not valid.
 */
extern const char *OutboxTextToUtf8(const OutboxTextRule *rule, const char *text, Size *length);
extern const char *OutboxTextFromUtf8(const OutboxTextRule *rule, const char *text, Size *length);

#endif /* OUTBOX_AVRO_TEXT_UTF8_H */
