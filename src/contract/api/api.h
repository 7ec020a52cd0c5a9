/*-------------------------------------------------------------------------
 *
 * api.h
 *	  SQL functions on contracts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONTRACT_API_API_H
#define OUTBOX_CONTRACT_API_API_H

#include "fmgr.h"

#include "catalog/outbox_catalog.h"

/* ---- contract_api.c: What the SQL functions on contracts share. ---- */

extern void OutboxCheckContractRights(Oid view, Oid source);
extern void OutboxCheckSourceRights(Oid source);

/* ---- source_trigger.c: The triggers that a contract has on its sources. ---- */

extern void OutboxCreateTriggers(const OutboxContractConfig *config);
extern void OutboxCreateTriggersToProve(const OutboxContractConfig *config);
extern bool OutboxHasTriggers(const OutboxContractConfig *config, Oid source);
extern void OutboxCreateTruncateTrigger(const OutboxContractConfig *config, Oid table);
extern void OutboxRemoveTruncateTrigger(const OutboxContractConfig *config, Oid table);

#endif /* OUTBOX_CONTRACT_API_API_H */
