/*-------------------------------------------------------------------------
 *
 * moved_row.c
 *	  Rows that an UPDATE moves to another partition.
 *
 * PostgreSQL deletes such a row in its old partition and inserts it into the
 * new one, and fires the triggers of these: a row that was shipped would be
 * reported as deleted and placed. The deleted row is marked as moved, and the
 * inserted one follows as the next row of the same command. So the deleted row (a
 * departure) is kept until the inserted one (its arrival) comes, and both are one
 * change.
 *
 * The arrival may never come: a BEFORE INSERT trigger of the new partition may
 * suppress it. Then the row was deleted. That is captured as soon as it is certain:
 * when a later command changes a row of the contract, or at commit. A departure
 * captured inside a savepoint that is rolled back is captured again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/tupconvert.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "capture/row/row_private.h"
#include "capture/transition/transition.h"
#include "contract/compile/compile.h"
#include "letters/letters.h"

typedef struct Departure
{
	Trigger trigger; /* only what finds its contract */
	Oid relation;
	TupleDesc desc; /* of the partition as it was then */
	HeapTuple tuple;
	int depth;                 /* of triggers; deeper ones are nested in the command, */
	CommandId command;         /* and this one inserts the row again */
	SubTransactionId owner;    /* the subtransaction that moved the row, */
	SubTransactionId captured; /* and the one that captured it as deleted, if any */
} Departure;

static List *departures = NIL; /* with all they point to in TopTransactionContext */

static Departure *next_concerned(const TriggerData *trigger, int depth);
static HeapTuple whole_tuple(HeapTuple tuple, TupleDesc desc);
static bool is_over(const Departure *departure, int depth);
static bool is_arrival(const Departure *departure, const TriggerData *trigger, int depth);
static TupleTableSlot *as_it_was(Departure *departure, Relation rel);
static void settle(Departure *departure);
static void settle_all(void);
static Departure *next_uncaptured(void);
static bool still_fits(TupleDesc former, TupleDesc present);
static void forget(Departure *departure);
static void on_transaction(XactEvent event, void *arg);
static void on_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg);

/* Registers its callbacks; to be called after OutboxEventWriterInit. */
void
OutboxMovedRowInit(void)
{
	RegisterXactCallback(on_transaction, NULL);
	RegisterSubXactCallback(on_subtransaction, NULL);
}

/* Is the deleted row one that moves? */
bool
OutboxRowDeparts(const TriggerData *trigger)
{
	return trigger->tg_relation->rd_rel->relispartition && TRIGGER_FIRED_BY_DELETE(trigger->tg_event) &&
		HeapTupleHeaderIndicatesMovedPartitions(trigger->tg_trigtuple->t_data);
}

/* Keeps the departure until its arrival. */
void
OutboxMovedRowKeep(const TriggerData *trigger)
{
	MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
	Departure *departure = palloc0(sizeof(Departure));

	departure->trigger.tgoid = trigger->tg_trigger->tgoid;
	departure->trigger.tgname = pstrdup(trigger->tg_trigger->tgname);
	departure->trigger.tgtype = trigger->tg_trigger->tgtype;
	departure->trigger.tgisclone = trigger->tg_trigger->tgisclone;
	departure->relation = RelationGetRelid(trigger->tg_relation);
	departure->desc = CreateTupleDescCopy(RelationGetDescr(trigger->tg_relation));
	departure->tuple = whole_tuple(trigger->tg_trigtuple, RelationGetDescr(trigger->tg_relation));
	departure->depth = OutboxTriggerDepth();
	departure->command = HeapTupleHeaderGetCmax(trigger->tg_trigtuple->t_data);
	departure->owner = GetCurrentSubTransactionId();
	departures = lappend(departures, departure);
	MemoryContextSwitchTo(caller);
}

/*
 * Called first for every change of a partition: captures departures of the same
 * contract whose arrival cannot come any more. When the change is an arrival,
 * returns the row as it was, in the form of its new partition; otherwise NULL. The
 * caller drops the slot. May raise as OutboxCaptureRowChange does.
 */
TupleTableSlot *
OutboxMovedRowArrives(const TriggerData *trigger)
{
	TupleTableSlot *former = NULL;
	Departure *departure;
	int depth;

	if (departures == NIL)
		return NULL;
	depth = OutboxTriggerDepth();
	while ((departure = next_concerned(trigger, depth)) != NULL)
	{
		if (is_arrival(departure, trigger, depth))
			former = as_it_was(departure, trigger->tg_relation);
		else
		{
			settle(departure);
			if (departure->captured != departure->owner)
				continue;
		}
		departures = list_delete_ptr(departures, departure);
		forget(departure);
	}
	return former;
}

/*
 * The next departure to which this change is the arrival, or the proof that none will come; NULL: there is none. The
 * list is walked anew each time: capturing a departure runs functions, and their writes may change the list.
 */
