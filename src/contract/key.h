/*-------------------------------------------------------------------------
 *
 * key.h
 *	  Proving that a contract's key is unique.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_KEY_H
#define OUTBOX_KEY_H

#include "nodes/pg_list.h"

#include "contract/view_expand.h"

/*
 * The columns (of char *) of a unique index of the root that the expressions
 * of the contract's key columns read completely. Raises with what is missing
 * when there is none.
 */
extern List *OutboxProveKey(const OutboxViewExpansion *expansion, const List *key);

#endif							/* OUTBOX_KEY_H */
