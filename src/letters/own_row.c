/*-------------------------------------------------------------------------
 *
 * own_row.c
 *	  A row for dead letters or gaps, from inside a customer's write.
 *
 * A DBA may have indexes and triggers on these tables, also partial indexes
 * and those on expressions. So a row is inserted as the executor does it, as
 * the extension's owner, like every other write of ours. The DBA's triggers and
 * indexes may raise; neither the customer's write nor the row may fail for it. So
 * the insert is tried in a subtransaction, then without the triggers, then without
 * the indexes that did not come with the extension. The last attempt leaves an
 * index without the row, and the log says so; losing the row would be worse.
 *
 * Usually the DBA has none, and then nothing is caught. AFTER triggers fire here,
 * not when the customer's command ends.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "letters/letters_private.h"
#include "util/util.h"

typedef struct OwnRow
{
	Relation rel;
	Datum *values;
	bool *nulls;
	bool guarded;  /* there is something of the DBA's, which runs as the extension's owner */
	bool triggers; /* fire them */
	bool indexes;  /* all of them, not ours alone */
} OwnRow;

static bool is_plain(Relation rel);
static bool is_our_index(Relation rel, Oid index);
static void insert(void *arg);
static EState *create_state(Relation rel);
static int leave_out_foreign_indexes(ResultRelInfo *target, Relation *left_out);
static bool must_rethrow(const ErrorData *error);
static void report(const OwnRow *row, const ErrorData *error);

/*
 * Inserts a row that has all columns of the relation, which the caller has locked.
 * Indexes and triggers of the DBA are served, too; their errors are logged and do
 * not fail the write. Raises when the server itself is in trouble.
 */
void
OutboxInsertOwnRow(Relation rel, Datum *values, bool *nulls)
{
	OwnRow row = {.rel = rel, .values = values, .nulls = nulls, .triggers = true, .indexes = true};
	ErrorData *error;

	if (is_plain(rel))
	{
		insert(&row);
		return;
	}
	row.guarded = true;
	error = OutboxCatch(insert, &row, CurrentMemoryContext, must_rethrow);
	if (error == NULL)
		return;
	row.triggers = false;
	if (rel->trigdesc != NULL && OutboxCatch(insert, &row, CurrentMemoryContext, must_rethrow) == NULL)
	{
		report(&row, error);
		return;
	}
	row.indexes = false;
	insert(&row);
	report(&row, error);
}

/* No triggers, and no indexes but those that came with the extension. */
static bool
is_plain(Relation rel)
{
	ListCell *lc;

	if (rel->trigdesc != NULL)
		return false;
	foreach (lc, RelationGetIndexList(rel))
	{
		if (!is_our_index(rel, lfirst_oid(lc)))
			return false;
	}
	return true;
}

static bool
is_our_index(Relation rel, Oid index)
{
	return index == OutboxPrimaryKeyIndex(rel) || OutboxIsIndexOfScript(index);
}

static void
insert(void *arg)
{
	OwnRow *row = arg;
	OutboxOwnerScope scope;
	EState *state;
	ResultRelInfo *target = makeNode(ResultRelInfo);
	TupleTableSlot *slot;
	Relation *left_out;
	int nleft_out = 0;
	bool pushed = OutboxEnsureSnapshot();

	if (row->guarded)
		OutboxOwnerBegin(&scope);
	state = create_state(row->rel);
	InitResultRelInfo(target, row->rel, 1, NULL, 0);
	if (!row->triggers)
		target->ri_TrigDesc = NULL;
	ExecOpenIndices(target, false);
	left_out = palloc(sizeof(Relation) * (target->ri_NumIndices + 1));
	if (!row->indexes)
		nleft_out = leave_out_foreign_indexes(target, left_out);
	slot = ExecInitExtraTupleSlot(state, RelationGetDescr(row->rel), table_slot_callbacks(row->rel));
	memcpy(slot->tts_values, row->values, sizeof(Datum) * slot->tts_tupleDescriptor->natts);
	memcpy(slot->tts_isnull, row->nulls, sizeof(bool) * slot->tts_tupleDescriptor->natts);
	ExecStoreVirtualTuple(slot);

	AfterTriggerBeginQuery();
	ExecSimpleRelationInsert(target, state, slot);
	AfterTriggerEndQuery(state);

	ExecCloseIndices(target);
	for (int i = 0; i < nleft_out; i++)
		index_close(left_out[i], RowExclusiveLock);
	ExecResetTupleTable(state->es_tupleTable, false);
	ExecCloseResultRelations(state); /* that AFTER triggers opened */
	FreeExecutorState(state);
	if (row->guarded)
		OutboxOwnerEnd(&scope);
	if (pushed)
		PopActiveSnapshot();
}

static EState *
create_state(Relation rel)
{
	EState *state = CreateExecutorState();
	RangeTblEntry *entry = makeNode(RangeTblEntry);

	entry->rtekind = RTE_RELATION;
	entry->relid = RelationGetRelid(rel);
	entry->relkind = rel->rd_rel->relkind;
	entry->rellockmode = RowExclusiveLock;
	OutboxInitRangeTable(state, entry);
	state->es_output_cid = GetCurrentCommandId(true);
	return state;
}

/* Leaves out indexes that did not come with the extension; returns how many. They stay open. */
static int
leave_out_foreign_indexes(ResultRelInfo *target, Relation *left_out)
{
	int kept = 0;
	int nleft_out = 0;

	for (int i = 0; i < target->ri_NumIndices; i++)
	{
		Relation index = target->ri_IndexRelationDescs[i];

		if (!is_our_index(target->ri_RelationDesc, RelationGetRelid(index)))
		{
			left_out[nleft_out++] = index;
			continue;
		}
		target->ri_IndexRelationDescs[kept] = index;
		target->ri_IndexRelationInfo[kept++] = target->ri_IndexRelationInfo[i];
	}
	target->ri_NumIndices = kept;
	return nleft_out;
}

/* A trigger of the DBA's cannot pretend to be the server. */
static bool
must_rethrow(const ErrorData *error)
{
	return OutboxIsCancel(error) || OutboxIsIntervention(error) || OutboxIsSerializationFailure(error) || OutboxIsStorageTrouble(error);
}

static void
report(const OwnRow *row, const ErrorData *error)
{
	if (row->indexes)
		ereport(LOG_SERVER_ONLY,
				(errcode(error->sqlerrcode),
				 errmsg("a trigger on \"%s\" failed: %s", RelationGetRelationName(row->rel), error->message),
				 errdetail("Row " INT64_FORMAT " was inserted without triggers.", DatumGetInt64(row->values[0])),
				 errhint("They run as the extension's owner with search_path = pg_catalog, pg_temp: qualify names.")));
	else
		ereport(LOG_SERVER_ONLY,
				(errcode(error->sqlerrcode),
				 errmsg("an index on \"%s\" refused a row: %s", RelationGetRelationName(row->rel), error->message),
				 errdetail("Row " INT64_FORMAT " was inserted without triggers and is only in the indexes of the extension.", DatumGetInt64(row->values[0])),
				 errhint("Drop the index, or create it so that it takes every row.")));
}
