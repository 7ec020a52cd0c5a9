/*-------------------------------------------------------------------------
 *
 * compatible.c
 *	  Walks a reader's and a writer's schema together and reports where they
 *	  do not fit.
 *
 * Two records that are met again while they are compared count as compatible:
 * a recursive schema is compatible unless something else in it is not (greatest
 * fixed point).  Pairs found compatible on that assumption are forgotten when it
 * proves wrong, which matters when a union has another branch to try.
 *
 * A pair of records that is known to fit is not walked again.  A pair that does not
 * fit is, so that a type that is used in two places is reported in both.
 *
 * Plain C, see schema_model.h.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "avro/compatible/comparison.h"

static AvroOutcome compare_types(AvroComparison *comparison, const AvroNode *reader, const AvroNode *writer);

/* How well a branch of the reader's union fits what is not a union, before a look inside. */
typedef enum Rank
{
	RANK_NONE,
	RANK_OTHER_NAME, /* the right kind of named type under a name that does not match */
	RANK_PROMOTED,
	RANK_ALIAS,
	RANK_SHORT_NAME,
	RANK_EXACT
} Rank;

static Rank
rank_branch(AvroComparison *comparison, const AvroNode *reader, const AvroNode *writer)
{
	if (reader->kind != writer->kind)
		return AvroPromotes(reader->kind, writer->kind) ? RANK_PROMOTED : RANK_NONE;
	if (reader->name == NULL || strcmp(reader->name, writer->name) == 0)
		return RANK_EXACT;
	if (AvroSameShortName(reader, writer))
		return RANK_SHORT_NAME;
	return AvroHasAlias(comparison, &reader->aliases, writer->name) ? RANK_ALIAS : RANK_OTHER_NAME;
}

/* Does this branch take all that is written? Reports nothing. */
static bool
branch_takes(AvroComparison *comparison, const AvroNode *reader, const AvroNode *writer)
{
	bool silent = comparison->silent;
	AvroOutcome outcome;

	comparison->silent = true;
	outcome = compare_types(comparison, reader, writer);
	comparison->silent = silent;
	return outcome != AVRO_OUTCOME_BREAKS;
}

/*
 * The branch that a reader takes for the written type, -1 if none.  The type itself, or
 * the type of the same full name, is taken without a look inside.  Among branches that
 * match by a shorter name or a promotion, the first one that takes all values is taken.
 * *first is the first branch that matches at all: the specification, and some readers,
 * take that one.
 */
static int
choose_branch(AvroComparison *comparison, const AvroNode *reader, const AvroNode *writer, int *first)
{
	int found[RANK_EXACT + 1] = {0};  /* branches of each rank */
	int branch[RANK_EXACT + 1] = {0}; /* the first of them */
	int matching = 0;
	int rank;
	int i;

	for (i = 0; i < reader->count; i++)
	{
		rank = (int) rank_branch(comparison, reader->branches[i], writer);
		if (found[rank]++ == 0)
			branch[rank] = i;
		if (rank >= RANK_PROMOTED && matching++ == 0)
			*first = i;
	}
	if (!AvroCountSteps(comparison, reader->count))
		return -1;
	if (found[RANK_EXACT] > 0)
		return branch[RANK_EXACT];
	for (rank = RANK_SHORT_NAME; matching > 1 && rank >= RANK_PROMOTED; rank--)
	{
		for (i = 0; found[rank] > 0 && i < reader->count; i++)
		{
			if ((int) rank_branch(comparison, reader->branches[i], writer) == rank &&
				branch_takes(comparison, reader->branches[i], writer))
				return i;
		}
	}
	if (matching > 0)
	{
		for (rank = RANK_SHORT_NAME; found[rank] == 0; rank--)
			;
		return branch[rank];
	}
	*first = branch[RANK_OTHER_NAME]; /* nothing else matches: no reader differs */
	return found[RANK_OTHER_NAME] == 1 ? branch[RANK_OTHER_NAME] : -1;
}

/* The name of a branch, for a path where it is not the only one beside null. */
static const char *
branch_name(const AvroNode *reader, int branch)
{
	const AvroNode *node = reader->branches[branch];
	int others = 0;
	int i;

	for (i = 0; i < reader->count && others < 2; i++)
		others += reader->branches[i]->kind != AVRO_KIND_NULL;
	if (others < 2)
		return NULL;
	return node->name != NULL ? node->name : AvroKindName(node->kind);
}

