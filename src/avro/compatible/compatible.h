/*-------------------------------------------------------------------------
 *
 * compatible.h
 *	  Can a reader's schema read what a writer's schema wrote, and mean the same?
 *
 * Avro's own rules of schema resolution (specification 1.12, "Schema
 * Resolution"), and what they leave out: logical types, a decimal's scale,
 * aliases that match twice.  Every difference is reported, each with its place.
 *
 * Plain C, see schema_model.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_AVRO_COMPATIBLE_H
#define OUTBOX_AVRO_COMPATIBLE_H

#include "avro/schema/schema_model.h"

/* What schemas of any size may cost; beyond, the comparison is given up with a fault. */
#define AVRO_MAX_COMPARISON_DEPTH 512                /* recursive schemas have no depth of their own */
#define AVRO_MAX_COMPARISON_STEPS 20000000           /* about a second */
#define AVRO_MAX_DIFFERENCES_SIZE (16 * 1024 * 1024) /* bytes of all texts */

/* Steps between two calls of AvroDifferenceSink.step. */
#define AVRO_COMPARISON_STRIDE 4096

typedef enum AvroSeverity
{
	AVRO_SEVERITY_WARNING, /* readable; whoever changed it should know */
	AVRO_SEVERITY_ERROR    /* some value cannot be read, or is read as another one */
} AvroSeverity;

typedef enum AvroRule
{
	AVRO_RULE_NAME,
	AVRO_RULE_FIELD_NO_DEFAULT,
	AVRO_RULE_TYPE,
	AVRO_RULE_UNION_BRANCH,
	AVRO_RULE_ENUM_SYMBOL,
	AVRO_RULE_FIXED_SIZE,
	AVRO_RULE_DECIMAL_SCALE,
	AVRO_RULE_DECIMAL_PRECISION,
	AVRO_RULE_LOGICAL,
	AVRO_RULE_ALIAS_AMBIGUOUS,
	AVRO_RULE_LOSSY
} AvroRule;
#define AVRO_RULES (AVRO_RULE_LOSSY + 1)

/* The texts are there during AvroDifferenceSink.take only. */
typedef struct AvroDifference
{
	AvroSeverity severity;
	AvroRule rule;
	const char *path;    /* "items[].unit_price"; empty at the root */
	const char *pointer; /* JSON pointer (RFC 6901) into the reader's schema, through names to what they name */
	const char *message; /* ASCII */
} AvroDifference;

/* Both functions may longjmp: a comparison holds memory of its arena only. */
typedef struct AvroDifferenceSink
{
	void (*take)(void *context, const AvroDifference *difference);
	void (*step)(void *context); /* called now and then, for interrupts; or NULL */
	void *context;
} AvroDifferenceSink;

/* "NAME", "FIELD_NO_DEFAULT", ... and "warning", "error" */
extern const char *const avro_rule_names[AVRO_RULES];
extern const char *const avro_severity_names[AVRO_SEVERITY_ERROR + 1];

/*
 * Reports all differences.  False with *fault when the comparison had to be
 * given up; what was reported by then is right but not all.  Otherwise
 * *compatible says that no difference is an error.
 */
extern bool AvroCompatible(AvroArena *arena, const AvroNode *reader, const AvroNode *writer,
						   const AvroDifferenceSink *sink, bool *compatible, AvroFault *fault);

/* level.c: the levels of schema registries. */
typedef enum AvroLevel
{
	AVRO_LEVEL_NONE,
	AVRO_LEVEL_BACKWARD,
	AVRO_LEVEL_BACKWARD_TRANSITIVE,
	AVRO_LEVEL_FORWARD,
	AVRO_LEVEL_FORWARD_TRANSITIVE,
	AVRO_LEVEL_FULL,
	AVRO_LEVEL_FULL_TRANSITIVE
} AvroLevel;
#define AVRO_LEVELS (AVRO_LEVEL_FULL_TRANSITIVE + 1)

extern const char *const avro_level_names[AVRO_LEVELS];
extern bool AvroLevelByName(const char *name, AvroLevel *level);
extern bool AvroLevelIsTransitive(AvroLevel level); /* all older schemas count, not the newest alone */

/* One comparison that a level asks for: who reads whom. */
typedef struct AvroLevelCheck
{
	int against;  /* index of the older schema */
	bool forward; /* the older schema reads what the new one writes; otherwise the other way round */
} AvroLevelCheck;

/*
 * Compares a schema with older ones, newest first, as the level asks: with the
 * newest, or with all if transitive; backward (it reads them), forward (they read it), or
 * both.  begin, if not NULL, is told before each comparison what the differences that
 * follow belong to.  Result as of AvroCompatible.
 */
extern bool AvroCompatibleAtLevel(AvroArena *arena, AvroLevel level, const AvroNode *schema,
								  const AvroNode *const *older, int count, const AvroDifferenceSink *sink,
								  void (*begin)(void *context, const AvroLevelCheck *check),
								  bool *compatible, AvroFault *fault);

#endif /* OUTBOX_AVRO_COMPATIBLE_H */
