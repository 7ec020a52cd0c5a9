/*-------------------------------------------------------------------------
 *
 * key_query_run.c
 *	  Running a compiled key_query on a row.
 *
 * As the owner of the contract's view, and with no lock that outlives it. It
 * raises what its functions raise; its caller guards it where that may be.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "tcop/dest.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "contract/compile/compile_private.h"
#include "contract/environment/environment.h"
#include "contract/plan/plan.h"
#include "guc.h"
#include "util/util.h"

/* Keeps the keys that a query gives, until it has ended. */
typedef struct KeyReceiver
{
	DestReceiver pub;
	MemoryContext context;
	List *keys; /* of Datum *, those without a NULL */
	int64 nrows;
} KeyReceiver;

static void run_expressions(OutboxKeyQuery *query, TupleTableSlot *row, OutboxTouchCallback add, void *arg);
static void run_plan(OutboxKeyQuery *query, TupleTableSlot *row, OutboxTouchCallback add, void *arg);
static void fill_parameters(OutboxKeyQuery *query, TupleTableSlot *row);
static void run_statement(OutboxKeyQuery *query, KeyReceiver *receiver);
static CachedPlan *look_with_plan(OutboxKeyQuery *query, OutboxLook *look);
static CachedPlan *enter_with_plan(OutboxKeyQuery *query, OutboxLook *look, bool *planned);
static bool receive_key(TupleTableSlot *slot, DestReceiver *self);
static void ignore_startup(DestReceiver *self, int operation, TupleDesc desc);
static void ignore_end(DestReceiver *self);
static void refuse_fanout(const OutboxKeyQuery *query);

/* What OutboxTouchKeys says; values are valid during the call of add only. */
void
OutboxRunKeyQuery(OutboxKeyQuery *query, TupleTableSlot *row, OutboxTouchCallback add, void *arg)
{
	OutboxEvaluation evaluation;

	OutboxEvaluationBegin(&evaluation, query->owner, query->traits);
	if (query->plan)
		run_plan(query, row, add, arg);
	else
		run_expressions(query, row, add, arg);
	OutboxEvaluationEnd(&evaluation);
}

/* Executor state, also after an error has left it half-way. */
void
OutboxBuildKeyStates(OutboxKeyQuery *query)
{
	MemoryContext caller;

	query->stale = true;
	MemoryContextReset(query->exec_context);
	caller = MemoryContextSwitchTo(query->exec_context);
	query->econtext = CreateStandaloneExprContext();
	query->states = ExecInitExprList((List *) copyObject(query->cached->expr), NULL);
	MemoryContextSwitchTo(caller);
	query->stale = false;
}

static void
run_expressions(OutboxKeyQuery *query, TupleTableSlot *row, OutboxTouchCallback add, void *arg)
{
	ListCell *lc;
	bool isnull = false;

	if (query->stale)
		OutboxBuildKeyStates(query);
	query->stale = true;
	ResetExprContext(query->econtext);
	query->econtext->ecxt_scantuple = row;
	foreach (lc, query->states)
	{
		query->values[foreach_current_index(lc)] = ExecEvalExprSwitchContext(lfirst(lc), query->econtext, &isnull);
		if (isnull)
			break;
	}
	if (!isnull)
		add(arg, query->values);
	query->stale = false;
}

/* On error the scratch memory goes with the subtransaction. */
static void
run_plan(OutboxKeyQuery *query, TupleTableSlot *row, OutboxTouchCallback add, void *arg)
{
	KeyReceiver receiver = {.pub = {.receiveSlot = receive_key, .rStartup = ignore_startup, .rShutdown = ignore_end, .rDestroy = ignore_end, .mydest = DestNone}};
	MemoryContext caller;
	ListCell *lc;

	fill_parameters(query, row);
	receiver.context = AllocSetContextCreate(CurTransactionContext, "outbox keys of a row", ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(receiver.context);
	run_statement(query, &receiver);
	MemoryContextSwitchTo(caller);
	if (receiver.nrows > query->max_fanout)
		refuse_fanout(query);
	foreach (lc, receiver.keys)
		add(arg, lfirst(lc));
	MemoryContextDelete(receiver.context);
}

/*
 * Sees what the writer's statement did: its snapshot is taken now. It has the
 * plan that was proven, even where the plan cache makes it anew. The writer's
 * statement uses none of its tables, so their locks end with it.
 */
static void
run_statement(OutboxKeyQuery *query, KeyReceiver *receiver)
{
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(query->plan));
	OutboxLook look;
	CachedPlan *plan = look_with_plan(query, &look);
	QueryDesc *desc;

	desc = CreateQueryDesc(linitial_node(PlannedStmt, plan->stmt_list), source->query_string, GetActiveSnapshot(),
						   InvalidSnapshot, &receiver->pub, query->params, NULL, 0);
	ExecutorStart(desc, 0);
	OutboxExecutorRunRows(desc, query->max_fanout + 1);
	ExecutorFinish(desc);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
	ReleaseCachedPlan(plan, CurrentResourceOwner);
	PopActiveSnapshot();
	OutboxLookLeave(&look);
	OutboxLookClose(&look);
}

