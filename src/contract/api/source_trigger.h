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
 * Creates the contract's triggers on its sources where they are not, and
 * replaces those that do not fire as they should. Takes SHARE ROW EXCLUSIVE
 * (ACCESS EXCLUSIVE, where a constraint trigger has the name) on such a source, waiting a short while several times, so
 * that the application does not queue behind us; raises when it cannot be had.
 */
extern void OutboxCreateTriggers(const OutboxContractConfig *config);

/* Has a source a trigger of ours that captures its rows, whole or not? */
extern bool OutboxHasTriggers(const OutboxContractConfig *config, Oid source);

/* Creates the TRUNCATE trigger of one table of a source, with the caller's rights, unless it is there and whole. */
extern void OutboxCreateTruncateTrigger(const OutboxContractConfig *config, Oid table);

/* Removes it from a table that is no part of a source any more, whoever the user is; under the lock of the command that detached it. */
extern void OutboxRemoveTruncateTrigger(const OutboxContractConfig *config, Oid table);

/* Drops those that are ours, on the same terms (ACCESS EXCLUSIVE). */
extern void OutboxDropTriggers(const OutboxContractConfig *config);

#endif /* OUTBOX_SOURCE_TRIGGER_H */
