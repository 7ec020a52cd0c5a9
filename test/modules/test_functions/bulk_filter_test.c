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

#include "shared/bulk_filter.h"

PG_FUNCTION_INFO_V1(outbox_test_bulk_filter);

/* No aggregate type has it: their lowest bits are 0. */
#define LOCK_CLASS 1

static uint64 count_hits(uint64 first, uint64 n);

/*
 * (nkeys bigint) → float8[]: ns per key to make and publish a filter of nkeys
 * keys, ns to ask for one, how many of them it has, and how many of as many
 * others. NULL: there was no room.
 */
Datum
outbox_test_bulk_filter(PG_FUNCTION_ARGS)
{
	uint64 nkeys = (uint64) PG_GETARG_INT64(0);
	instr_time start, published, asked;
	Datum result[4];
	uint64 hits;
	int filter;

	INSTR_TIME_SET_CURRENT(start);
	filter = OutboxBulkFilterCreate(LOCK_CLASS, nkeys);
	if (filter < 0)
		PG_RETURN_NULL();
	for (uint64 i = 0; i < nkeys; i++)
		OutboxBulkFilterAdd(filter, hash_combine64(0, hash_bytes_uint32_extended((uint32) i, 0)));
	OutboxBulkFilterPublish(filter);
	INSTR_TIME_SET_CURRENT(published);
	hits = count_hits(0, nkeys);
	INSTR_TIME_SET_CURRENT(asked);
	INSTR_TIME_SUBTRACT(asked, published);
	INSTR_TIME_SUBTRACT(published, start);
	result[0] = Float8GetDatum(INSTR_TIME_GET_DOUBLE(published) * 1e9 / nkeys);
	result[1] = Float8GetDatum(INSTR_TIME_GET_DOUBLE(asked) * 1e9 / nkeys);
	result[2] = Float8GetDatum((double) hits);
	result[3] = Float8GetDatum((double) count_hits(nkeys, nkeys));
	OutboxBulkFiltersForget();
	PG_RETURN_ARRAYTYPE_P(construct_array(result, 4, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static uint64
count_hits(uint64 first, uint64 n)
{
	uint64 hits = 0;

	for (uint64 i = first; i < first + n; i++)
	{
		uint64 hash = hash_combine64(0, hash_bytes_uint32_extended((uint32) i, 0));

		if (OutboxBulkFilterAsk(LOCK_CLASS, &hash, 1) == OUTBOX_BULK_MAY_HAVE)
			hits++;
	}
	return hits;
}