static AvroOutcome
compare_with_union(AvroComparison *comparison, const AvroNode *reader, const AvroNode *writer)
{
	AvroOutcome outcome = AVRO_OUTCOME_CLEAN;
	int first = -1;
	int branch = choose_branch(comparison, reader, writer, &first);

	if (branch < 0)
		return AvroReport(comparison, AVRO_SEVERITY_ERROR, AVRO_RULE_UNION_BRANCH, "written as %s%s%.100s, which no branch of the reader's union reads",
						  AvroKindName(writer->kind), writer->name != NULL ? " " : "", writer->name != NULL ? writer->name : "");
	if (branch != first)
		outcome = AvroReport(comparison, AVRO_SEVERITY_WARNING, AVRO_RULE_UNION_BRANCH,
							 "some readers take branch %d for what was written as %s, because it comes before branch %d",
							 first, AvroKindName(writer->kind), branch);
	if (!AvroEnterPlace(comparison, AVRO_PLACE_BRANCH, branch_name(reader, branch), branch))
		return AVRO_OUTCOME_BREAKS;
	outcome = AvroWorse(outcome, compare_types(comparison, reader->branches[branch], writer));
	AvroLeavePlace(comparison);
	return outcome;
}

/* Each of the writer's branches has to be read. */
static AvroOutcome
compare_written_union(AvroComparison *comparison, const AvroNode *reader, const AvroNode *writer)
{
	AvroOutcome outcome = AVRO_OUTCOME_CLEAN;
	int i;

	for (i = 0; i < writer->count; i++)
		outcome = AvroWorse(outcome, compare_types(comparison, reader, writer->branches[i]));
	return outcome;
}

/* What is known of two records while their fields are compared. */
typedef struct FieldMatch
{
	const AvroNode *reader;
	const AvroNode *writer;
	int *takers; /* for each written field, one more than the reader's field that takes it; 0: none */
	int next;    /* where the next one mostly stands */
} FieldMatch;

/*
 * The written field that feeds a field of the reader, -1 if none; *other, if
 * not -1, is one more that it matches.
 */
static int
find_written_field(AvroComparison *comparison, const AvroField *field, const FieldMatch *fields, int *other)
{
	const AvroNode *writer = fields->writer;
	int match = -1;
	int i;

	*other = -1;
	if (fields->next < writer->count && strcmp(writer->fields[fields->next].name, field->name) == 0)
		match = fields->next;
	if ((match >= 0 && field->aliases.count == 0) || !AvroCountSteps(comparison, writer->count))
		return match;
	for (i = 0; i < writer->count && *other < 0; i++)
	{
		const char *name = writer->fields[i].name;

		if (i == match || (strcmp(name, field->name) != 0 && !AvroHasAlias(comparison, &field->aliases, name)))
			continue;
		if (match < 0)
			match = i;
		else
			*other = i;
	}
	return match;
}

static AvroOutcome
missing_field(AvroComparison *comparison, const AvroField *field)
{
	if (comparison->failed)
		return AVRO_OUTCOME_BREAKS;
	if (field->default_kind == AVRO_DEFAULT_NONE)
		return AvroReport(comparison, AVRO_SEVERITY_ERROR, AVRO_RULE_FIELD_NO_DEFAULT, "not written, and the reader has no default");
	if (!AvroDefaultFits(field->type, field->default_kind))
		return AvroReport(comparison, AVRO_SEVERITY_ERROR, AVRO_RULE_FIELD_NO_DEFAULT, "not written, and the reader's default is no %s",
						  AvroKindName(field->type->kind));
	return AVRO_OUTCOME_CLEAN;
}

static AvroOutcome
compare_field(AvroComparison *comparison, FieldMatch *fields, int index)
{
	const AvroField *field = &fields->reader->fields[index];
	const AvroField *written = fields->writer->fields;
	int other;
	int match = find_written_field(comparison, field, fields, &other);
	AvroOutcome outcome = AVRO_OUTCOME_CLEAN;

	if (match < 0)
		return missing_field(comparison, field);
	if (other >= 0)
		outcome = AvroReport(comparison, AVRO_SEVERITY_ERROR, AVRO_RULE_ALIAS_AMBIGUOUS, "matches two fields that are written, \"%.100s\" and \"%.100s\"",
							 written[match].name, written[other].name);
	if (fields->takers[match] > 0)
		outcome = AvroReport(comparison, AVRO_SEVERITY_ERROR, AVRO_RULE_ALIAS_AMBIGUOUS, "matches the written field \"%.100s\", and so does field \"%.100s\"",
							 written[match].name, fields->reader->fields[fields->takers[match] - 1].name);
	fields->takers[match] = index + 1;
	fields->next = match + 1;
	return AvroWorse(outcome, compare_types(comparison, field->type, written[match].type));
}

