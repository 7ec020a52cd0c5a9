/*-------------------------------------------------------------------------
 *
 * writer_counters.c
 *	  What capture did per contract, and the time that it took the writers.
 *
 * Summed up in this backend, and added to the counters in shared memory when
 * the transaction ends. A rollback counts too: the time was spent.
 *
 * Reading the clock twice takes 50 ns, a sixth of the time for a row that
 * changes nothing. So the first calls of a transaction are all timed, and then
 * one of SAMPLE, which counts SAMPLE times. SAMPLE is a prime: several contracts
 * on a table take turns, and each must be timed now and then.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"

#include "capture/write/write_private.h"
#include "shared/outbox_shared.h"

#define TIMED_FIRST 16
#define SAMPLE 17
#define MAX_CONTRACTS 32 /* counted here until the transaction ends */

typedef struct Entry
{
	int32 contract_id;
	OutboxWriterCounters counters;
} Entry;

/* This transaction. */
static uint64 calls = 0;
static Entry entries[MAX_CONTRACTS];
static int nentries = 0;
static Entry *last = NULL;

static OutboxWriterCounters *counters_of(int32 contract_id);
static void publish(void);
static void on_transaction(XactEvent event, void *arg);

/* from _PG_init */
void
OutboxWriterCountersInit(void)
{
	RegisterXactCallback(on_transaction, NULL);
}

/* Before a call of the trigger function. Never raises. */
void
OutboxCountCallBegin(OutboxCallMark *mark)
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

/*
 * After the call; a call that raised is not counted. `transitions` are the pairs of
 * contract rows in which something published differs; 0 is a skip. Never raises.
 */
void
OutboxCountCallEnd(const OutboxCallMark *mark, int32 contract_id, int transitions)
{
	OutboxWriterCounters *counters;

	if (!OutboxSharedAvailable())
		return;
	counters = counters_of(contract_id);
	counters->calls++;
	if (transitions == 0)
		counters->skips++;
	else if (transitions != OUTBOX_CALL_QUEUED)
		counters->transitions += transitions;
	if (mark->weight > 0)
	{
		instr_time start = mark->start;
		uint64 ns = OutboxClockLap(&start);

		counters->call_ns += ns * mark->weight;
		counters->max_call_ns = Max(counters->max_call_ns, ns);
	}
}

/* Adds the transitions that an evaluation at commit found for a contract's queued keys. */
void
OutboxCountTransitions(int32 contract_id, uint64 transitions)
{
	if (OutboxSharedAvailable())
		counters_of(contract_id)->transitions += transitions;
}

/* Adds one flush: the contract's keys of a transaction, and the nanoseconds spent on them at commit. */
void
OutboxCountFlush(int32 contract_id, uint64 keys, uint64 ns)
{
	OutboxWriterCounters *counters;

	if (!OutboxSharedAvailable())
		return;
	counters = counters_of(contract_id);
	counters->flushes++;
	counters->flush_keys += keys;
	counters->flush_ns += ns;
	counters->max_flush_ns = Max(counters->max_flush_ns, ns);
}

/* Nanoseconds since *since, which becomes now. */
uint64
OutboxClockLap(instr_time *since)
{
	instr_time now;
	instr_time elapsed;

	INSTR_TIME_SET_CURRENT(now);
	elapsed = now;
	INSTR_TIME_SUBTRACT(elapsed, *since);
	*since = now;
	return (uint64) (INSTR_TIME_GET_DOUBLE(elapsed) * 1e9);
}

static OutboxWriterCounters *
counters_of(int32 contract_id)
{
	if (likely(last != NULL && last->contract_id == contract_id))
		return &last->counters;
	for (int i = 0; i < nentries; i++)
	{
		if (entries[i].contract_id == contract_id)
		{
			last = &entries[i];
			return &last->counters;
		}
	}
	if (nentries == MAX_CONTRACTS)
		publish();
	last = &entries[nentries++];
	memset(last, 0, sizeof(Entry));
	last->contract_id = contract_id;
	return &last->counters;
}

static void
publish(void)
{
	for (int i = 0; i < nentries; i++)
		OutboxCountWriters(entries[i].contract_id, &entries[i].counters);
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
