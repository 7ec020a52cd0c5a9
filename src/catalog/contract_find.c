/*-------------------------------------------------------------------------
 *
 * contract_find.c
 *	  A contract by its name, its parts by theirs, and the words of its configuration.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/catalog_private.h"

/* Reads a contract's configuration for a function that users call: raises with a hint when there is none. */
OutboxContractConfig *
OutboxContractGet(const char *name)
{
	OutboxContractConfig *config = OutboxContractLoad(name);

	if (config == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("contract \"%s\" does not exist", name),
				 errhint("SELECT name FROM outbox.status WHERE kind = 'contract' lists the contracts.")));
	return config;
}

/* The contract that an argument names; raises when there is none. */
OutboxContractConfig *
OutboxContractArg(FunctionCallInfo fcinfo, int arg, const char *argument)
{
	/* before anything of ours is read: tables of another version may look different */
	OutboxRequireVersion();
	return OutboxContractGet(OutboxRequiredTextArg(fcinfo, arg, argument));
}

/* The contract that an event type belongs to; NULL when there is no such event type. */
char *
OutboxEventTypeContract(const char *event_type)
{
	return OutboxExecute("SELECT c.name FROM outbox_internal.event_type e JOIN outbox_internal.contract c ON c.id = e.contract_id"
						 " WHERE e.name = $1",
						 1, &event_type);
}

/* The contract of an event type, for functions that users call: raises with a hint when there is no such event type. */
OutboxContractConfig *
OutboxContractOfEventType(const char *event_type)
{
	char *contract = OutboxEventTypeContract(event_type);

	if (contract == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("event type \"%s\" does not exist", event_type),
				 errhint("SELECT name FROM outbox.event_types lists the event types.")));
	return OutboxContractGet(contract);
}

/* The event type of that name, or NULL. */
OutboxEventTypeConfig *
OutboxContractEventType(const OutboxContractConfig *config, const char *name)
{
	ListCell *lc;

	foreach (lc, config->event_types)
	{
		OutboxEventTypeConfig *type = lfirst(lc);

		if (strcmp(type->name, name) == 0)
			return type;
	}
	return NULL;
}

/* The source that a relation is, or NULL. */
OutboxSourceConfig *
OutboxContractSource(const OutboxContractConfig *config, Oid relation)
{
	ListCell *lc;

	foreach (lc, config->sources)
	{
		OutboxSourceConfig *source = lfirst(lc);

		if (source->relation == relation)
			return source;
	}
	return NULL;
}

const char *
OutboxEmitName(OutboxEmit emit)
{
	switch (emit)
	{
		case OUTBOX_EMIT_CREATED:
			return "created";
		case OUTBOX_EMIT_CHANGED:
			return "changed";
		case OUTBOX_EMIT_DELETED:
			return "deleted";
		case OUTBOX_EMIT_ALWAYS:
			return "always";
	}
	return NULL;
}

const char *
OutboxTombstoneName(OutboxTombstone tombstone)
{
	switch (tombstone)
	{
		case OUTBOX_TOMBSTONE_NONE:
			return "none";
		case OUTBOX_TOMBSTONE_AFTER:
			return "after";
		case OUTBOX_TOMBSTONE_INSTEAD:
			return "instead";
	}
	return NULL;
}

/* The version of that number, unless it is retired or was never there: then NULL. */
OutboxContractConfig *
OutboxContractVersion(const OutboxContractConfig *config, int32 version)
{
	ListCell *lc;

	foreach (lc, config->versions)
	{
		OutboxContractConfig *each = lfirst(lc);

		if (each->version == version)
			return each;
	}
	return NULL;
}

/* The version of that number for a function that users call: raises with a hint when it is retired or was never there. */
OutboxContractConfig *
OutboxContractVersionGet(const OutboxContractConfig *config, int32 version)
{
	OutboxContractConfig *found = OutboxContractVersion(config, version);

	if (found == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("contract \"%s\" has no version %d, or it is retired", config->name, version),
				 errhint("SELECT * FROM outbox.contract_versions WHERE contract = '%s' lists its versions.", config->name)));
	return found;
}

/* The version that is a draft, or NULL. */
OutboxContractConfig *
OutboxContractDraft(const OutboxContractConfig *config)
{
	OutboxContractConfig *last = llast(config->versions);

	return last->state == OUTBOX_VERSION_DRAFT ? last : NULL;
}

/* The active version of a line, or NULL. */
OutboxContractConfig *
OutboxContractLine(const OutboxContractConfig *config, int32 line)
{
	ListCell *lc;

	foreach (lc, config->versions)
	{
		OutboxContractConfig *each = lfirst(lc);

		if (each->line == line && each->state == OUTBOX_VERSION_ACTIVE)
			return each;
	}
	return NULL;
}

/* The active version of the first line after this one; NULL: there is none. */
OutboxContractConfig *
OutboxContractAfter(const OutboxContractConfig *config, int32 line)
{
	ListCell *lc;

	foreach (lc, config->versions)
	{
		OutboxContractConfig *each = lfirst(lc);

		if (each->line > line && each->state == OUTBOX_VERSION_ACTIVE)
			return each;
	}
	return NULL;
}
