/*-------------------------------------------------------------------------
 *
 * tally.c
 *	  How many events of each leaf a sink has acknowledged.
 *
 * A second way to count what the position says: the keeper compares it with
 * the events that it has counted in the leaf itself, before it lets the leaf
 * go. Counts move only together with the position and are written in the same
 * row, so what is sent twice after a crash is counted once.
 *
 * keeper_census.c says which promise rests on it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/memutils.h"

#include "relay/read/read_private.h"

static Datum build_array(const Datum *values, int n, Oid type);

void
OutboxTallyAdd(OutboxTally *tally, int16 leaf, uint16 use, int64 events)
{
	for (int i = 0; i < tally->n; i++)
	{
		if (tally->counts[i].leaf == leaf && tally->counts[i].use == use)
		{
			tally->counts[i].acked += events;
			tally->latest = i;
			return;
		}
	}
	if (tally->n == tally->capacity)
	{
		int capacity = Max(tally->capacity * 2, 8);

		if (tally->counts == NULL)
			tally->counts = MemoryContextAlloc(tally->context, capacity * sizeof(OutboxLeafCount));
		else
			tally->counts = repalloc(tally->counts, capacity * sizeof(OutboxLeafCount));
		tally->capacity = capacity;
	}
	tally->latest = tally->n++;
	tally->counts[tally->latest] = (OutboxLeafCount){.leaf = leaf, .use = use, .acked = events};
}

/* Forgets leaves that nobody asks for any more. */
void
OutboxTallyForgetSettled(OutboxTally *tally, const OutboxLeaves *leaves)
{
	int kept = 0;

	for (int i = 0; i < tally->n; i++)
	{
		const OutboxLeafCount *count = &tally->counts[i];

		if (!OutboxLeavesSettled(leaves, count->leaf, count->use))
			tally->counts[kept++] = *count;
	}
	tally->n = kept;
	tally->latest = 0;
}

void
OutboxTallyCopy(OutboxTally *to, const OutboxTally *from, MemoryContext context)
{
	*to = (OutboxTally){.context = context};
	for (int i = 0; i < from->n; i++)
		OutboxTallyAdd(to, from->counts[i].leaf, from->counts[i].use, from->counts[i].acked);
}

/*
 * As the columns leaves, leaf_uses and leaf_acked of outbox_internal.relay_progress; allocated in the current context.
 */
void
OutboxTallyToArrays(const OutboxTally *tally, Datum *leaves, Datum *uses, Datum *acked)
{
	Datum *values = palloc(sizeof(Datum) * Max(tally->n, 1));

	for (int i = 0; i < tally->n; i++)
		values[i] = Int16GetDatum(tally->counts[i].leaf);
	*leaves = build_array(values, tally->n, INT2OID);
	for (int i = 0; i < tally->n; i++)
		values[i] = Int32GetDatum(tally->counts[i].use);
	*uses = build_array(values, tally->n, INT4OID);
	for (int i = 0; i < tally->n; i++)
		values[i] = Int64GetDatum(tally->counts[i].acked);
	*acked = build_array(values, tally->n, INT8OID);
	pfree(values);
}

static Datum
build_array(const Datum *values, int n, Oid type)
{
	int16 len = type == INT2OID ? sizeof(int16) : type == INT4OID ? sizeof(int32)
																  : sizeof(int64);
	char align = type == INT2OID ? TYPALIGN_SHORT : type == INT4OID ? TYPALIGN_INT
																	: TYPALIGN_DOUBLE;

	return PointerGetDatum(construct_array((Datum *) values, n, type, len, type != INT8OID || FLOAT8PASSBYVAL, align));
}

void
OutboxTallyFromArrays(OutboxTally *tally, Datum leaves, Datum uses, Datum acked)
{
	Datum *leaf;
	Datum *use;
	Datum *count;
	int n;
	int nuses;
	int ncounts;

	deconstruct_array(DatumGetArrayTypeP(leaves), INT2OID, sizeof(int16), true, TYPALIGN_SHORT, &leaf, NULL, &n);
	deconstruct_array(DatumGetArrayTypeP(uses), INT4OID, sizeof(int32), true, TYPALIGN_INT, &use, NULL, &nuses);
	deconstruct_array(DatumGetArrayTypeP(acked), INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &count, NULL, &ncounts);
	for (int i = 0; i < Min(n, Min(nuses, ncounts)); i++)
		OutboxTallyAdd(tally, DatumGetInt16(leaf[i]), (uint16) DatumGetInt32(use[i]), DatumGetInt64(count[i]));
}
