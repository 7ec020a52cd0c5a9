/*-------------------------------------------------------------------------
 *
 * trigger.c
 *	  The trigger functions on a contract's source.
 *
 * They run in every write of a legacy application: whatever is wrong with a
 * contract becomes a dead letter or a gap, never an error of that write
 * (unless the contract asked for it with on_invalid = abort).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "capture/transition.h"
#include "contract/cache.h"
#include "contract/guard.h"
#include "deadletter/dead_letter.h"
#include "guc.h"

PG_FUNCTION_INFO_V1(outbox_capture_row);
PG_FUNCTION_INFO_V1(outbox_capture_truncate);
PG_FUNCTION_INFO_V1(outbox_config_changed);

static void check_call(FunctionCallInfo fcinfo, const char *function, bool row);
static void capture_row(OutboxCachedContract *contract, TriggerData *trigger);
static bool is_superseded(HeapTuple tuple);
static void broken_contract(OutboxCachedContract *contract, TriggerData *trigger);
static bool emits(const OutboxContractConfig *config, OutboxEmit emit);
static void describe_key(void *arg);

/* outbox.capture(): AFTER INSERT OR UPDATE OR DELETE, FOR EACH ROW. */
Datum
outbox_capture_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	OutboxCachedContract *contract;

	check_call(fcinfo, "outbox.capture", true);
	if (!outbox_capture)
		return PointerGetDatum(NULL);
	contract = OutboxContractAcquire(trigger->tg_trigger, trigger->tg_relation);
	PG_TRY();
	{
		switch (contract->state)
		{
			case OUTBOX_CONTRACT_READY:
				capture_row(contract, trigger);
				break;
			case OUTBOX_CONTRACT_DISABLED:
			case OUTBOX_CONTRACT_FOREIGN:
				break;
			case OUTBOX_CONTRACT_MISSING:
				if (OutboxContractFirstGap(contract))
					OutboxGapInsert(OutboxTriggerContract(trigger->tg_trigger),
									RelationGetRelid(trigger->tg_relation), "contract_missing");
				break;
			case OUTBOX_CONTRACT_BROKEN:
				broken_contract(contract, trigger);
				break;
		}
	}
	PG_FINALLY();
	{
		OutboxContractRelease(contract);
	}
	PG_END_TRY();
	return PointerGetDatum(NULL);
}

/* outbox.capture_truncate(): AFTER TRUNCATE, FOR EACH STATEMENT; leaves a gap. */
Datum
outbox_capture_truncate(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	OutboxCachedContract *contract;
	OutboxContractState state;

	check_call(fcinfo, "outbox.capture_truncate", false);
	if (!outbox_capture || !TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
		return PointerGetDatum(NULL);
	contract = OutboxContractAcquire(trigger->tg_trigger, trigger->tg_relation);
	state = contract->state;
	OutboxContractRelease(contract);
	if (state != OUTBOX_CONTRACT_DISABLED && state != OUTBOX_CONTRACT_FOREIGN)
		OutboxGapInsert(OutboxTriggerContract(trigger->tg_trigger),
						RelationGetRelid(trigger->tg_relation), "truncate");
	return PointerGetDatum(NULL);
}

/* outbox.config_changed(): on our configuration tables, so that every backend compiles anew. */
Datum
outbox_config_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	check_call(fcinfo, "outbox.config_changed", false);
	OutboxContractsChanged();
	CacheInvalidateRelcache(trigger->tg_relation);
	return PointerGetDatum(NULL);
}

static void
check_call(FunctionCallInfo fcinfo, const char *function, bool row)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		(TRIGGER_FIRED_FOR_ROW(trigger->tg_event) != 0) != row)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("%s() was not called as its trigger", function),
				 errhint("outbox.enable() creates the triggers of a contract.")));
}

