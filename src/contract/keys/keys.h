/*-------------------------------------------------------------------------
 *
 * keys.h
 *	  The proof of the key: which key of a contract is unique, and why.
 *
 * Everything that is known about it is here. contract/prove/ asks it when a contract
 * is created or tried, ddl/ after a command on the source.
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

/* ---- key_proof.c: The proof of a key, asked for a whole contract. ---- */

extern void OutboxProveContractKey(const OutboxContractConfig *config);
extern void OutboxProveCommitKey(const OutboxContractConfig *config);
extern void OutboxProveRootPath(const OutboxContractConfig *config, const OutboxRootPath *path);
extern ErrorData *OutboxContractKeyFault(const OutboxContractConfig *config, MemoryContext context);

/* ---- key.c: Proving that a contract's key is unique. ---- */

extern List *OutboxProveKey(const OutboxViewExpansion *expansion, const List *key);
extern List *OutboxProveUnique(Oid root, const List *reads, const List *conditions, const List *key);
extern bool OutboxIsUniqueTable(Oid table, const List *reads);
extern List *OutboxKeyPredicate(Oid table, Oid root, const List *reads, const List *conditions);
extern void OutboxCheckKey(const OutboxViewExpansion *expansion, Oid table, const List *key, const List *root_key);
extern void OutboxCheckKeyReads(Oid view, Oid root, int nreads, const List *root_key);

#endif /* OUTBOX_CONTRACT_KEYS_KEYS_H */
