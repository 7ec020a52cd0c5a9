/*-------------------------------------------------------------------------
 *
 * cost.c
 *	  What capture costs the writers, per contract.
 *
 * Summed up in this backend and added to shared memory when the transaction
 * ends, however it ends: the time was spent. Reading the clock twice costs
 * 50 ns, a sixth of what a row costs that changes nothing; so a transaction's
 * first calls are all timed, and afterwards one of SAMPLE, which counts for
 * as many. SAMPLE is odd and prime: several contracts on a table take turns,
 * and each must come up.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"

#include "capture/write/write_private.h"
#include "shared/outbox_shared.h"

#define TIMED_FIRST 16
#define SAMPLE 17
#define MAX_CONTRACTS 32 /* whose costs are held back until the transaction ends */

typedef struct CostEntry
{
	int32 contract_id;
	OutboxCost cost;
} CostEntry;

/* This transaction. */
static uint64 calls = 0;
static CostEntry entries[MAX_CONTRACTS];
static int nentries = 0;
static CostEntry *last = NULL;

static OutboxCost *cost_of(int32 contract_id);
static void publish(void);
static void on_transaction(XactEvent event, void *arg);

/* from _PG_init */
void
OutboxCostInit(void)
{
	RegisterXactCallback(on_transaction, NULL);
}

void
OutboxCostBegin(OutboxCostMark *mark)
{
	mark->weight = 0;
	if (!OutboxSharedAvailable())
		return;
	calls++;
	if (calls <= TIMED_FIRST)
		mark->weight = 1;
	else if (calls % SAMPLE == 0)
		mark->weight = SAMPLE;
	if (mark->weight > 0)
		INSTR_TIME_SET_CURRENT(mark->start);
}

void
OutboxCostEnd(const OutboxCostMark *mark, int32 contract_id, int transitions)
{
	OutboxCost *cost;

	if (!OutboxSharedAvailable())
		return;
	cost = cost_of(contract_id);
	cost->calls++;
	if (transitions == 0)
		cost->skips++;
	else if (transitions != OUTBOX_COST_QUEUED)
		cost->transitions += transitions;
	if (mark->weight > 0)
	{
		instr_time start = mark->start;
		uint64 ns = OutboxCostLap(&start);

		cost->call_ns += ns * mark->weight;
		cost->max_call_ns = Max(cost->max_call_ns, ns);
	}
}

/* Adds the transitions that an evaluation at commit found for a contract's queued keys. */
void
OutboxCostTransitions(int32 contract_id, uint64 transitions)
{
	if (OutboxSharedAvailable())
		cost_of(contract_id)->transitions += transitions;
}

/* Adds one flush: the contract's keys of a transaction, and the nanoseconds spent on them at commit. */
void
OutboxCostFlush(int32 contract_id, uint64 keys, uint64 ns)
{
	OutboxCost *cost;

	if (!OutboxSharedAvailable())
		return;
	cost = cost_of(contract_id);
	cost->flushes++;
	cost->flush_keys += keys;
	cost->flush_ns += ns;
	cost->max_flush_ns = Max(cost->max_flush_ns, ns);
}

/* Nanoseconds since *since, which becomes now. */
uint64
OutboxCostLap(instr_time *since)
{
	instr_time now;
	instr_time elapsed;

	INSTR_TIME_SET_CURRENT(now);
	elapsed = now;
	INSTR_TIME_SUBTRACT(elapsed, *since);
	*since = now;
	return (uint64) (INSTR_TIME_GET_DOUBLE(elapsed) * 1e9);
}

static OutboxCost *
cost_of(int32 contract_id)
{
	if (likely(last != NULL && last->contract_id == contract_id))
		return &last->cost;
	for (int i = 0; i < nentries; i++)
	{
		if (entries[i].contract_id == contract_id)
		{
			last = &entries[i];
			return &last->cost;
		}
	}
	if (nentries == MAX_CONTRACTS)
		publish();
	last = &entries[nentries++];
	memset(last, 0, sizeof(CostEntry));
	last->contract_id = contract_id;
	return &last->cost;
}

static void
publish(void)
{
	for (int i = 0; i < nentries; i++)
		OutboxCountCost(entries[i].contract_id, &entries[i].cost);
	nentries = 0;
	last = NULL;
}

static void
on_transaction(XactEvent event, void *arg)
{
	if (nentries == 0 && calls == 0)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			OutboxCountersFind();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
			publish();
			calls = 0;
			break;
		default:
			break;
	}
}
