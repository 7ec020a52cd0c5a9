/*-------------------------------------------------------------------------
 *
 * api_private.h
 *	  Shared by the files of contract/api/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONTRACT_API_API_PRIVATE_H
#define OUTBOX_CONTRACT_API_API_PRIVATE_H

#include "contract/api/api.h"

/* ---- contract_api.c: What the SQL functions on contracts share. ---- */

extern void OutboxCheckSource(Oid source);
extern void OutboxPinSchemas(const OutboxContractConfig *config, List *types);

/* ---- source_trigger.c: The triggers that a contract has on its sources. ---- */

extern void OutboxDropTriggers(const OutboxContractConfig *config);

#endif /* OUTBOX_CONTRACT_API_API_PRIVATE_H */
