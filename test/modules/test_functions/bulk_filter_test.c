/*-------------------------------------------------------------------------
 *
 * bulk_filter_test.c
 *	  A function that only tests and benchmarks create: a filter by itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/array.h"

#include "shared/shared_private.h"

PG_FUNCTION_INFO_V1(outbox_test_bulk_filter);

static uint64 count_hits(int filter, uint64 first, uint64 n);

/*
 * (nkeys bigint) → float8[]: ns per key to make a filter of nkeys
 * keys, ns to ask for one, how many of them it has, and how many of as many
 * others. NULL: there was no room.
 */
Datum
outbox_test_bulk_filter(PG_FUNCTION_ARGS)
{
	uint64 nkeys = (uint64) PG_GETARG_INT64(0);
	instr_time start, made, asked;
	Datum result[4];
	uint64 hits;
	int filter;

	INSTR_TIME_SET_CURRENT(start);
	filter = OutboxBulkFilterCreate(nkeys);
	if (filter < 0)
		PG_RETURN_NULL();
	for (uint64 i = 0; i < nkeys; i++)
		OutboxBulkFilterAdd(filter, hash_combine64(0, hash_bytes_uint32_extended((uint32) i, 0)));
	INSTR_TIME_SET_CURRENT(made);
	hits = count_hits(filter, 0, nkeys);
	INSTR_TIME_SET_CURRENT(asked);
	INSTR_TIME_SUBTRACT(asked, made);
	INSTR_TIME_SUBTRACT(made, start);
	result[0] = Float8GetDatum(INSTR_TIME_GET_DOUBLE(made) * 1e9 / nkeys);
	result[1] = Float8GetDatum(INSTR_TIME_GET_DOUBLE(asked) * 1e9 / nkeys);
	result[2] = Float8GetDatum((double) hits);
	result[3] = Float8GetDatum((double) count_hits(filter, nkeys, nkeys));
	OutboxBulkFiltersForget();
	PG_RETURN_ARRAYTYPE_P(construct_array(result, 4, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static uint64
count_hits(int filter, uint64 first, uint64 n)
{
	uint64 hits = 0;

	for (uint64 i = first; i < first + n; i++)
	{
		uint64 hash = hash_combine64(0, hash_bytes_uint32_extended((uint32) i, 0));

		if (OutboxBulkFilterMayHave(filter, &hash, 1))
			hits++;
	}
	return hits;
}
