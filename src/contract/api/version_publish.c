/*-------------------------------------------------------------------------
 *
 * version_publish.c
 *	  A draft becomes a version that is published.
 *
 * All of it happens in the caller's transaction, and counts at its commit: the
 * version whose place the draft takes ends, the schemas are pinned, and every
 * backend compiles the contract anew.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"

#include "catalog/outbox_catalog.h"
#include "contract/api/api_private.h"
#include "contract/compile/compile.h"
#include "contract/view/view.h"

static const OutboxContractConfig *former_version(const OutboxContractConfig *draft);
static void name_dropped_checks(const OutboxContractConfig *draft, const OutboxContractConfig *former);
static bool has_check(const OutboxContractConfig *config, const char *type, const char *name);
static void pass_sunset(const OutboxContractConfig *draft, const OutboxContractConfig *former);

/*
 * Checks a draft of a contract that has active versions, and makes room for it: the
 * version whose place it takes is retired, the others get the sunset that was
 * announced. Pinning comes after that. Raises with everything that is wrong.
 */
void
OutboxPublishDraft(OutboxContractConfig *draft)
{
	const OutboxContractConfig *former = former_version(draft);

	OutboxCheckDraft(draft, former);
	name_dropped_checks(draft, former);
	pass_sunset(draft, former);
	if (former->line == draft->line)
		OutboxRetireVersion(former);
}

/* The version is published no more, from the commit on. */
void
OutboxRetireVersion(const OutboxContractConfig *version)
{
	const char *args[] = {psprintf("%d", version->id), psprintf("%d", version->version)};

	(void) OutboxExecute("UPDATE outbox_internal.contract_version SET state = 'retired', retired_at = clock_timestamp()"
						 " WHERE contract_id = $1::int AND version = $2::int",
						 lengthof(args), args);
}

/* The active version whose place the draft takes; of one that is published beside others, the last of these. */
static const OutboxContractConfig *
former_version(const OutboxContractConfig *draft)
{
	const OutboxContractConfig *former = OutboxContractLine(draft, draft->line);
	const OutboxContractConfig *last = list_nth(draft->versions, list_length(draft->versions) - 2);

	if (former == NULL && draft->line != draft->version)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version %d of contract \"%s\" cannot take the place of a version that is retired", draft->version, draft->name),
				 errhint("SELECT outbox.drop_version(%s, %d); and outbox.add_version(...) again.", quote_literal_cstr(draft->name), draft->version)));
	return former ? former : last;
}

/* Rules that a version does not have any more are told, so that nobody loses one unseen. */
static void
name_dropped_checks(const OutboxContractConfig *draft, const OutboxContractConfig *former)
{
	StringInfoData names;
	ListCell *lc;

	initStringInfo(&names);
	foreach (lc, former->event_types)
	{
		const OutboxEventTypeConfig *type = lfirst(lc);
		ListCell *other;

		foreach (other, type->omitted ? NIL : type->checks)
		{
			const OutboxCheckConfig *check = lfirst(other);

			if (!has_check(draft, type->name, check->name))
				appendStringInfo(&names, "%s\"%s\" of event type \"%s\"", names.len ? ", " : "", check->name, type->name);
		}
	}
	if (names.len)
		ereport(NOTICE,
				(errmsg("version %d of contract \"%s\" does not have check %s", draft->version, draft->name, names.data)));
}

static bool
has_check(const OutboxContractConfig *config, const char *type, const char *name)
{
	const OutboxEventTypeConfig *config_type = OutboxContractEventType(config, type);
	ListCell *lc;

	foreach (lc, config_type == NULL || config_type->omitted ? NIL : config_type->checks)
	{
		if (strcmp(((OutboxCheckConfig *) lfirst(lc))->name, name) == 0)
			return true;
	}
	return false;
}

/* The sunset of a draft is the one of the versions before it. A version that takes the place of another one keeps that one's. */
static void
pass_sunset(const OutboxContractConfig *draft, const OutboxContractConfig *former)
{
	const char *args[] = {psprintf("%d", draft->id), psprintf("%d", draft->version),
						  former->line == draft->line ? psprintf("%d", former->version) : NULL};

	if (draft->sunset)
		(void) OutboxExecute("UPDATE outbox_internal.contract_version v SET sunset = d.sunset FROM outbox_internal.contract_version d"
							 " WHERE d.contract_id = $1::int AND d.version = $2::int AND v.contract_id = d.contract_id AND v.state = 'active'",
							 2, args);
	(void) OutboxExecute("UPDATE outbox_internal.contract_version SET sunset = (SELECT sunset FROM outbox_internal.contract_version"
						 " WHERE contract_id = $1::int AND version = $3::int) WHERE contract_id = $1::int AND version = $2::int",
						 lengthof(args), args);
}

/* Pins the schemas of a version that are not pinned yet, makes it active, and notes who owns its view. */
void
OutboxPinVersion(const OutboxContractConfig *config)
{
	Oid owner = OutboxRelationOwner(config->view);
	const char *args[] = {psprintf("%d", config->id), psprintf("%d", config->version), GetUserNameFromId(owner, false), OutboxRoleId(owner)};
	List *unpinned = NIL;
	ListCell *lc;

	foreach (lc, config->event_types)
	{
		OutboxEventTypeConfig *type = lfirst(lc);

		if (type->schema_id == 0 && !type->omitted)
			unpinned = lappend(unpinned, type);
	}
	OutboxPinSchemas(config, unpinned);
	(void) OutboxExecute("UPDATE outbox_internal.contract_version SET state = 'active', owner = $3, owner_id = $4,"
						 " activated_at = coalesce(activated_at, clock_timestamp())"
						 " WHERE contract_id = $1::int AND version = $2::int"
						 " AND (state, owner, owner_id) IS DISTINCT FROM ('active', $3, $4)",
						 lengthof(args), args);
}

/*
 * For functions that change what one version publishes: pins the schemas as the configuration now makes them, as the next
 * version instead of this active one, in this transaction. Call it after the configuration has been changed, with the
 * version as it was loaded then. Does nothing when every schema is as it is pinned. Raises as OutboxPinInstead.
 */
void
OutboxPinNextVersion(OutboxContractConfig *config)
{
	if (!OutboxSchemasDiffer(config))
		return;
	OutboxPinVersionInstead(config);
	config = OutboxContractVersionGet(OutboxContractGet(config->name), config->version);
	OutboxFreeContract(OutboxCompileContract(config, config->root, false));
}

/* Would any schema of an active version be another one if it were pinned now? */
bool
OutboxSchemasDiffer(const OutboxContractConfig *config)
{
	ListCell *lc;

	foreach (lc, config->event_types)
	{
		const OutboxEventTypeConfig *type = lfirst(lc);

		if (type->schema_text && !type->omitted && strcmp(type->schema_text, OutboxDraftSchema(config, type)) != 0)
			return true;
	}
	return false;
}
