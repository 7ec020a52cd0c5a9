/*-------------------------------------------------------------------------
 *
 * alter_sql.c
 *	  outbox.alter_contract() and outbox.alter_event_type().
 *
 * NULL leaves a property as it is, 'DEFAULT' makes it what it is when nobody
 * says anything; of lists the empty one does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "catalog/outbox_catalog.h"
#include "contract/api/api_private.h"
#include "contract/history/history.h"
#include "contract/view/view.h"

PG_FUNCTION_INFO_V1(outbox_alter_contract);
PG_FUNCTION_INFO_V1(outbox_alter_event_type);

static bool is_default(const char *value);

/* alter_contract(name, required, on_invalid, on_truncate, compatibility, max_fanout, source) */
Datum
outbox_alter_contract(PG_FUNCTION_ARGS)
{
	OutboxContractConfig *config = OutboxContractArg(fcinfo, 0, "name");
	char *on_invalid = OutboxTextArg(fcinfo, 2);
	char *on_truncate = OutboxTextArg(fcinfo, 3);
	char *compatibility = OutboxTextArg(fcinfo, 4);
	char *source = OutboxTextArg(fcinfo, 6);
	OutboxContractChange change;

	OutboxCheckVersionsRights(config->versions);
	config = OutboxContractForChange(config);
	change.required = PG_ARGISNULL(1) ? config->required : OutboxNameListArg(fcinfo, 1, "required");
	change.on_invalid = on_invalid ? OutboxOneOf("on_invalid", on_invalid, "dead_letter", "abort") : config->abort_on_invalid ? "abort"
																															  : "dead_letter";
	change.on_truncate = on_truncate ? OutboxOneOf("on_truncate", on_truncate, "gap", "reject") : config->reject_truncate ? "reject"
																														  : "gap";
	change.compatibility = compatibility == NULL ? OutboxCompatibility(config) : is_default(compatibility) ? "FULL"
																										   : compatibility;
	OutboxCheckLevel(change.compatibility);
	if (source && PG_ARGISNULL(5))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"source\" says whose \"max_fanout\" is meant, and there is none"),
				 errhint("Give both, or leave both out.")));
	if (!PG_ARGISNULL(5))
		OutboxAlterFanout(config, source ? OutboxFindRelation("source", source) : InvalidOid, PG_GETARG_INT32(5));
	OutboxAlterContract(config, &change);
	PG_RETURN_VOID();
}

/* alter_event_type(name, version, condition, previous, topic, ce_type, headers, actor) */
Datum
outbox_alter_event_type(PG_FUNCTION_ARGS)
{
	OutboxContractConfig *contract;
	OutboxEventTypeConfig *type;
	OutboxEventTypeConfig change;
	char *text;

	OutboxRequireVersion();
	if (!PG_ARGISNULL(1))
	{
		OutboxAlterEventTypeVersion(fcinfo);
		PG_RETURN_VOID();
	}
	type = OutboxEventTypeForChange(OutboxRequiredTextArg(fcinfo, 0, "name"), &contract);
	change = *type;
	if ((text = OutboxTextArg(fcinfo, 2)) != NULL)
		change.condition = is_default(text) ? NULL : text;
	if (!PG_ARGISNULL(3))
		change.previous = OutboxNameListArg(fcinfo, 3, "previous");
	if ((text = OutboxTextArg(fcinfo, 4)) != NULL)
		change.topic = is_default(text) ? contract->aggregate_type : text;
	if ((text = OutboxTextArg(fcinfo, 5)) != NULL)
		change.ce_type = is_default(text) ? OutboxDefaultCeType(contract, type->name) : text;
	if (!PG_ARGISNULL(6))
		change.headers = OutboxNameListArg(fcinfo, 6, "headers");
	if (!PG_ARGISNULL(7))
		change.actor = PG_GETARG_BOOL(7);
	OutboxAlterEventType(contract, type, &change);
	PG_RETURN_VOID();
}

static bool
is_default(const char *value)
{
	return strcmp(value, "DEFAULT") == 0;
}
