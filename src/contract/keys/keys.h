/*-------------------------------------------------------------------------
 *
 * keys.h
 *	  The key of a contract, and why it is unique.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONTRACT_KEYS_KEYS_H
#define OUTBOX_CONTRACT_KEYS_KEYS_H

#include "nodes/pg_list.h"

#include "catalog/outbox_catalog.h"
#include "contract/view/view.h"

/* ---- derived_key.c: Could two rows of the source have the same key?. ---- */

extern void OutboxNoteDerivedKey(const OutboxContractConfig *config);

/* ---- key.c: Proving that a contract's key is unique. ---- */

extern List *OutboxProveKey(const OutboxViewExpansion *expansion, const List *key);
extern List *OutboxProveUnique(Oid root, const List *reads, const List *conditions, const List *key);
extern bool OutboxIsUniqueTable(Oid table, const List *reads);
extern List *OutboxKeyPredicate(Oid table, Oid root, const List *reads, const List *conditions);
extern void OutboxCheckKey(const OutboxViewExpansion *expansion, Oid table, const List *key, const List *root_key);
extern void OutboxCheckKeyReads(Oid view, Oid root, int nreads, const List *root_key);

#endif /* OUTBOX_CONTRACT_KEYS_KEYS_H */