static Departure *
next_concerned(const TriggerData *trigger, int depth)
{
	ListCell *lc;

	foreach (lc, departures)
	{
		Departure *departure = lfirst(lc);

		if (departure->captured == InvalidSubTransactionId &&
			strcmp(departure->trigger.tgname, trigger->tg_trigger->tgname) == 0 &&
			(is_arrival(departure, trigger, depth) || is_over(departure, depth)))
			return departure;
	}
	return NULL;
}

/*
 * A copy with every column in it. For a tuple from before an ADD COLUMN ... DEFAULT, only the descriptor of its partition
 * has the new column's value, and the copy is read with another descriptor later.
 */
static HeapTuple
whole_tuple(HeapTuple tuple, TupleDesc desc)
{
	if (HeapTupleHeaderGetNatts(tuple->t_data) < desc->natts)
		return heap_expand_tuple(tuple, desc);
	return heap_copytuple(tuple);
}

/* A nested change comes while the command that moves the row still fires its triggers. */
static bool
is_over(const Departure *departure, int depth)
{
	return depth <= departure->depth;
}

/*
 * The next row that the moving command inserts is the one that it deleted last.
 * When a trigger has suppressed the moved row, a MERGE may insert another row there.
 * That does no harm: a pair of rows with different keys counts as a deleted and a
 * created row.
 */
static bool
is_arrival(const Departure *departure, const TriggerData *trigger, int depth)
{
	if (!TRIGGER_FIRED_BY_INSERT(trigger->tg_event) || depth != departure->depth)
		return false;
	/* rows of foreign tables do not tell; those of COPY FREEZE are said to be nobody's */
	if (trigger->tg_relation->rd_rel->relkind == RELKIND_FOREIGN_TABLE)
		return true;
	return !HeapTupleHeaderXminFrozen(trigger->tg_trigtuple->t_data) &&
		HeapTupleHeaderGetCmin(trigger->tg_trigtuple->t_data) == departure->command;
}

/* The row that departed, with the columns where its new partition has them. */
static TupleTableSlot *
as_it_was(Departure *departure, Relation rel)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsHeapTuple);
	TupleConversionMap *map = convert_tuples_by_name(departure->desc, RelationGetDescr(rel));

	if (map == NULL)
		return ExecStoreHeapTuple(heap_copytuple(departure->tuple), slot, true);
	ExecStoreHeapTuple(execute_attr_map_tuple(departure->tuple, map), slot, true);
	free_conversion_map(map);
	return slot;
}

/* Captures a departure as a deleted row, in the present subtransaction. */
static void
settle(Departure *departure)
{
	Relation rel = try_relation_open(departure->relation, AccessShareLock);

	departure->captured = GetCurrentSubTransactionId();
	if (rel == NULL) /* dropped by this very transaction, which left a gap */
		return;
	if (still_fits(departure->desc, RelationGetDescr(rel)))
	{
		OutboxRowChange change = {.trigger = &departure->trigger, .rel = rel, .command = departure->command, .superseded_by = InvalidCommandId, .before = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsHeapTuple)};

		ExecStoreHeapTuple(departure->tuple, change.before, false);
		(void) OutboxCaptureRowChange(&change);
		ExecDropSingleTupleTableSlot(change.before);
	}
	else
		OutboxGapInsert(OutboxTriggerContract(&departure->trigger), departure->relation, "rewrite", NULL);
	relation_close(rel, NoLock);
}

static void
settle_all(void)
{
	Departure *departure;

	if (departures == NIL)
		return;
	PushActiveSnapshot(GetTransactionSnapshot());
	while ((departure = next_uncaptured()) != NULL)
		settle(departure);
	PopActiveSnapshot();
	departures = NIL;
}

static Departure *
next_uncaptured(void)
{
	ListCell *lc;

	foreach (lc, departures)
	{
		Departure *departure = lfirst(lc);

		if (departure->captured == InvalidSubTransactionId)
			return departure;
	}
	return NULL;
}

/* Can a tuple of the table as it was be read as one of the table as it is? Columns may have been added. */
static bool
still_fits(TupleDesc former, TupleDesc present)
{
	if (former->natts > present->natts)
		return false;
	for (int i = 0; i < former->natts; i++)
	{
		if (TupleDescAttr(former, i)->atttypid != TupleDescAttr(present, i)->atttypid ||
			TupleDescAttr(former, i)->attisdropped != TupleDescAttr(present, i)->attisdropped)
			return false;
	}
	return true;
}

static void
forget(Departure *departure)
{
	pfree(departure->trigger.tgname);
	FreeTupleDesc(departure->desc);
	heap_freetuple(departure->tuple);
	pfree(departure);
}

static void
on_transaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			settle_all();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
			departures = NIL;
			break;
		default:
			break;
	}
}

static void
on_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	ListCell *lc;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	foreach (lc, departures)
	{
		Departure *departure = lfirst(lc);

		if (event == SUBXACT_EVENT_COMMIT_SUB)
		{
			departure->owner = departure->owner == mine ? parent : departure->owner;
			departure->captured = departure->captured == mine ? parent : departure->captured;
		}
		else if (departure->owner == mine)
			departures = foreach_delete_current(departures, lc);
		else if (departure->captured == mine)
			departure->captured = InvalidSubTransactionId;
	}
}