static AvroOutcome
compare_fields(AvroComparison *comparison, const AvroNode *reader, const AvroNode *writer)
{
	FieldMatch fields = {.reader = reader, .writer = writer};
	AvroOutcome outcome = AVRO_OUTCOME_CLEAN;
	int i;

	fields.takers = AvroAlloc(comparison->arena, (size_t) writer->count, sizeof(int), comparison->fault);
	if (fields.takers == NULL)
	{
		comparison->failed = true;
		return AVRO_OUTCOME_BREAKS;
	}
	for (i = 0; i < reader->count && !comparison->failed; i++)
	{
		if (!AvroEnterPlace(comparison, AVRO_PLACE_FIELD, reader->fields[i].name, i))
			return AVRO_OUTCOME_BREAKS;
		outcome = AvroWorse(outcome, compare_field(comparison, &fields, i));
		AvroLeavePlace(comparison);
		/* Nothing more can change it. */
		if (comparison->silent && outcome == AVRO_OUTCOME_BREAKS)
			break;
	}
	return outcome;
}

static AvroOutcome
compare_records(AvroComparison *comparison, const AvroNode *reader, const AvroNode *writer)
{
	int index = AvroFindPair(comparison, reader, writer);
	uint64_t began = comparison->clock;
	AvroOutcome outcome;
	AvroPair *pair;

	if (index < 0)
		return AVRO_OUTCOME_BREAKS;
	pair = &comparison->pairs[index];
	if (pair->active)
	{
		pair->assumed = true;
		return AVRO_OUTCOME_CLEAN;
	}
	if (pair->known && (comparison->silent || pair->outcome == AVRO_OUTCOME_CLEAN))
		return pair->outcome;

	pair->active = true;
	outcome = AvroCompareNames(comparison, reader, writer);
	if (outcome != AVRO_OUTCOME_BREAKS || !comparison->silent)
		outcome = AvroWorse(outcome, compare_fields(comparison, reader, writer));
	pair = &comparison->pairs[index];
	/* Walked again below a record that it refers to, it may look better than it is. */
	if (pair->known)
		outcome = AvroWorse(outcome, pair->outcome);
	if (pair->assumed && outcome == AVRO_OUTCOME_BREAKS)
		AvroForgetSince(comparison, began);
	pair->active = pair->assumed = false;
	pair->known = true;
	pair->outcome = outcome;
	pair->known_at = ++comparison->clock;
	return outcome;
}

/* Compares the items of an array or a map. */
static AvroOutcome
compare_items(AvroComparison *comparison, const AvroNode *reader, const AvroNode *writer)
{
	AvroOutcome outcome;

	if (!AvroEnterPlace(comparison, reader->kind == AVRO_KIND_ARRAY ? AVRO_PLACE_ITEMS : AVRO_PLACE_VALUES, NULL, 0))
		return AVRO_OUTCOME_BREAKS;
	outcome = compare_types(comparison, reader->items, writer->items);
	AvroLeavePlace(comparison);
	return outcome;
}

static AvroOutcome
compare_types(AvroComparison *comparison, const AvroNode *reader, const AvroNode *writer)
{
	if (!AvroCountSteps(comparison, 1))
		return AVRO_OUTCOME_BREAKS;
	if (writer->kind == AVRO_KIND_UNION)
		return compare_written_union(comparison, reader, writer);
	if (reader->kind == AVRO_KIND_UNION)
		return compare_with_union(comparison, reader, writer);
	if (reader->kind != writer->kind)
		return AvroCompareLeaves(comparison, reader, writer);
	switch (reader->kind)
	{
		case AVRO_KIND_RECORD:
			return compare_records(comparison, reader, writer);
		case AVRO_KIND_ARRAY:
		case AVRO_KIND_MAP:
			return compare_items(comparison, reader, writer);
		default:
			return AvroCompareLeaves(comparison, reader, writer);
	}
}

bool
AvroCompatible(AvroArena *arena, const AvroNode *reader, const AvroNode *writer,
			   const AvroDifferenceSink *sink, bool *compatible, AvroFault *fault)
{
	AvroText text = {.arena = arena, .fault = fault};
	AvroComparison comparison = {.arena = arena, .fault = fault, .sink = sink, .path = text, .pointer = text};

	comparison.places = AvroAlloc(arena, AVRO_MAX_COMPARISON_DEPTH, sizeof(AvroPlace), fault);
	if (comparison.places == NULL)
		return false;
	*compatible = compare_types(&comparison, reader, writer) != AVRO_OUTCOME_BREAKS;
	return !comparison.failed;
}
