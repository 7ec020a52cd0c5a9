/*-------------------------------------------------------------------------
 *
 * letters_private.h
 *	  Shared by the files of letters/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_LETTERS_LETTERS_PRIVATE_H
#define OUTBOX_LETTERS_LETTERS_PRIVATE_H

#include "utils/rel.h"

#include "letters/letters.h"

/* ---- own_row.c: a row for dead letters or gaps, from inside a customer's write ---- */

extern void OutboxInsertOwnRow(Relation rel, Datum *values, bool *nulls);

#endif /* OUTBOX_LETTERS_LETTERS_PRIVATE_H */
