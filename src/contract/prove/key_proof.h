/*-------------------------------------------------------------------------
 *
 * key_proof.h
 *	  Is the key of a contract that exists still unique?
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_KEY_PROOF_H
#define OUTBOX_KEY_PROOF_H

#include "catalog/contract_config.h"

/*
 * Proves it as create_contract() did, of the view and the source as they are
 * now, with the rights of the view's owner; needs an active snapshot. Raises
 * with what is missing.
 */
extern void OutboxProveContractKey(const OutboxContractConfig *config);

#endif /* OUTBOX_KEY_PROOF_H */
