/*-------------------------------------------------------------------------
 *
 * trigger.c
 *	  The trigger functions: on a contract's sources, on our configuration, on outbox.event.
 *
 * Those on sources run in every write of a legacy application. A fault of a
 * contract becomes a dead letter or a gap, never an error of that write, unless
 * the contract asks for it with on_invalid = abort.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "replication/logicalworker.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "capture/row/row_private.h"
#include "capture/transition/transition.h"
#include "capture/write/write.h"
#include "contract/compile/compile.h"
#include "contract/environment/environment.h"
#include "contract/view/view.h"
#include "guc.h"
#include "letters/letters.h"

PG_FUNCTION_INFO_V1(outbox_capture_row);
PG_FUNCTION_INFO_V1(outbox_capture_truncate);
PG_FUNCTION_INFO_V1(outbox_config_changed);
PG_FUNCTION_INFO_V1(outbox_refuse_write);

/* What judge_emptied finds out about a truncated table. */
typedef struct EmptiedTable
{
	const char *contract;
	Oid trigger;
	Oid relation;
	bool captured;
	bool refused;
} EmptiedTable;

static void check_call(FunctionCallInfo fcinfo, const char *function, bool row);
static void read_rows(OutboxRowChange *change, const TriggerData *trigger);
static void read_commands(OutboxRowChange *change);
static bool capture_later_versions(const OutboxCachedContract *first, OutboxRowChange *change);
static bool capture_line(const OutboxCachedContract *first, OutboxRowChange *change, int32 *line);
static bool capture_version(const OutboxCachedContract *first, OutboxCachedContract *version, OutboxRowChange *change);
static void record_gap(OutboxCachedContract *contract, const OutboxRowChange *change, const char *reason, const char *detail);
static void log_restoring(const OutboxContractConfig *config);
static void judge_emptied(void *arg);
static bool is_superseded(HeapTuple tuple);

/* outbox.capture(): AFTER INSERT OR UPDATE OR DELETE, FOR EACH ROW. */
Datum
outbox_capture_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	OutboxRowChange change = {0};
	TupleTableSlot *moved = NULL;

	check_call(fcinfo, "outbox.capture", true);
	change.trigger = trigger->tg_trigger;
	change.rel = trigger->tg_relation;
	if (!outbox_capture)
		return PointerGetDatum(NULL);
	if (trigger->tg_relation->rd_rel->relispartition)
		moved = OutboxMovedRowArrives(trigger);
	read_rows(&change, trigger);
	if (moved)
		change.before = moved;
	change.departs = OutboxRowDeparts(trigger);
	if (OutboxCaptureRowChange(&change) && change.departs)
		OutboxMovedRowKeep(trigger);
	if (moved)
		ExecDropSingleTupleTableSlot(moved);
	return PointerGetDatum(NULL);
}

/* outbox.capture_truncate(): AFTER TRUNCATE, FOR EACH STATEMENT; leaves a gap, or refuses. */
Datum
outbox_capture_truncate(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	EmptiedTable emptied = {0};

	check_call(fcinfo, "outbox.capture_truncate", false);
	emptied.contract = OutboxTriggerContract(trigger->tg_trigger);
	emptied.trigger = trigger->tg_trigger->tgoid;
	emptied.relation = RelationGetRelid(trigger->tg_relation);
	if (!outbox_capture || !TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
		return PointerGetDatum(NULL);
	/* a configuration that cannot be read is no reason to stay silent */
	if (OutboxRunGuarded(judge_emptied, &emptied, CurrentMemoryContext) == NULL && !emptied.captured)
		return PointerGetDatum(NULL);
	if (emptied.refused)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("contract \"%s\" refuses TRUNCATE of \"%s\"", emptied.contract,
						RelationGetRelationName(trigger->tg_relation)),
				 errdetail("Its rows would be gone without an event."),
				 errhint("DELETE them; or disable the contract first: SELECT outbox.disable('%s');", emptied.contract)));
	OutboxGapInsert(emptied.contract, emptied.relation, "truncate", NULL);
	return PointerGetDatum(NULL);
}

