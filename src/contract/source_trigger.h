/*-------------------------------------------------------------------------
 *
 * source_trigger.h
 *	  The triggers that a contract has on its source.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_SOURCE_TRIGGER_H
#define OUTBOX_SOURCE_TRIGGER_H

#include "catalog/contract_config.h"

/*
 * Creates the contract's triggers on its source unless they are there. Takes
 * SHARE ROW EXCLUSIVE on the source, waiting a short while several times, so
 * that the application does not queue behind us; raises when it cannot be had.
 */
extern void OutboxCreateTriggers(const OutboxContractConfig *config);

/* Drops them if they are there, on the same terms (ACCESS EXCLUSIVE). */
extern void OutboxDropTriggers(const OutboxContractConfig *config);

#endif							/* OUTBOX_SOURCE_TRIGGER_H */
