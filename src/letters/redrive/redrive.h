/*-------------------------------------------------------------------------
 *
 * redrive.h
 *	  An open dead letter, tried again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_REDRIVE_H
#define OUTBOX_REDRIVE_H

#include "letters/redrive/redrive_letter.h"

/*
 * Tries the letter in a subtransaction and records what became of it. True: it
 * is resolved, by events in the present transaction or because none is wanted
 * any more. What is wrong with one letter's rows, even a page that cannot be
 * read, is that letter's failure alone; a cancel or a serialization failure is
 * raised. Allocates in CurrentMemoryContext.
 */
extern bool OutboxRedriveLetter(OutboxLetter *letter);

#endif /* OUTBOX_REDRIVE_H */
