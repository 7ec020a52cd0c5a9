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
#include "access/sysattr.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "capture/cost.h"
#include "capture/moved_row.h"
#include "capture/row_change.h"
#include "capture/touch_row.h"
#include "capture/transition.h"
#include "contract/cache.h"
#include "contract/guard.h"
#include "contract/key_query_rename.h"
#include "contract/partition.h"
#include "deadletter/dead_letter.h"
#include "guc.h"

PG_FUNCTION_INFO_V1(outbox_capture_row);
PG_FUNCTION_INFO_V1(outbox_capture_truncate);
PG_FUNCTION_INFO_V1(outbox_config_changed);

/* What judge_emptied finds out about a truncated table. */
typedef struct EmptiedTable
{
	const char *contract;
	Oid			relation;
	bool		captured;
	bool		refused;
} EmptiedTable;

static void check_call(FunctionCallInfo fcinfo, const char *function, bool row);
static void read_change(TriggerData *trigger, OutboxRowChange *change);
static void record_gap(OutboxCachedContract *contract, const OutboxRowChange *change, const char *reason);
static void judge_emptied(void *arg);
static bool is_superseded(HeapTuple tuple);
static void broken_contract(OutboxCachedContract *contract, const OutboxRowChange *change);
static bool emits(const OutboxContractConfig *config, OutboxEmit emit);
static bool emits_any(const OutboxContractConfig *config);
static void describe_key(void *arg);
static Bitmapset *child_keys(const OutboxContractConfig *config, Relation rel);
static bool names_key(const OutboxContractConfig *config, Relation rel);
static TupleDesc qualified_names(TupleDesc desc, Relation rel);

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
	read_change(trigger, &change);
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
				 errhint("DELETE them; or disable the contract first: SELECT outbox.disable('%s').", emptied.contract)));
	OutboxGapInsert(emptied.contract, emptied.relation, "truncate", NULL);
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
read_change(TriggerData *trigger, OutboxRowChange *change)
{
	HeapTuple	new_tuple = NULL;

	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
	{
		change->after = trigger->tg_trigslot;
		new_tuple = trigger->tg_trigtuple;
	}
	else
	{
		change->before = trigger->tg_trigslot;
		if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		{
			change->after = trigger->tg_newslot;
			new_tuple = trigger->tg_newtuple;
		}
	}
	change->superseded = new_tuple && is_superseded(new_tuple);
}

