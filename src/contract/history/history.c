/*-------------------------------------------------------------------------
 *
 * history.c
 *	  A schema compared with those that were pinned before under its topic and name.
 *
 * The history is in the rows of outbox_internal.event_schema, which outlive their
 * contract: dropping and creating a contract does not make consumers forget.
 * Nothing here runs in capture: only what pins a schema asks, and who looks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "avro/schema/schema.h"
#include "contract/history/history_private.h"

/* A comparison under way. */
typedef struct Comparison
{
	const OutboxContractConfig *config;
	const OutboxEventTypeConfig *type;
	MemoryContext caller;
	List *violations; /* of OutboxViolation *, in the caller's memory */
	const AvroNode *schema;
	const AvroNode **older; /* newest first */
	int32 *versions;
	AvroLevelCheck check; /* of the differences that follow */
} Comparison;

/* Columns of a row of the history. */
enum
{
	HISTORY_VERSION,
	HISTORY_SCHEMA,
	HISTORY_KEY,
	HISTORY_AGGREGATE_ID,
	HISTORY_EMIT,
	HISTORY_TOMBSTONE
};

static List *read_history(const OutboxContractConfig *config, const OutboxEventTypeConfig *type, AvroLevel level);
static void compare(Comparison *comparison, AvroLevel level, const char *schema, const List *rows);
static AvroNode *load(const Comparison *comparison, const char *schema);
static void begin(void *context, const AvroLevelCheck *check);
static void take(void *context, const AvroDifference *difference);
static void allow_interrupts(void *context);
static void fail(const Comparison *comparison, const AvroFault *fault);

/* The level at which a contract is compared. */
const char *
OutboxCompatibility(const OutboxContractConfig *config)
{
	return config->compatibility ? config->compatibility : avro_level_names[AVRO_LEVEL_FULL];
}

/* Raises unless this is the name of a level. */
void
OutboxCheckLevel(const char *level)
{
	AvroLevel found;

	if (!AvroLevelByName(level, &found))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown level of compatibility: \"%s\"", level),
				 errhint("Use NONE, BACKWARD, FORWARD, FULL, BACKWARD_TRANSITIVE, FORWARD_TRANSITIVE or FULL_TRANSITIVE.")));
}

/* The full name of the record that an event type's schema is. */
char *
OutboxRecordName(const OutboxContractConfig *config, const OutboxEventTypeConfig *type)
{
	return psprintf("%s.%s", config->name_space, type->name);
}

/*
 * All OutboxViolation * of a schema against what was pinned before for the same topic
 * and record name, under a level: newest first; NIL where all consumers get on with it.
 * Uses SPI. Raises program_limit_exceeded for schemas that cannot be compared.
 */
List *
OutboxHistoryViolations(const OutboxContractConfig *config, const OutboxEventTypeConfig *type, const char *schema, const char *level)
{
	Comparison comparison = {.config = config, .type = type, .caller = CurrentMemoryContext};
	MemoryContext scratch;
	AvroLevel asked;

	OutboxCheckLevel(level);
	(void) AvroLevelByName(level, &asked);
	if (asked == AVRO_LEVEL_NONE)
		return NIL;
	scratch = AllocSetContextCreate(CurrentMemoryContext, "outbox schema history", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(scratch);
	compare(&comparison, asked, schema, read_history(config, type, asked));
	MemoryContextSwitchTo(comparison.caller);
	MemoryContextDelete(scratch);
	return comparison.violations;
}

static List *
read_history(const OutboxContractConfig *config, const OutboxEventTypeConfig *type, AvroLevel level)
{
	const char *args[] = {type->topic, OutboxRecordName(config, type), AvroLevelIsTransitive(level) ? NULL : "1"};

	return OutboxExecuteRows("SELECT version, schema, key::text, aggregate_id::text, emit, tombstone FROM outbox_internal.event_schema"
							 " WHERE topic = $1 AND record = $2 AND forgotten_at IS NULL ORDER BY id DESC LIMIT $3::bigint",
							 lengthof(args), args);
}

static void
compare(Comparison *comparison, AvroLevel level, const char *schema, const List *rows)
{
	AvroArena arena = OutboxSchemaArena(CurrentMemoryContext);
	AvroDifferenceSink sink = {.take = take, .step = allow_interrupts, .context = comparison};
	int count = 0;
	bool compatible;
	AvroFault fault;
	ListCell *lc;

	comparison->older = palloc(sizeof(AvroNode *) * Max(list_length(rows), 1));
	comparison->versions = palloc(sizeof(int32) * Max(list_length(rows), 1));
	foreach (lc, rows)
	{
		char **row = lfirst(lc);
		OutboxPromise before = {row[HISTORY_KEY], row[HISTORY_AGGREGATE_ID], row[HISTORY_EMIT], row[HISTORY_TOMBSTONE]};
		int32 version = pg_strtoint32(row[HISTORY_VERSION]);

		MemoryContextSwitchTo(comparison->caller);
		comparison->violations = list_concat(comparison->violations, OutboxPromiseViolations(comparison->config, comparison->type, version, &before));
		MemoryContextSwitchTo((MemoryContext) arena.context);
		/* most often nothing has changed */
		if (strcmp(row[HISTORY_SCHEMA], schema) == 0)
			continue;
		if (comparison->schema == NULL)
			comparison->schema = load(comparison, schema);
		comparison->versions[count] = version;
		comparison->older[count++] = load(comparison, row[HISTORY_SCHEMA]);
		CHECK_FOR_INTERRUPTS();
	}
	if (count > 0 && !AvroCompatibleAtLevel(&arena, level, comparison->schema, comparison->older, count, &sink, begin, &compatible, &fault))
		fail(comparison, &fault);
}

/* In the current memory context. */
static AvroNode *
load(const Comparison *comparison, const char *schema)
{
	AvroFault fault;
	AvroNode *node = OutboxLoadSchema(schema, &fault);

	if (node == NULL)
		fail(comparison, &fault);
	return node;
}

static void
begin(void *context, const AvroLevelCheck *check)
{
	((Comparison *) context)->check = *check;
}

static void
take(void *context, const AvroDifference *difference)
{
	Comparison *comparison = context;
	const AvroLevelCheck *check = &comparison->check;
	MemoryContext scratch = MemoryContextSwitchTo(comparison->caller);
	OutboxViolation *violation = palloc(sizeof(OutboxViolation));

	violation->event_type = pstrdup(comparison->type->name);
	violation->against = comparison->versions[check->against];
	violation->direction = check->forward ? "forward" : "backward";
	violation->severity = avro_severity_names[difference->severity];
	violation->rule = avro_rule_names[difference->rule];
	violation->path = pstrdup(difference->path);
	violation->message = pstrdup(difference->message);
	violation->remedy = OutboxRemedy(comparison->config, difference->rule, check->forward, difference->path,
									 comparison->older[check->against], comparison->schema);
	comparison->violations = lappend(comparison->violations, violation);
	MemoryContextSwitchTo(scratch);
}

static void
allow_interrupts(void *context)
{
	CHECK_FOR_INTERRUPTS();
}

static void
fail(const Comparison *comparison, const AvroFault *fault)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("the schema of event type \"%s\" cannot be compared with its schema history", comparison->type->name),
			 errdetail("%s. A contract with compatibility => 'NONE' is not compared.", fault->text)));
}
