/*-------------------------------------------------------------------------
 *
 * event_type_sql.c
 *	  outbox.create_event_type(), outbox.drop_event_type(), outbox.avro_schema().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "catalog/outbox_catalog.h"
#include "contract/api/api_private.h"
#include "contract/compile/compile.h"
#include "contract/view/view.h"

PG_FUNCTION_INFO_V1(outbox_create_event_type);
PG_FUNCTION_INFO_V1(outbox_drop_event_type);
PG_FUNCTION_INFO_V1(outbox_avro_schema);

static void read_arguments(FunctionCallInfo fcinfo, const OutboxContractConfig *contract, OutboxNewEventType *type);
static void refuse_other_versions(FunctionCallInfo fcinfo, const OutboxContractConfig *contract, const List *versions, const char *name);
static void replace_event_type(OutboxContractConfig *contract, OutboxEventTypeConfig *existing, const OutboxNewEventType *new);
static int32 insert_event_type(const OutboxContractConfig *contract, const OutboxNewEventType *type);
static void omit(const OutboxNewEventType *type, const OutboxContractConfig *version);
static void pin_everywhere(const char *contract, const char *name);

/*
 * create_event_type(name, contract, emit, condition, previous, topic, ce_type, tombstone, versions, headers, actor, or_replace)
 */
Datum
outbox_create_event_type(PG_FUNCTION_ARGS)
{
	OutboxContractConfig *contract = OutboxContractArg(fcinfo, 1, "contract");
	OutboxNewEventType type = {.contract = contract};
	List *versions = OutboxVersionsArg(fcinfo, 8, contract);
	OutboxEventTypeConfig *existing;
	ListCell *lc;

	OutboxCheckVersionsRights(versions);
	read_arguments(fcinfo, contract, &type);
	existing = OutboxOrReplaceArg(fcinfo) ? OutboxContractEventType(contract, type.config.name) : NULL;
	if (existing)
	{
		refuse_other_versions(fcinfo, contract, versions, existing->name);
		replace_event_type(contract, OutboxEventTypeAsCreated(existing), &type);
		PG_RETURN_VOID();
	}
	foreach (lc, versions)
	{
		type.contract = lfirst(lc);
		OutboxCheckEventType(&type);
	}
	type.config.id = insert_event_type(contract, &type);
	foreach (lc, contract->versions)
	{
		if (!list_member_ptr(versions, lfirst(lc)))
			omit(&type, lfirst(lc));
	}
	if (contract->enabled)
		pin_everywhere(contract->name, type.config.name);
	PG_RETURN_VOID();
}

/* Raises when the versions that are named are not those that have the event type. */
static void
refuse_other_versions(FunctionCallInfo fcinfo, const OutboxContractConfig *contract, const List *versions, const char *name)
{
	ListCell *lc;

	if (PG_ARGISNULL(8))
		return;
	foreach (lc, contract->versions)
	{
		const OutboxEventTypeConfig *type = OutboxContractEventType(lfirst(lc), name);

		if (list_member_ptr(versions, lfirst(lc)) != (type != NULL && !type->omitted))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
					 errmsg("cannot change \"versions\" of event type \"%s\"", name),
					 errdetail("Of version %d the call and the contract say different things.", ((OutboxContractConfig *) lfirst(lc))->version),
					 errhint("Leave versions out, or name those that have the event type.")));
	}
}

/* Makes an event type what the call says. Nothing is written where it is that already. */
static void
replace_event_type(OutboxContractConfig *contract, OutboxEventTypeConfig *existing, const OutboxNewEventType *new)
{
	const char *object = psprintf("event type \"%s\"", existing->name);
	const char *remedy = "Create another event type, of another name or for another topic; or drop this one and create it again in one transaction.";

	if (strcmp(OutboxEmitName(existing->emit), new->emit) != 0)
		OutboxRefuseAnother(object, "emit", OutboxEmitName(existing->emit), new->emit, remedy);
	if (strcmp(OutboxTombstoneName(existing->tombstone), new->tombstone) != 0)
		OutboxRefuseAnother(object, "tombstone", OutboxTombstoneName(existing->tombstone), new->tombstone, remedy);
	if (!OutboxEventTypeDiffers(existing, &new->config))
		return;
	existing = OutboxEventTypeForChange(existing->name, &contract);
	OutboxAlterEventType(contract, existing, &new->config);
}