bool
OutboxCaptureRowChange(const OutboxRowChange *change)
{
	OutboxCachedContract *contract;
	OutboxCostMark cost;
	volatile bool captures = false;

	OutboxCostBegin(&cost);
	contract = OutboxContractAcquire(change->trigger, change->rel);

	PG_TRY();
	{
		switch (contract->state)
		{
			case OUTBOX_CONTRACT_READY:
				/* a row that moves touches the same keys twice, which is once */
				if (contract->touch)
				{
					OutboxCostEnd(&cost, contract->config->id,
								  OutboxTouchRow(contract, change) ? OUTBOX_COST_QUEUED : 0);
					break;
				}
				captures = true;
				if (!change->departs && contract->compiled)
					OutboxCostEnd(&cost, contract->config->id,
								  OutboxCaptureChange(contract->compiled, change->before, change->after, change->superseded));
				break;
			case OUTBOX_CONTRACT_DISABLED:
			case OUTBOX_CONTRACT_FOREIGN:
				break;
			case OUTBOX_CONTRACT_MISSING:
				record_gap(contract, change, "contract_missing");
				break;
			case OUTBOX_CONTRACT_DETACHED:
				record_gap(contract, change, "detached");
				break;
			case OUTBOX_CONTRACT_BROKEN:
				captures = true;
				if (!change->departs)
					broken_contract(contract, change);
				if (contract->config)
					OutboxCostEnd(&cost, contract->config->id, 1);
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

/* One gap per trigger and transaction. */
static void
record_gap(OutboxCachedContract *contract, const OutboxRowChange *change, const char *reason)
{
	if (OutboxContractFirstGap(contract))
		OutboxGapInsert(OutboxTriggerContract(change->trigger), RelationGetRelid(change->rel), reason, NULL);
}

static void
judge_emptied(void *arg)
{
	EmptiedTable *emptied = arg;
	OutboxContractConfig *config = OutboxContractLoad(emptied->contract);

	emptied->captured = config == NULL || (config->enabled && OutboxIsWithinSource(config, emptied->relation));
	emptied->refused = emptied->captured && config && config->reject_truncate;
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
	Relation	rel;
	bool		is_child;		/* of a contract that is evaluated at commit */
	Jsonb	   *key;
} BrokenRow;

static void former_child(OutboxDeadLetter *letter, BrokenRow *broken, TupleTableSlot *before);

/* The contract does not compile: its change is kept with the source's key columns. */
static void
broken_contract(OutboxCachedContract *contract, const OutboxRowChange *change)
{
	OutboxContractConfig *config = contract->config;
	BrokenRow	broken = {.config = config, .row = change->after ? change->after : change->before,
	.rel = change->rel};
	OutboxDeadLetter letter = {.contract = OutboxTriggerContract(change->trigger), .stage = "map",
		.sqlerrcode = contract->error->sqlerrcode, .message = contract->error->message,
		.detail = contract->error->detail,
	.hint = "outbox.preview() shows whether the contract works again."};
	OutboxEmit	emit = OUTBOX_EMIT_CHANGED;

	/* a new row of a child is a change of its parent */
	broken.is_child = config && config->at_commit && !OutboxIsWithin(RelationGetRelid(change->rel), config->root);
	if (change->before == NULL && !broken.is_child)
		emit = OUTBOX_EMIT_CREATED;
	else if (change->after == NULL && !broken.is_child)
		emit = OUTBOX_EMIT_DELETED;
	letter.emit = OutboxEmitName(emit);
	if (config)
	{
		if (!emits(config, emit) && !(broken.is_child && emits_any(config)))
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
	if (broken.is_child && change->before && change->after)
		former_child(&letter, &broken, change->before);
}

/* A row of a child that belongs to something else now concerns what it belonged to. */
static void
former_child(OutboxDeadLetter *letter, BrokenRow *broken, TupleTableSlot *before)
{
	Jsonb	   *after = broken->key;

	broken->row = before;
	broken->key = NULL;
	if (OutboxRunGuarded(describe_key, broken, CurrentMemoryContext) || after == NULL ||
		compareJsonbContainers(&after->root, &broken->key->root) == 0)
		return;
	letter->source_columns = broken->key;
	OutboxDeadLetterInsert(letter);
}

static bool
emits_any(const OutboxContractConfig *config)
{
	return emits(config, OUTBOX_EMIT_CREATED) || emits(config, OUTBOX_EMIT_CHANGED) ||
		emits(config, OUTBOX_EMIT_DELETED);
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

/*
 * The columns of the unique index behind the key, as they were when the
 * contract was created. Of a child those of its primary key and of its
 * key_query: which of its rows it was, and what it belongs to.
 */
static void
describe_key(void *arg)
{
	BrokenRow  *broken = arg;
	TupleDesc	desc = broken->row->tts_tupleDescriptor;
	OutboxEvaluationScope scope;
	int		   *columns = palloc(sizeof(int) * desc->natts);
	int			ncolumns = 0;

	Bitmapset  *keys = broken->is_child ? child_keys(broken->config, broken->rel) : NULL;

	OutboxEvaluationBegin(&scope, GetUserId(), true);
	slot_getallattrs(broken->row);
	if (broken->is_child && !names_key(broken->config, broken->rel))
		desc = qualified_names(desc, broken->rel);
	for (int i = 0; i < desc->natts; i++)
	{
		if (TupleDescAttr(desc, i)->attisdropped)
			continue;
		if (broken->is_child ? bms_is_member(i + 1, keys) :
			OutboxNameListMember(broken->config->root_key, NameStr(TupleDescAttr(desc, i)->attname)))
			columns[ncolumns++] = i;
	}
	broken->key = OutboxColumnsToJsonb(desc, broken->row->tts_values, broken->row->tts_isnull, columns, ncolumns);
	OutboxEvaluationEnd(&scope);
}

/* Numbers of the primary key's columns, and of those that the key_query names. */
static Bitmapset *
child_keys(const OutboxContractConfig *config, Relation rel)
{
	Bitmapset  *primary = RelationGetIndexAttrBitmap(rel, INDEX_ATTR_BITMAP_PRIMARY_KEY);
	Bitmapset  *keys = NULL;
	int			column = -1;
	ListCell   *lc;

	while ((column = bms_next_member(primary, column)) >= 0)
		keys = bms_add_member(keys, column + FirstLowInvalidHeapAttributeNumber);
	foreach(lc, config->sources)
	{
		OutboxSourceConfig *source = lfirst(lc);
		ListCell   *name;

		if (!OutboxIsWithin(RelationGetRelid(rel), source->relation))
			continue;
		foreach(name, OutboxKeyQueryColumns(source->key_query))
			keys = bms_add_member(keys, get_attnum(RelationGetRelid(rel), lfirst(name)));
	}
	return keys;
}

/*
 * Are the columns that the key_query names the contract's lookup columns, by
 * name and as they are? Then whoever tries the letter again reads by them.
 */
static bool
names_key(const OutboxContractConfig *config, Relation rel)
{
	StringInfoData plain;
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&plain);
	foreach(lc, config->root_key)
		appendStringInfo(&plain, "%srow.%s", plain.len ? "," : "", (char *) lfirst(lc));
	foreach(lc, config->sources)
	{
		OutboxSourceConfig *source = lfirst(lc);

		if (!OutboxIsWithin(RelationGetRelid(rel), source->relation))
			continue;
		initStringInfo(&text);
		for (const char *c = source->key_query; *c; c++)
		{
			if (*c != ' ')
				appendStringInfoChar(&text, *c);
		}
		if (strcmp(text.data, plain.data) == 0)
			return true;
	}
	return false;
}

/* A child's own id must not be taken for the key of the contract's row that happens to be called the same. */
static TupleDesc
qualified_names(TupleDesc desc, Relation rel)
{
	TupleDesc	copy = CreateTupleDescCopy(desc);

	for (int i = 0; i < copy->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(copy, i);

		namestrcpy(&attribute->attname, psprintf("%s.%s", RelationGetRelationName(rel), NameStr(TupleDescAttr(desc, i)->attname)));
	}
	return copy;
}