static void
capture_row(OutboxCachedContract *contract, TriggerData *trigger)
{
	TupleTableSlot *before = NULL;
	TupleTableSlot *after = NULL;
	HeapTuple	new_tuple = NULL;

	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
	{
		after = trigger->tg_trigslot;
		new_tuple = trigger->tg_trigtuple;
	}
	else if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
	{
		before = trigger->tg_trigslot;
		after = trigger->tg_newslot;
		new_tuple = trigger->tg_newtuple;
	}
	else
		before = trigger->tg_trigslot;
	OutboxCaptureChange(contract->compiled, before, after, new_tuple && is_superseded(new_tuple));
}

/*
 * Another trigger of the same statement may already have updated the row
 * again; its own event follows, and consumers can tell this one by a header.
 */
static bool
is_superseded(HeapTuple tuple)
{
	HeapTupleHeader header = tuple->t_data;

	if ((header->t_infomask & HEAP_XMAX_INVALID) || HEAP_XMAX_IS_LOCKED_ONLY(header->t_infomask))
		return false;
	return TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetUpdateXid(header));
}

/* What describe_key needs inside its guard. */
typedef struct BrokenRow
{
	const OutboxContractConfig *config;
	TupleTableSlot *row;
	Jsonb	   *key;
} BrokenRow;

/* The contract does not compile: its change is kept with the source's key columns. */
static void
broken_contract(OutboxCachedContract *contract, TriggerData *trigger)
{
	OutboxContractConfig *config = contract->config;
	BrokenRow	broken = {.config = config, .row = trigger->tg_trigslot};
	OutboxDeadLetter letter = {.contract = OutboxTriggerContract(trigger->tg_trigger), .stage = "map",
		.sqlerrcode = contract->error->sqlerrcode, .message = contract->error->message,
		.detail = contract->error->detail,
	.hint = "outbox.preview() shows whether the contract works again."};
	OutboxEmit	emit = OUTBOX_EMIT_CHANGED;

	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		emit = OUTBOX_EMIT_CREATED;
	else if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		emit = OUTBOX_EMIT_DELETED;
	else
		broken.row = trigger->tg_newslot;
	letter.emit = OutboxEmitName(emit);
	if (config)
	{
		if (!emits(config, emit))
			return;
		if (config->abort_on_invalid)
			ereport(ERROR,
					(errcode(letter.sqlerrcode),
					 errmsg("contract \"%s\" refuses the change: %s", config->name, letter.message),
					 errhint("The contract was created with on_invalid => 'abort' and does not work any more; mend or disable it.")));
		if (OutboxRunGuarded(describe_key, &broken, CurrentMemoryContext) == NULL)
			letter.source_columns = broken.key;
	}
	OutboxDeadLetterInsert(&letter);
}

static bool
emits(const OutboxContractConfig *config, OutboxEmit emit)
{
	ListCell   *lc;

	foreach(lc, config->event_types)
	{
		OutboxEventTypeConfig *type = lfirst(lc);

		if (type->schema_id != 0 && (type->emit == emit || type->emit == OUTBOX_EMIT_ALWAYS))
			return true;
	}
	return false;
}

/* The columns of the unique index behind the key, as they were when the contract was created. */
static void
describe_key(void *arg)
{
	BrokenRow  *broken = arg;
	TupleDesc	desc = broken->row->tts_tupleDescriptor;
	OutboxEvaluationScope scope;
	int		   *columns = palloc(sizeof(int) * desc->natts);
	int			ncolumns = 0;

	OutboxEvaluationBegin(&scope, GetUserId(), true);
	slot_getallattrs(broken->row);
	for (int i = 0; i < desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped &&
			OutboxNameListMember(broken->config->root_key, NameStr(TupleDescAttr(desc, i)->attname)))
			columns[ncolumns++] = i;
	}
	broken->key = OutboxColumnsToJsonb(desc, broken->row->tts_values, broken->row->tts_isnull, columns, ncolumns);
	OutboxEvaluationEnd(&scope);
}
