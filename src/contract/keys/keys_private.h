/*-------------------------------------------------------------------------
 *
 * keys_private.h
 *	  Shared by the files of contract/keys/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONTRACT_KEYS_KEYS_PRIVATE_H
#define OUTBOX_CONTRACT_KEYS_KEYS_PRIVATE_H

#include "contract/keys/keys.h"

/* ---- key.c: Proving that a contract's key is unique. ---- */

extern bool OutboxIsUnique(Oid root, const List *reads, const List *conditions);

#endif /* OUTBOX_CONTRACT_KEYS_KEYS_PRIVATE_H */
