/*-------------------------------------------------------------------------
 *
 * hint_runs.c
 *	  The blocks that this transaction wrote events into.
 *
 * Consecutive blocks make one run.  A transaction that is scattered over more
 * runs than fit collapses them into one covering range per leaf: a hint only
 * says where to look, so a wide one costs reading and never an event.  Runs of
 * a subtransaction that is rolled back stay for the same reason.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "capture/write/write_private.h"

#define MAX_RUNS 256

static OutboxHint runs[MAX_RUNS];
static int nruns = 0;

/* The runs so far, in static memory; the caller fills in xid. */
int
OutboxHintRuns(OutboxHint **hints)
{
	*hints = runs;
	return nruns;
}

void
OutboxHintRunsForget(void)
{
	nruns = 0;
}

/* Too many runs: one covering range per leaf. A hint only says where to look. */
static void
collapse(void)
{
	int n = 0;

	for (int i = 0; i < nruns; i++)
	{
		OutboxHint hint = runs[i];
		int j;

		for (j = 0; j < n && runs[j].relfilenumber != hint.relfilenumber; j++)
			;
		if (j == n)
			runs[n++] = hint;
		else
		{
			runs[j].first = Min(runs[j].first, hint.first);
			runs[j].last = Max(runs[j].last, hint.last);
		}
	}
	nruns = n;
}

void
OutboxHintRunAdd(Oid relfilenumber, BlockNumber block)
{
	if (nruns > 0)
	{
		OutboxHint *hint = &runs[nruns - 1];

		if (hint->relfilenumber == relfilenumber && block >= hint->first && block <= hint->last + 1)
		{
			hint->last = Max(hint->last, block);
			return;
		}
	}
	if (nruns == MAX_RUNS)
		collapse();
	if (nruns == MAX_RUNS)
	{
		/* more leaves than runs: storage that no leaf has makes the relay scan */
		runs[MAX_RUNS - 1].relfilenumber = InvalidOid;
		return;
	}
	runs[nruns++] = (OutboxHint){
		.relfilenumber = relfilenumber, .first = block, .last = block};
}
