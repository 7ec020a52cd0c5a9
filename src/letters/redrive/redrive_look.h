/*-------------------------------------------------------------------------
 *
 * redrive_look.h
 *	  The newest events of letters' keys are looked for together.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_REDRIVE_LOOK_H
#define OUTBOX_REDRIVE_LOOK_H

#include "letters/redrive/redrive_letter.h"

/* Letters whose keys are looked for in one reading, by memory. */
#define OUTBOX_LOOK_LETTERS 1000

/* For a person, who waits: what the letters from this one on will ask for; and what the last attempt has asked for in vain. */
extern void OutboxLookForLetters(List *letters, int first);

/*
 * For a relay: the same of all late letters, as far as there is time. False: it is to go on at the next call, and no letter
 * should be tried before.
 */
extern bool OutboxLookForLate(List *letters, int first, int ms);

#endif /* OUTBOX_REDRIVE_LOOK_H */
