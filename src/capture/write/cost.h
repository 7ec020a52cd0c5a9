/*-------------------------------------------------------------------------
 *
 * cost.h
 *	  What capture costs the writers, per contract.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_COST_H
#define OUTBOX_COST_H

#include "portability/instr_time.h"

/* A call of the trigger function that is being measured. */
typedef struct OutboxCostMark
{
	instr_time start;
	uint32 weight; /* calls that this one stands for; 0: it is not timed */
} OutboxCostMark;

/*
 * Around one call; a call that raises is not counted. `transitions` are the
 * pairs of contract rows in which something published differs; 0 is a skip,
 * OUTBOX_COST_QUEUED a row whose contract is evaluated at commit.
 * Nothing here raises.
 */
#define OUTBOX_COST_QUEUED (-1)
extern void OutboxCostBegin(OutboxCostMark *mark);
extern void OutboxCostEnd(const OutboxCostMark *mark, int32 contract_id, int transitions);

/* Adds the transitions that an evaluation at commit found for a contract's queued keys. */
extern void OutboxCostTransitions(int32 contract_id, uint64 transitions);

/* Adds one flush: the contract's keys of a transaction, and the nanoseconds spent on them at commit. */
extern void OutboxCostFlush(int32 contract_id, uint64 keys, uint64 ns);

/* Nanoseconds since *since, which becomes now. */
extern uint64 OutboxCostLap(instr_time *since);

extern void OutboxCostInit(void); /* from _PG_init */

#endif /* OUTBOX_COST_H */
