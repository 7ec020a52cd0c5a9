/*-------------------------------------------------------------------------
 *
 * schema_load.c
 *	  Schemas in memory contexts, and their fingerprints.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "avro/outbox_avro.h"
#include "avro/schema/schema.h"

/* NULL instead of an error: the parser holds foreign memory while it allocates. */
static void *
arena_alloc(void *context, size_t size)
{
	if (!AllocSizeIsValid(size))
		return NULL;
	return MemoryContextAllocExtended((MemoryContext) context, size, MCXT_ALLOC_NO_OOM);
}

/* An arena in a memory context; its memory goes with the context. */
AvroArena
OutboxSchemaArena(MemoryContext context)
{
	AvroArena arena = {.alloc = arena_alloc, .context = context};

	return arena;
}

/* A schema text in the server's encoding, parsed into CurrentMemoryContext. NULL with *fault. */
AvroNode *
OutboxLoadSchema(const char *schema_text, AvroFault *fault)
{
	AvroArena arena = OutboxSchemaArena(CurrentMemoryContext);
	OutboxTextRule rule = OutboxTextRuleOfDatabase();
	Size length = strlen(schema_text);
	const char *utf8 = OutboxTextToUtf8(&rule, schema_text, &length);

	if (utf8 == NULL)
	{
		AvroFail(fault, "the schema cannot be converted to UTF-8");
		return NULL;
	}
	return AvroParseSchema(&arena, utf8, length, fault);
}

/* NULL: the text is no schema, or memory is out. */
static char *
reading_form(const char *utf8)
{
	AvroArena arena = OutboxSchemaArena(CurrentMemoryContext);
	AvroFault fault;
	AvroNode *schema = AvroParseSchema(&arena, utf8, strlen(utf8), &fault);

	return schema != NULL ? AvroReadingForm(&arena, schema, &fault) : NULL;
}

bool
OutboxAvroReadsAlike(const char *a, const char *b)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "outbox schema comparison", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(scratch);
	char *form = reading_form(a);
	char *other = reading_form(b);
	bool alike = form != NULL && other != NULL && strcmp(form, other) == 0;

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
	return alike;
}

uint64
OutboxAvroFingerprint(const char *schema_text)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "outbox schema fingerprint",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(scratch);
	AvroArena arena = OutboxSchemaArena(scratch);
	AvroFault fault;
	AvroNode *schema = OutboxLoadSchema(schema_text, &fault);
	char *form = schema != NULL ? AvroCanonicalForm(&arena, schema, &fault) : NULL;
	uint64 fingerprint;

	if (form == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_SCHEMA_DEFINITION),
				 errmsg("the text is not a valid Avro schema"),
				 errdetail("%s.", fault.text),
				 errhint("Schemas are written by outbox.enable(); restore the text that it pinned.")));
	fingerprint = AvroCrc64(form, strlen(form));
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
	return fingerprint;
}
