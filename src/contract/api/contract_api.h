/*-------------------------------------------------------------------------
 *
 * contract_api.h
 *	  What the SQL functions on contracts share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONTRACT_API_H
#define OUTBOX_CONTRACT_API_H

#include "fmgr.h"

#include "catalog/arguments.h"
#include "catalog/contract_config.h"

/*
 * Raises unless the caller may have triggers on the source and has the rights
 * of the view's owner: a contract evaluates with these.
 */
extern void OutboxCheckContractRights(Oid view, Oid source);

/* The first half of that. */
extern void OutboxCheckSourceRights(Oid source);

/* Raises unless the table is of a kind that can be watched. */
extern void OutboxCheckSource(Oid source);

/* Pins the schema of an event type for the contract's present version (SPI inside). */
extern void OutboxPinSchema(const OutboxContractConfig *config, OutboxEventTypeConfig *type);

#endif /* OUTBOX_CONTRACT_API_H */
