/*-------------------------------------------------------------------------
 *
 * broken_contract.h
 *	  A changed row of a source whose contract does not work at present.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_BROKEN_CONTRACT_H
#define OUTBOX_BROKEN_CONTRACT_H

#include "capture/transition/row_change.h"
#include "contract/compile/cache.h"

/*
 * Keeps the change as a dead letter that says which row it was, if an event
 * type would have been concerned. The contract's error says why. Raises only
 * for what is not ours to swallow, or with on_invalid = abort.
 */
extern void OutboxBrokenContract(OutboxCachedContract *contract, const OutboxRowChange *change);

#endif /* OUTBOX_BROKEN_CONTRACT_H */
