/*-------------------------------------------------------------------------
 *
 * compatibility_sql.c
 *	  outbox.check_compatibility() and outbox.forget_schema_history().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

#include "catalog/outbox_catalog.h"
#include "contract/api/api_private.h"
#include "contract/compile/compile.h"
#include "contract/history/history.h"
#include "contract/view/view.h"
#include "util/util.h"

PG_FUNCTION_INFO_V1(outbox_check_compatibility);
PG_FUNCTION_INFO_V1(outbox_forget_schema_history);

#define CHECK_COLUMNS 8

static void put_violation(ReturnSetInfo *result, const OutboxViolation *violation);

/*
 * check_compatibility(contract, view, level): a row for each difference between the
 * schemas that would be pinned now and those that were pinned before.
 */
Datum
outbox_check_compatibility(PG_FUNCTION_ARGS)
{
	OutboxContractConfig *config = OutboxContractArg(fcinfo, 0, "contract");
	char *view = OutboxTextArg(fcinfo, 1);
	char *level = OutboxTextArg(fcinfo, 2);
	ListCell *type;
	ListCell *violation;

	if (level)
		OutboxCheckLevel(level);
	if (view)
	{
		config->view = OutboxResolveRelation("view", view);
		if (get_rel_relkind(config->view) != RELKIND_VIEW)
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("\"%s\" is not a view", view),
					 errhint("A contract is a view: CREATE VIEW it in canonical names and types first.")));
	}
	OutboxCheckContractRights(config->view, config->root);
	if (view == NULL)
		OutboxCheckViewOwnerUnchanged(config);
	InitMaterializedSRF(fcinfo, 0);
	foreach (type, config->event_types)
	{
		char *draft = OutboxDraftSchema(config, lfirst(type));

		foreach (violation, OutboxHistoryViolations(config, lfirst(type), draft, level ? level : OutboxCompatibility(config)))
			put_violation((ReturnSetInfo *) fcinfo->resultinfo, lfirst(violation));
	}
	return (Datum) 0;
}

static void
put_violation(ReturnSetInfo *result, const OutboxViolation *violation)
{
	Datum values[CHECK_COLUMNS];
	bool nulls[CHECK_COLUMNS] = {0};

	OutboxSetText(values, nulls, 0, violation->event_type);
	values[1] = Int32GetDatum(violation->against);
	OutboxSetText(values, nulls, 2, violation->direction);
	OutboxSetText(values, nulls, 3, violation->severity);
	OutboxSetText(values, nulls, 4, violation->rule);
	OutboxSetText(values, nulls, 5, violation->path);
	OutboxSetText(values, nulls, 6, violation->message);
	OutboxSetText(values, nulls, 7, violation->remedy);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* forget_schema_history(event_type, reason): what was pinned so far binds no new schema any more. */
Datum
outbox_forget_schema_history(PG_FUNCTION_ARGS)
{
	char *event_type;
	char *reason;
	char *contract;

	OutboxRequireVersion();
	event_type = OutboxRequiredTextArg(fcinfo, 0, "event_type");
	reason = OutboxTextArg(fcinfo, 1);
	if (reason == NULL || reason[0] == '\0')
		ereport(ERROR,
				(errcode(reason ? ERRCODE_INVALID_PARAMETER_VALUE : ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a reason is needed"),
				 errhint("Say why no consumer needs the former schemas; outbox.event_schemas keeps the reason.")));
	contract = OutboxEventTypeContract(event_type);
	if (contract)
	{
		OutboxContractConfig *config = OutboxContractGet(contract);

		if (get_rel_relkind(config->view) != '\0' && get_rel_relkind(config->root) != '\0')
			OutboxCheckContractRights(config->view, config->root);
	}
	if (OutboxExecute("WITH forgotten AS (UPDATE outbox_internal.event_schema SET forgotten_at = clock_timestamp(), forgotten_by = $2, forgotten_reason = $3"
					  " WHERE event_type = $1 AND forgotten_at IS NULL RETURNING 1) SELECT 1 FROM forgotten LIMIT 1",
					  3, (const char *const[]){event_type, GetUserNameFromId(GetUserId(), false), reason}) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("event type \"%s\" has no schema history", event_type),
				 errhint("SELECT event_type, version, forgotten_at FROM outbox.event_schemas lists what was pinned.")));
	PG_RETURN_VOID();
}
