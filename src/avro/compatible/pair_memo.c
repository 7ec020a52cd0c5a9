/*-------------------------------------------------------------------------
 *
 * pair_memo.c
 *	  Which records of two schemas were compared, and with what outcome.
 *
 * Recursion always goes through a record, so only pairs of records are kept.
 * Plain C, see schema_model.h.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "avro/compatible/comparison.h"

#define FIRST_ROOM 64

/* The bucket of a pair, or the empty one where it belongs. There always is an empty one. */
static int *
find_bucket(const AvroComparison *comparison, const AvroNode *reader, const AvroNode *writer)
{
	unsigned int mask = 2 * (unsigned int) comparison->pair_room - 1;
	uint64_t hash = ((uint64_t) (uintptr_t) reader * 31 + (uint64_t) (uintptr_t) writer) * UINT64_C(0x9e3779b97f4a7c15);
	unsigned int i = (unsigned int) (hash >> 32) & mask;

	while (comparison->buckets[i] != 0)
	{
		const AvroPair *pair = &comparison->pairs[comparison->buckets[i] - 1];

		if (pair->reader == reader && pair->writer == writer)
			break;
		i = (i + 1) & mask;
	}
	return &comparison->buckets[i];
}

static bool
make_room(AvroComparison *comparison)
{
	int room = comparison->pair_room > 0 ? 2 * comparison->pair_room : FIRST_ROOM;
	AvroPair *pairs = AvroAlloc(comparison->arena, (size_t) room, sizeof(AvroPair), comparison->fault);
	int *buckets = pairs != NULL ? AvroAlloc(comparison->arena, 2 * (size_t) room, sizeof(int), comparison->fault) : NULL;
	int i;

	if (buckets == NULL)
		return false;
	if (comparison->pair_count > 0)
		memcpy(pairs, comparison->pairs, (size_t) comparison->pair_count * sizeof(AvroPair));
	comparison->pairs = pairs;
	comparison->buckets = buckets;
	comparison->pair_room = room;
	for (i = 0; i < comparison->pair_count; i++)
		*find_bucket(comparison, pairs[i].reader, pairs[i].writer) = i + 1;
	return true;
}

/* Index of the pair, which is made when it is new; -1 with the fault set. Pairs move: keep the index. */
int
AvroFindPair(AvroComparison *comparison, const AvroNode *reader, const AvroNode *writer)
{
	int *bucket;

	if (comparison->pair_count == comparison->pair_room && !make_room(comparison))
	{
		comparison->failed = true;
		return -1;
	}
	bucket = find_bucket(comparison, reader, writer);
	if (*bucket == 0)
	{
		AvroPair *pair = &comparison->pairs[comparison->pair_count];

		pair->reader = reader;
		pair->writer = writer;
		*bucket = ++comparison->pair_count;
	}
	return *bucket - 1;
}

/*
 * Forgets pairs that were found compatible since that time: they rested on an
 * assumption that proved wrong. Pairs that do not fit, do not under any assumption.
 */
void
AvroForgetSince(AvroComparison *comparison, uint64_t clock)
{
	int i;

	if (!AvroCountSteps(comparison, comparison->pair_count))
		return;
	for (i = 0; i < comparison->pair_count; i++)
	{
		AvroPair *pair = &comparison->pairs[i];

		if (pair->known && pair->known_at > clock && pair->outcome != AVRO_OUTCOME_BREAKS)
			pair->known = false;
	}
}