/*
 * The plan, in a look that has the locks of its run alone. Planning takes more
 * (indexes of partitioned tables, say), and where a function writes, the look's
 * locks stay: so planning has a look of its own, which goes when the plan is
 * locked by the other one.
 */
static CachedPlan *
look_with_plan(OutboxKeyQuery *query, OutboxLook *look)
{
	bool planned;
	CachedPlan *plan = enter_with_plan(query, look, &planned);
	OutboxLook planning;

	if (!planned)
		return plan;
	ReleaseCachedPlan(plan, CurrentResourceOwner);
	PopActiveSnapshot();
	OutboxLookLeave(look);
	planning = *look;
	plan = enter_with_plan(query, look, &planned);
	OutboxLookClose(&planning);
	return plan;
}

static CachedPlan *
enter_with_plan(OutboxKeyQuery *query, OutboxLook *look, bool *planned)
{
	look->owner = NULL;
	OutboxLookEnter(look, CurrentResourceOwner);
	OutboxLookAwaitRoom(query->ntables, outbox_flush_timeout);
	PushActiveSnapshot(GetTransactionSnapshot());
	return OutboxCachedPlanByIndex(linitial(SPI_plan_get_plan_sources(query->plan)), query->params, planned);
}

static void
refuse_fanout(const OutboxKeyQuery *query)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("%s touches more than %d rows of the contract", query->what, query->max_fanout),
			 errdetail("That is its max_fanout."),
			 errhint("If one changed row may cause so many events, allow more of them with outbox.alter_contract(max_fanout => ...). Then change the row to another value and back, in two transactions, and discard the dead letter.")));
}

static void
fill_parameters(OutboxKeyQuery *query, TupleTableSlot *row)
{
	int column = -1;

	while ((column = bms_next_member(query->reads, column)) >= 0)
	{
		AttrNumber attno = column + FirstLowInvalidHeapAttributeNumber;
		ParamExternData *param = &query->params->params[attno - 1];

		param->value = slot_getattr(row, attno, &param->isnull);
		param->pflags = 0;
		param->ptype = TupleDescAttr(query->row, attno - 1)->atttypid;
	}
}

static bool
receive_key(TupleTableSlot *slot, DestReceiver *self)
{
	KeyReceiver *receiver = (KeyReceiver *) self;
	MemoryContext caller = MemoryContextSwitchTo(receiver->context);
	int natts = slot->tts_tupleDescriptor->natts;
	Datum *key = palloc(sizeof(Datum) * natts);
	bool isnull = false;

	slot_getallattrs(slot);
	for (int i = 0; i < natts && !isnull; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(slot->tts_tupleDescriptor, i);

		isnull = slot->tts_isnull[i];
		/* the table that a value out of line belongs to is not locked any more when the key is used */
		if (!isnull && attribute->attlen == -1)
			key[i] = PointerGetDatum(PG_DETOAST_DATUM_COPY(slot->tts_values[i]));
		else if (!isnull)
			key[i] = datumCopy(slot->tts_values[i], attribute->attbyval, attribute->attlen);
	}
	if (!isnull)
		receiver->keys = lappend(receiver->keys, key);
	receiver->nrows++;
	MemoryContextSwitchTo(caller);
	return true;
}

static void
ignore_startup(DestReceiver *self, int operation, TupleDesc desc)
{
}

static void
ignore_end(DestReceiver *self)
{
}
