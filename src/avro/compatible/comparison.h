/*-------------------------------------------------------------------------
 *
 * comparison.h
 *	  What the files of the compatibility checker share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_AVRO_COMPARISON_H
#define OUTBOX_AVRO_COMPARISON_H

#include "avro/compatible/compatible.h"
#include "avro/schema/text_buffer.h"

/* The worst that a comparison of two types found. */
typedef enum AvroOutcome
{
	AVRO_OUTCOME_CLEAN,
	AVRO_OUTCOME_WARNS,
	AVRO_OUTCOME_BREAKS
} AvroOutcome;

typedef enum AvroPlaceKind
{
	AVRO_PLACE_FIELD,
	AVRO_PLACE_ITEMS,
	AVRO_PLACE_VALUES,
	AVRO_PLACE_BRANCH
} AvroPlaceKind;

/* A step from a type of the reader's schema to a type inside. */
typedef struct AvroPlace
{
	AvroPlaceKind kind;
	const char *name; /* of a field; of a branch that the path must name, else NULL */
	int index;        /* of a field or branch */
} AvroPlace;

/* Two records that were compared, or are being compared. */
typedef struct AvroPair
{
	const AvroNode *reader;
	const AvroNode *writer;
	bool known;   /* outcome holds */
	bool active;  /* being compared further up */
	bool assumed; /* met again while active, and taken for compatible */
	AvroOutcome outcome;
	uint64_t known_at; /* time of AvroComparison.clock */
} AvroPair;

typedef struct AvroComparison
{
	AvroArena *arena;
	AvroFault *fault;
	const AvroDifferenceSink *sink;
	bool failed; /* *fault is set: come to an end */
	bool silent; /* only the outcome is wanted */
	int64_t steps;
	int64_t next_stride;
	size_t written;    /* bytes of all differences */
	AvroPlace *places; /* AVRO_MAX_COMPARISON_DEPTH */
	int depth;
	AvroText path; /* of the last difference */
	AvroText pointer;

	/* pair_memo.c */
	AvroPair *pairs;
	int pair_count;
	int pair_room;
	int *buckets; /* 1 + index of a pair; 2 * pair_room of them */
	uint64_t clock;
} AvroComparison;

static inline AvroOutcome
AvroWorse(AvroOutcome a, AvroOutcome b)
{
	return a > b ? a : b;
}

/* report.c */
extern bool AvroCountSteps(AvroComparison *comparison, int64_t steps);
extern bool AvroEnterPlace(AvroComparison *comparison, AvroPlaceKind kind, const char *name, int index);
extern void AvroLeavePlace(AvroComparison *comparison);
extern AvroOutcome AvroReport(AvroComparison *comparison, AvroSeverity severity, AvroRule rule, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* rules.c */
extern const char *AvroKindName(AvroKind kind);
extern bool AvroPromotes(AvroKind reader, AvroKind writer);
extern bool AvroSameShortName(const AvroNode *reader, const AvroNode *writer);
extern bool AvroHasAlias(AvroComparison *comparison, const AvroAliases *aliases, const char *name);
extern bool AvroDefaultFits(const AvroNode *type, AvroDefault kind);
extern AvroOutcome AvroCompareNames(AvroComparison *comparison, const AvroNode *reader, const AvroNode *writer);
extern AvroOutcome AvroCompareLeaves(AvroComparison *comparison, const AvroNode *reader, const AvroNode *writer);

/* pair_memo.c */
extern int AvroFindPair(AvroComparison *comparison, const AvroNode *reader, const AvroNode *writer);
extern void AvroForgetSince(AvroComparison *comparison, uint64_t clock);

#endif /* OUTBOX_AVRO_COMPARISON_H */
