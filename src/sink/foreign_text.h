/*-------------------------------------------------------------------------
 *
 * foreign_text.h
 *	  Words of brokers and libraries, made fit for our tables and logs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_FOREIGN_TEXT_H
#define OUTBOX_FOREIGN_TEXT_H

/* Blanks for control characters, question marks for what is not valid in the server's encoding; never raises. */
extern void OutboxMakePrintable(char *text);

/* A copy of which that is true, in the current memory context. */
extern char *OutboxPrintable(const char *text);

/* Of an error that a sink raised: its message, detail and hint. */
extern void OutboxMakeErrorPrintable(ErrorData *error);

#endif /* OUTBOX_FOREIGN_TEXT_H */
