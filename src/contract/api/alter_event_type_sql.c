/*-------------------------------------------------------------------------
 *
 * alter_event_type_sql.c
 *	  outbox.alter_event_type(): what an event type has of its own in one version.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "catalog/outbox_catalog.h"
#include "contract/api/api_private.h"
#include "contract/view/view.h"

/* The argument that takes a value back to the event type's own. */
#define INHERIT "DEFAULT"

enum
{
	ARG_NAME,
	ARG_VERSION,
	ARG_CONDITION,
	ARG_PREVIOUS,
	ARG_TOPIC,
	ARG_CE_TYPE,
	ARG_HEADERS,
	ARG_ACTOR
};

static void check_condition(const OutboxContractConfig *config, const char *type, const char *condition);
static char *previous_names(FunctionCallInfo fcinfo, const OutboxContractConfig *config, const char *type);
static void refuse_names_of_active(FunctionCallInfo fcinfo, const OutboxContractConfig *config);
static void store(const OutboxEventTypeConfig *type, int32 version, const char *column, const char *value);

/* alter_event_type() with a version: what the event type has of its own there. */
void
OutboxAlterEventTypeVersion(FunctionCallInfo fcinfo)
{
	char *name = OutboxRequiredTextArg(fcinfo, ARG_NAME, "name");
	OutboxContractConfig *config;
	OutboxEventTypeConfig *type;
	char *condition = OutboxTextArg(fcinfo, ARG_CONDITION);

	if (!PG_ARGISNULL(ARG_HEADERS) || !PG_ARGISNULL(ARG_ACTOR))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("headers and actor of an event type are the same in all versions"),
				 errhint("Leave the version out to change them.")));
	config = OutboxContractVersionGet(OutboxContractOfEventType(name), PG_GETARG_INT32(ARG_VERSION));
	type = OutboxContractEventType(config, name);
	OutboxCheckContractRights(config->view, config->root);
	OutboxCheckViewOwnerUnchanged(config);
	refuse_names_of_active(fcinfo, config);
	if (condition && strcmp(condition, INHERIT) != 0)
		check_condition(config, name, condition);
	store(type, config->version, "condition", condition);
	store(type, config->version, "previous", previous_names(fcinfo, config, name));
	store(type, config->version, "topic", OutboxTextArg(fcinfo, ARG_TOPIC));
	store(type, config->version, "ce_type", OutboxTextArg(fcinfo, ARG_CE_TYPE));
	if (config->state == OUTBOX_VERSION_ACTIVE && type->schema_id != 0)
		OutboxPinNextVersion(OutboxContractVersionGet(OutboxContractGet(config->name), config->version));
}

static void
check_condition(const OutboxContractConfig *config, const char *type, const char *condition)
{
	(void) OutboxParseCondition(condition, config->view, psprintf("condition of event type \"%s\"", type), false);
}

/* The argument as a text[], INHERIT for '{DEFAULT}', or NULL. */
static char *
previous_names(FunctionCallInfo fcinfo, const OutboxContractConfig *config, const char *type)
{
	List *names = OutboxNameListArg(fcinfo, ARG_PREVIOUS, "previous");
	ListCell *lc;

	if (PG_ARGISNULL(ARG_PREVIOUS))
		return NULL;
	if (list_length(names) == 1 && strcmp(linitial(names), INHERIT) == 0)
		return INHERIT;
	foreach (lc, names)
		OutboxCheckPreviousColumn(config->view, type, names, lfirst(lc));
	return OutboxNamesToArray(names);
}

/* Topic and ce_type are part of what is pinned, and known to consumers. */
static void
refuse_names_of_active(FunctionCallInfo fcinfo, const OutboxContractConfig *config)
{
	if (config->state != OUTBOX_VERSION_ACTIVE || (PG_ARGISNULL(ARG_TOPIC) && PG_ARGISNULL(ARG_CE_TYPE)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("topic and ce_type of version %d of contract \"%s\" cannot be changed: it is published", config->version, config->name),
			 errhint("Publish another version beside it: SELECT outbox.add_version(%s, publish => 'beside');", quote_literal_cstr(config->name))));
}

/* Sets one column of the version's row; NULL leaves it as it is. */
static void
store(const OutboxEventTypeConfig *type, int32 version, const char *column, const char *value)
{
	const char *cast = strcmp(column, "previous") == 0 ? "text[]" : "text";
	const char *args[] = {psprintf("%d", type->id), psprintf("%d", version), value};

	if (value == NULL)
		return;
	if (strcmp(value, INHERIT) == 0)
		args[2] = NULL;
	(void) OutboxExecute(psprintf("INSERT INTO outbox_internal.event_type_version (event_type_id, version, %s) VALUES ($1::int, $2::int, $3::%s)"
								  " ON CONFLICT (event_type_id, version) DO UPDATE SET %s = excluded.%s",
								  column, cast, column, column),
						 lengthof(args), args);
}
