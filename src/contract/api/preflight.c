/*-------------------------------------------------------------------------
 *
 * preflight.c
 *	  Would the registries take the schemas that are about to be pinned?
 *
 * A schema that a registry refuses is known in the migration that makes it,
 * not when its first event is held.  The registries are only asked; what is
 * rolled back leaves nothing there.  The relay registers.
 *
 * A registry that gives no answer of use, or that somebody else has to
 * register the schema at, is no reason to refuse a migration:
 * outbox_internal.preflight keeps what was wrong, and status says so until all
 * schemas of the contract have their numbers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/timestamp.h"

#include "catalog/outbox_catalog.h"
#include "contract/api/api_private.h"
#include "contract/history/history.h"
#include "guc.h"
#include "sink/registry.h"

/* So many refusals are told. */
#define TOLD_MAX 5

static List *items_for(const OutboxContractConfig *config, const OutboxRegistrySink *sink, List *types, List *schemas);
static OutboxRegistryItem *make_item(const OutboxContractConfig *config, const OutboxEventTypeConfig *type, const char *schema);
static bool is_among(const List *types, const OutboxEventTypeConfig *type);
static bool is_registered(const OutboxRegistrySink *sink, int32 schema_id);
static void note_trouble(const OutboxContractConfig *config, const OutboxRegistrySink *sink, const char *reason);
static void refuse(const List *refused);

/*
 * Asks all sinks' registries about the schemas that `types` are going to have,
 * and about those of the contract that are pinned and have no number there
 * yet; at most five seconds in all.  Raises when one of them refuses a schema.
 * In test_mode nothing is asked.
 */
void
OutboxPreflight(const OutboxContractConfig *config, List *types, List *schemas)
{
	const char *args[] = {psprintf("%d", config->id)};
	TimestampTz deadline = OutboxRegistryDeadline();
	List *refused = NIL;
	ListCell *lc;

	if (outbox_test_mode)
		return;
	(void) OutboxExecute("DELETE FROM outbox_internal.preflight WHERE contract_id = $1::int", lengthof(args), args);
	foreach (lc, OutboxRegistrySinks(NULL))
	{
		OutboxRegistrySink *sink = lfirst(lc);
		List *items = items_for(config, sink, types, schemas);
		ListCell *row;

		if (items == NIL)
			continue;
		foreach (row, OutboxRegistryCallSink(OUTBOX_REGISTRY_ASK, sink, items, deadline))
		{
			OutboxRegistryRow *finding = lfirst(row);

			if (strcmp(finding->what, "refused") == 0)
				refused = lappend(refused, finding);
			else
				note_trouble(config, sink, finding->theirs);
		}
	}
	if (refused != NIL)
		refuse(refused);
}

static List *
items_for(const OutboxContractConfig *config, const OutboxRegistrySink *sink, List *types, List *schemas)
{
	List *items = NIL;
	ListCell *type;
	ListCell *schema;

	forboth (type, types, schema, schemas)
		items = lappend(items, make_item(config, lfirst(type), lfirst(schema)));
	foreach (type, config->event_types)
	{
		OutboxEventTypeConfig *pinned = lfirst(type);

		if (pinned->schema_id != 0 && !is_among(types, pinned) && !is_registered(sink, pinned->schema_id))
			items = lappend(items, make_item(config, pinned, pinned->schema_text));
	}
	return items;
}

static OutboxRegistryItem *
make_item(const OutboxContractConfig *config, const OutboxEventTypeConfig *type, const char *schema)
{
	return OutboxRegistryItemMake(type->topic, type->name, schema, OutboxRecordName(config, type), OutboxCompatibility(config));
}

static bool
is_among(const List *types, const OutboxEventTypeConfig *type)
{
	ListCell *lc;

	foreach (lc, types)
	{
		if (strcmp(((OutboxEventTypeConfig *) lfirst(lc))->name, type->name) == 0)
			return true;
	}
	return false;
}

static bool
is_registered(const OutboxRegistrySink *sink, int32 schema_id)
{
	const char *args[] = {psprintf("%d", sink->id), psprintf("%d", schema_id)};

	return OutboxExecute("SELECT 1 FROM outbox_internal.schema_registration WHERE sink_id = $1::int AND schema_id = $2::int LIMIT 1",
						 lengthof(args), args) != NULL;
}

static void
note_trouble(const OutboxContractConfig *config, const OutboxRegistrySink *sink, const char *reason)
{
	const char *args[] = {psprintf("%d", config->id), psprintf("%d", sink->id), reason};

	(void) OutboxExecute("INSERT INTO outbox_internal.preflight (contract_id, sink_id, reason) VALUES ($1::int, $2::int, $3)"
						 " ON CONFLICT (contract_id, sink_id) DO UPDATE SET reason = $3, asked_at = clock_timestamp()",
						 lengthof(args), args);
}

static void
refuse(const List *refused)
{
	const OutboxRegistryRow *first = linitial(refused);
	StringInfoData detail;
	int told = 0;
	ListCell *lc;

	initStringInfo(&detail);
	foreach (lc, refused)
	{
		const OutboxRegistryRow *row = lfirst(lc);

		if (told++ < TOLD_MAX)
			appendStringInfo(&detail, "%sEvent type \"%s\", subject \"%s\" of sink \"%s\": %s.", told > 1 ? "\n" : "", row->event_type, row->subject, row->sink, row->theirs);
	}
	if (told > TOLD_MAX)
		appendStringInfo(&detail, "\nAnd %d more.", told - TOLD_MAX);
	ereport(ERROR,
			(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
			 errmsg("the schema registry of sink \"%s\" would not take the schema of event type \"%s\"", first->sink, first->event_type),
			 errdetail("%s", detail.data),
			 errhint("%s The sink's option schema.registry.preflight = false leaves out the question.",
					 first->advice != NULL ? first->advice : "Make the schema compatible with what the subject has, give the event type another topic, or change the subject's level there.")));
}