/* drop_event_type(name): pinned schemas stay for the events that refer to them. */
Datum
outbox_drop_event_type(PG_FUNCTION_ARGS)
{
	char *name = OutboxRequiredTextArg(fcinfo, 0, "name");
	const char *args[] = {name};
	OutboxContractConfig *config = OutboxContractOfEventType(name);

	if (get_rel_relkind(config->view) != '\0' && get_rel_relkind(config->root) != '\0')
		OutboxCheckContractRights(config->view, config->root);
	(void) OutboxExecute("DELETE FROM outbox_internal.event_type WHERE name = $1", 1, args);
	PG_RETURN_VOID();
}

/* avro_schema(event_type, version): the pinned schema, or the one that enable() would pin now. */
Datum
outbox_avro_schema(PG_FUNCTION_ARGS)
{
	char *name = OutboxRequiredTextArg(fcinfo, 0, "event_type");
	char *version = PG_ARGISNULL(1) ? NULL : psprintf("%d", PG_GETARG_INT32(1));
	const char *args[] = {name, version};
	char *schema = OutboxExecute("SELECT schema FROM outbox_internal.event_schema WHERE event_type = $1"
								 " AND event_type_id IS NOT NULL AND ($2 IS NULL OR version = $2::int)"
								 " ORDER BY version DESC LIMIT 1",
								 2, args);
	OutboxContractConfig *config;
	OutboxContractConfig *draft;
	OutboxEventTypeConfig *type;

	if (schema)
		PG_RETURN_TEXT_P(cstring_to_text(schema));
	config = OutboxContractOfEventType(name);
	draft = version ? OutboxContractVersion(config, PG_GETARG_INT32(1)) : config;
	type = draft ? OutboxContractEventType(draft, name) : NULL;
	if (type == NULL || type->omitted)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("event type \"%s\" has no version %s", name, version ? version : "at all"),
				 errhint("SELECT version FROM outbox.event_schemas WHERE event_type = '%s' lists its versions; none is pinned before outbox.enable().", name)));
	PG_RETURN_TEXT_P(cstring_to_text(OutboxDraftSchema(draft, type)));
}

static void
read_arguments(FunctionCallInfo fcinfo, const OutboxContractConfig *contract, OutboxNewEventType *type)
{
	OutboxEventTypeConfig *config = &type->config;

	config->name = OutboxRequiredTextArg(fcinfo, 0, "name");
	type->emit = OutboxRequiredTextArg(fcinfo, 2, "emit");
	config->condition = OutboxTextArg(fcinfo, 3);
	config->previous = OutboxNameListArg(fcinfo, 4, "previous");
	config->topic = OutboxTextArg(fcinfo, 5);
	config->ce_type = OutboxTextArg(fcinfo, 6);
	type->tombstone = OutboxTextArg(fcinfo, 7);
	config->headers = OutboxNameListArg(fcinfo, 9, "headers");
	config->actor = !PG_ARGISNULL(10) && PG_GETARG_BOOL(10);

	if (config->topic == NULL)
		config->topic = contract->aggregate_type;
	if (config->ce_type == NULL)
		config->ce_type = OutboxDefaultCeType(contract, config->name);
	if (type->tombstone == NULL)
		type->tombstone = "none";
}

/* The version does not have the event type. */
static void
omit(const OutboxNewEventType *type, const OutboxContractConfig *version)
{
	const char *args[] = {psprintf("%d", type->config.id), psprintf("%d", version->version)};

	(void) OutboxExecute("INSERT INTO outbox_internal.event_type_version (event_type_id, version, omitted) VALUES ($1::int, $2::int, true)",
						 lengthof(args), args);
}

/* Pins the schemas of a new event type in the active versions that have it. */
static void
pin_everywhere(const char *contract, const char *name)
{
	OutboxContractConfig *config = OutboxContractGet(contract);
	ListCell *lc;

	foreach (lc, config->versions)
	{
		const OutboxContractConfig *version = lfirst(lc);
		OutboxEventTypeConfig *type = OutboxContractEventType(version, name);

		if (version->state == OUTBOX_VERSION_ACTIVE && !type->omitted)
			OutboxPinSchemas(version, list_make1(type));
	}
}

static int32
insert_event_type(const OutboxContractConfig *contract, const OutboxNewEventType *type)
{
	const char *args[] = {psprintf("%d", contract->id), type->config.name, type->emit, type->config.condition,
						  OutboxNamesToArray(type->config.previous), type->config.topic, type->config.ce_type, type->tombstone,
						  OutboxNamesToArray(type->config.headers), type->config.actor ? "true" : "false"};

	return pg_strtoint32(OutboxExecute("INSERT INTO outbox_internal.event_type (contract_id, name, emit, condition, previous,"
									   " topic, ce_type, tombstone, headers, actor)"
									   " VALUES ($1::int, $2, $3, $4, $5::text[], $6, $7, $8, $9::text[], $10::bool) RETURNING id",
									   lengthof(args), args));
}
