/*-------------------------------------------------------------------------
 *
 * source_trigger.h
 *	  The triggers that a contract has on its sources.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_SOURCE_TRIGGER_H
#define OUTBOX_SOURCE_TRIGGER_H

#include "catalog/contract_config.h"

/*
 * Creates the contract's triggers on its sources where they are not. Takes
 * SHARE ROW EXCLUSIVE on such a source, waiting a short while several times, so
 * that the application does not queue behind us; raises when it cannot be had.
 */
extern void OutboxCreateTriggers(const OutboxContractConfig *config);

/* Has a source the trigger that captures its rows? */
extern bool OutboxHasTriggers(const OutboxContractConfig *config, Oid source);

/* Creates the TRUNCATE trigger of one table of a source, with the caller's rights, unless it is there. */
extern void OutboxCreateTruncateTrigger(const OutboxContractConfig *config, Oid table);

/* Drops them if they are there, on the same terms (ACCESS EXCLUSIVE). */
extern void OutboxDropTriggers(const OutboxContractConfig *config);

#endif /* OUTBOX_SOURCE_TRIGGER_H */