/* outbox_internal.config_changed(): on our configuration tables, so that every backend compiles anew. */
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
read_rows(OutboxRowChange *change, const TriggerData *trigger)
{
	change->unread = trigger;
	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		change->after = trigger->tg_trigslot;
	else
		change->before = trigger->tg_trigslot;
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		change->after = trigger->tg_newslot;
}

/* Which commands made the rows. Rows of foreign tables have no command, and rows of COPY FREEZE do not tell theirs. */
static void
read_commands(OutboxRowChange *change)
{
	const TriggerData *trigger = change->unread;
	HeapTuple new_tuple;

	if (trigger == NULL)
		return;
	change->unread = NULL;
	change->trigger_depth = OutboxTriggerDepth();
	change->command = InvalidCommandId;
	change->superseded_by = InvalidCommandId;
	if (change->rel->rd_rel->relkind == RELKIND_FOREIGN_TABLE)
		return;
	if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
	{
		change->command = HeapTupleHeaderGetCmax(trigger->tg_trigtuple->t_data);
		return;
	}
	new_tuple = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
	if (!HeapTupleHeaderXminFrozen(new_tuple->t_data))
		change->command = HeapTupleHeaderGetCmin(new_tuple->t_data);
	if (is_superseded(new_tuple))
		change->superseded_by = HeapTupleHeaderGetCmax(new_tuple->t_data);
}

/*
 * Captures the change. False: its contract captures nothing at present. Raises
 * only errors that must reach the writer, or with on_invalid = abort.
 */
bool
OutboxCaptureRowChange(OutboxRowChange *change)
{
	OutboxCachedContract *contract;
	OutboxCallMark mark;
	volatile bool captures = false;
	OutboxPairs pairs = {.context = CurrentMemoryContext, .first = true};
	int differing;

	OutboxCountCallBegin(&mark);
	contract = OutboxContractAcquire(change->trigger, change->rel);
	change->pairs = contract->next_line ? &pairs : NULL;

	PG_TRY();
	{
		switch (contract->state)
		{
			case OUTBOX_CONTRACT_READY:
				/* a row that moves touches the same keys twice, which is once */
				if (contract->touch)
				{
					OutboxCountCallEnd(&mark, contract->config->id,
									   OutboxTouchRow(contract, change) ? OUTBOX_CALL_QUEUED : 0);
					break;
				}
				captures = true;
				if (change->departs || contract->compiled == NULL)
					break;
				read_commands(change);
				differing = OutboxCaptureChange(contract->compiled, change);
				if (contract->next_line)
					capture_later_versions(contract, change);
				OutboxCountCallEnd(&mark, contract->config->id, differing);
				break;
			case OUTBOX_CONTRACT_DISABLED:
			case OUTBOX_CONTRACT_FOREIGN:
				break;
			case OUTBOX_CONTRACT_RESTORING:
				log_restoring(contract->config);
				break;
			case OUTBOX_CONTRACT_MISSING:
				record_gap(contract, change, "contract_missing", "the contract of the trigger was not found");
				break;
			case OUTBOX_CONTRACT_DETACHED:
				record_gap(contract, change, "detached", OUTBOX_VIEWS_AWAY);
				if (contract->next_line && !contract->config->at_commit)
					captures = capture_later_versions(contract, change);
				break;
			case OUTBOX_CONTRACT_BROKEN:
				captures = true;
				if (!change->departs)
					OutboxBrokenContract(contract, change);
				if (contract->next_line && !contract->config->at_commit)
					capture_later_versions(contract, change);
				if (contract->config)
					OutboxCountCallEnd(&mark, contract->config->id, 1);
				break;
		}
	}
	PG_FINALLY();
	{
		OutboxContractRelease(contract);
	}
	PG_END_TRY();
	return captures;
}

/*
 * Captures the change for the further versions of a contract that is evaluated per row, in their order. False: none of
 * them captures anything at present. Raises as OutboxCaptureRowChange does.
 */
static bool
capture_later_versions(const OutboxCachedContract *first, OutboxRowChange *change)
{
	int32 line = first->next_line;
	bool captures = false;

	if (change->pairs)
		change->pairs->first = false;
	while (line != 0)
		captures |= capture_line(first, change, &line);
	return captures;
}

