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

#include "contract/view/view_expand.h"

/*
 * The columns (of char *) of a unique index of the root that the expressions
 * of the contract's key columns read completely. Raises with what is missing
 * when there is none.
 */
extern List *OutboxProveKey(const OutboxViewExpansion *expansion, const List *key);

/*
 * The same for a key that is known to read these columns (of char *) of the
 * root, in a view whose rows fulfil these conditions (root_condition.h).
 */
extern List *OutboxProveUnique(Oid root, const List *reads, const List *conditions, const List *key);

/* Do these columns (of char *) of the root contain such an index? */
extern bool OutboxIsUnique(Oid root, const List *reads, const List *conditions);

/* Has each row of this table (the root, or a partition) other values there than all others, in the view or not? */
extern bool OutboxIsUniqueTable(Oid table, const List *reads);

/*
 * Which rows of a table (the root, or a partition) have a key that is proven:
 * the condition of the partial index that proves it, over entry 1 as the table;
 * NIL: all. `root`, reads and conditions as above.
 */
extern List *OutboxKeyPredicate(Oid table, Oid root, const List *reads, const List *conditions);

/*
 * Raises when the key reads fewer columns of the root than those that once
 * proved it. Which ones is not compared: they may be renamed under the view.
 */
extern void OutboxCheckKey(const OutboxViewExpansion *expansion, const List *key, const List *root_key);
extern void OutboxCheckKeyReads(Oid view, Oid root, int nreads, const List *root_key);

#endif /* OUTBOX_KEY_H */
