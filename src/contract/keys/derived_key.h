/*-------------------------------------------------------------------------
 *
 * derived_key.h
 *	  Could two rows of the source have the same key?
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_DERIVED_KEY_H
#define OUTBOX_DERIVED_KEY_H

#include "catalog/contract_config.h"

/*
 * Notes in outbox_internal.contract which columns of a proven key could make one key of
 * two rows. For create_contract() and enable(): raises what OutboxRootKey raises.
 */
extern void OutboxNoteDerivedKey(const OutboxContractConfig *config);

#endif /* OUTBOX_DERIVED_KEY_H */