/* Captures the change for the version of one line, and moves on to the next one. */
static bool
capture_line(const OutboxCachedContract *first, OutboxRowChange *change, int32 *line)
{
	OutboxCachedContract *version = OutboxContractAcquireLine(change->trigger, change->rel, *line);
	volatile bool captures = false;

	*line = version->next_line;
	PG_TRY();
	{
		captures = capture_version(first, version, change);
	}
	PG_FINALLY();
	{
		OutboxContractRelease(version);
	}
	PG_END_TRY();
	return captures;
}

static bool
capture_version(const OutboxCachedContract *first, OutboxCachedContract *version, OutboxRowChange *change)
{
	switch (version->state)
	{
		case OUTBOX_CONTRACT_READY:
			if (!change->departs)
			{
				read_commands(change);
				(void) OutboxCaptureChange(version->compiled, change);
			}
			return true;
		case OUTBOX_CONTRACT_BROKEN:
			if (!change->departs)
				OutboxBrokenContract(version, change);
			return true;
		case OUTBOX_CONTRACT_DETACHED:
			if (first->state != OUTBOX_CONTRACT_DETACHED)
				record_gap(version, change, "detached", OUTBOX_VIEWS_AWAY);
			return false;
		default:
			return false;
	}
}

/* How many triggers are running, each inside of the one before. */
int
OutboxTriggerDepth(void)
{
	return DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, (Datum) 0));
}

/* One gap per trigger and transaction. */
static void
record_gap(OutboxCachedContract *contract, const OutboxRowChange *change, const char *reason, const char *detail)
{
	if (OutboxContractFirstGap(contract))
		OutboxGapInsert(OutboxTriggerContract(change->trigger), RelationGetRelid(change->rel), reason, detail);
}

/*
 * Nothing is captured, because the rows are taken for those of a restore. But somebody may have turned our sequence
 * back: so the log says it once per session and contract.
 */
static void
log_restoring(const OutboxContractConfig *config)
{
	static List *logged = NIL;
	MemoryContext caller;

	if (list_member_int(logged, config->id))
		return;
	caller = MemoryContextSwitchTo(TopMemoryContext);
	logged = lappend_int(logged, config->id);
	MemoryContextSwitchTo(caller);
	ereport(LOG_SERVER_ONLY,
			(errmsg("contract \"%s\" captures nothing: it counts as being restored", config->name),
			 errdetail("Sequence outbox_internal.contract_id_seq is behind its id %d.", config->id),
			 errhint("If no restore is running, see its advice: SELECT advice FROM outbox.status WHERE state = 'restoring';")));
}

static void
judge_emptied(void *arg)
{
	EmptiedTable *emptied = arg;
	OutboxContractConfig *config = OutboxContractLoad(emptied->contract);

	if (config == NULL)
		emptied->captured = OutboxIsWithinAnySource(emptied->relation) && OutboxTriggerIsOurs(emptied->trigger, emptied->relation);
	else
		emptied->captured = config->enabled && OutboxIsWithinSource(config, emptied->relation);
	if (emptied->captured && config && config->restoring)
	{
		log_restoring(config);
		emptied->captured = false;
	}
	emptied->refused = emptied->captured && config && config->reject_truncate;
}

/* Another trigger of the same statement may already have updated the row again. */
static bool
is_superseded(HeapTuple tuple)
{
	HeapTupleHeader header = tuple->t_data;

	if ((header->t_infomask & HEAP_XMAX_INVALID) || HEAP_XMAX_IS_LOCKED_ONLY(header->t_infomask))
		return false;
	return TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetUpdateXid(header));
}

/*
 * outbox_internal.refuse_write(), the trigger of outbox.event and its leaves: capture alone writes them. Capture and the
 * keeper use the heap interface, which fires no triggers. A row that came in by SQL would carry a foreign transaction
 * id, and be published in the wrong order or never; so INSERT, UPDATE, DELETE and TRUNCATE raise. A logical replication
 * worker skips them instead: an error there would stop the subscription of a publication FOR ALL TABLES.
 */
Datum
outbox_refuse_write(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("outbox_internal.refuse_write() was not called as a trigger")));
	if (!IsLogicalWorker())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("\"%s\" is written by capture alone", RelationGetRelationName(trigger->tg_relation)),
				 errdetail("A row written by SQL could not be published in order."),
				 errhint("Change a source of an enabled contract instead.")));
	return PointerGetDatum(NULL);
}
