/*-------------------------------------------------------------------------
 *
 * touch_row.c
 *	  A changed row of a source of a contract evaluated at commit.
 *
 * Nothing is evaluated here. The keys of the contract's rows that the change
 * concerns are queued, those before the change and those after it: a line that
 * moves concerns both orders, and with a changed key one row goes and one comes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "nodes/bitmapset.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "capture/commit/commit.h"
#include "capture/row/row_private.h"
#include "capture/write/write.h"
#include "contract/compile/compile.h"
#include "contract/environment/environment.h"
#include "letters/letters.h"
#include "util/util.h"

typedef struct TouchedRow
{
	OutboxTouch *touch;
	OutboxQueuedContract *queued;
	TupleTableSlot *before;
	TupleTableSlot *after;
	int flags; /* of the keys after */
	int key_flags;
	Relation rel; /* for describe_row */
	char *description;
} TouchedRow;

static bool wants_always(const OutboxContractConfig *config);
static OutboxQueuedContract *queued_contract(OutboxCachedContract *contract);
static void compile_whole(OutboxQueuedContract *queued);
static List *with_inheritors(const List *relations);
static void queue_keys(void *arg);
static void queue_key(void *arg, const Datum *values);
static void key_missing(OutboxCachedContract *contract, TouchedRow *row, const char *column);
static void keys_failed(OutboxCachedContract *contract, TouchedRow *row, const ErrorData *error);
static void describe_row(void *arg);

/*
 * Queues the lookup keys of the row, as it was and as it is. A row whose keys
 * cannot be computed becomes a dead letter. Raises as OutboxCaptureChange does.
 * False: the columns that the contract reads are equal, and nothing is queued.
 */
bool
OutboxTouchRow(OutboxCachedContract *contract, const OutboxRowChange *change)
{
	TouchedRow row = {.touch = contract->touch, .before = change->before, .after = change->after, .rel = change->rel};
	ErrorData *error = NULL;

	if (row.before && row.after && !wants_always(contract->config) &&
		OutboxTouchReadsEqual(contract->touch, row.before, row.after))
		return false;
	if (row.before == NULL && OutboxTouchInsertIsNew(contract->touch))
		row.flags = OUTBOX_KEY_INSERTED;
	OutboxTraceKeep();
	row.queued = queued_contract(contract);
	if (OutboxTouchMayRaise(contract->touch) || OutboxKeyShapeMayRaise(row.queued->shape))
		error = OutboxRunGuarded(queue_keys, &row, CurrentMemoryContext);
	else
		queue_keys(&row);
	if (error)
		keys_failed(contract, &row, error);
	else if (row.after && OutboxTouchMissingColumn(row.touch, row.after))
		key_missing(contract, &row, OutboxTouchMissingColumn(row.touch, row.after));
	OutboxFlushIfOver();
	return true;
}

static bool
wants_always(const OutboxContractConfig *config)
{
	ListCell *lc;

	foreach (lc, config->event_types)
	{
		const OutboxEventTypeConfig *type = lfirst(lc);

		if (type->emit == OUTBOX_EMIT_ALWAYS && type->schema_id != 0)
			return true;
	}
	return false;
}

/*
 * The first touch in a transaction compiles the contract, which is cheaper now
 * than at the commit, and remembers the relations that the flush will lock. When
 * one of them is locked by somebody else, or the lock table has no room, the
 * writer does not wait for a table that his own statement does not use: compiling
 * is left to the flush, which tries until its timer ends.
 */
static OutboxQueuedContract *
queued_contract(OutboxCachedContract *contract)
{
	OutboxQueuedContract *queued = OutboxKeyQueueContract(contract->config, OutboxTouchLookupDesc(contract->touch));
	const List *relations;
	OutboxLook look = {0};

	if (queued->versions == NULL || contract->next_line != 0)
		OutboxKeyQueueNoteVersions(queued, contract->config);
	if (OidIsValid(queued->owner))
		return queued;
	if (OutboxContractIsCurrent(queued->name, 0))
	{
		compile_whole(queued);
		return queued;
	}
	relations = with_inheritors(OutboxTouchRelations(contract->touch));
	OutboxLookEnter(&look, CurrentResourceOwner);
	if (OutboxLookHasRoom(list_length(relations)) && OutboxLockWithoutWait(relations))
		compile_whole(queued);
	else
		OutboxKeyQueueNoteRelations(queued, OutboxRelationOwner(contract->config->view), relations);
	OutboxLookLeave(&look);
	OutboxLookClose(&look);
	return queued;
}

static void
compile_whole(OutboxQueuedContract *queued)
{
	OutboxCachedContract *whole = OutboxContractAcquireByName(queued->name);

	PG_TRY();
	{
		if (whole->state == OUTBOX_CONTRACT_READY && whole->compiled->query)
			OutboxKeyQueueNoteRelations(queued, whole->compiled->owner, whole->compiled->query->relations);
	}
	PG_FINALLY();
	{
		OutboxContractRelease(whole);
	}
	PG_END_TRY();
}

/* The planner locks the partitions with their table. */
static List *
with_inheritors(const List *relations)
{
	List *all = NIL;
	ListCell *lc;

	foreach (lc, relations)
		all = list_concat_unique_oid(all, find_all_inheritors(lfirst_oid(lc), NoLock, NULL));
	return all;
}

static void
queue_keys(void *arg)
{
	TouchedRow *row = arg;

	row->key_flags = 0;
	if (row->before)
		OutboxTouchKeys(row->touch, row->before, queue_key, row);
	row->key_flags = row->flags;
	if (row->after)
		OutboxTouchKeys(row->touch, row->after, queue_key, row);
}

static void
queue_key(void *arg, const Datum *values)
{
	TouchedRow *row = arg;

	OutboxKeyQueueAdd(row->queued, values, row->key_flags);
}

/* It is not known which rows of the contract are concerned: a person finds the source's row by its primary key. */
static void
keys_failed(OutboxCachedContract *contract, TouchedRow *row, const ErrorData *error)
{
	OutboxContractConfig *config = contract->config;
	OutboxDeadLetter letter = {.contract = config->name, .stage = "map", .sqlerrcode = error->sqlerrcode, .message = error->message, .detail = error->detail, .hint = error->hint ? error->hint : "Change the rows of the contract's root that it concerns, and discard the dead letter."};

	if (config->abort_on_invalid)
		ereport(ERROR,
				(errcode(error->sqlerrcode),
				 errmsg("contract \"%s\" refuses the change: %s", config->name, error->message),
				 error->detail ? errdetail("%s", error->detail) : 0,
				 errhint("The contract has on_invalid => 'abort'; correct the row, or the source's key_query.")));
	if (OutboxRunGuarded(describe_row, row, CurrentMemoryContext) == NULL)
		letter.detail = psprintf("It concerns the row %s of \"%s\".", row->description, RelationGetRelationName(row->rel));
	OutboxDeadLetterInsertEach(&letter, config);
	OutboxEventCountDeadLetter(config->id);
}

/* A column of the key is missing in the row after. The keys of the row before are queued all the same. */
static void
key_missing(OutboxCachedContract *contract, TouchedRow *row, const char *column)
{
	ErrorData error = {.sqlerrcode = ERRCODE_NOT_NULL_VIOLATION};

	error.message = psprintf("the row has no key: its column \"%s\" is NULL", column);
	error.hint = psprintf("Give the column a value, and discard the dead letter; or leave such rows out of the view: WHERE %s IS NOT NULL.", quote_identifier(column));
	keys_failed(contract, row, &error);
}

/* The row's primary key; output functions run. */
static void
describe_row(void *arg)
{
	TouchedRow *row = arg;
	TupleTableSlot *slot = row->after ? row->after : row->before;
	TupleDesc desc = slot->tts_tupleDescriptor;
	Bitmapset *key = RelationGetIndexAttrBitmap(row->rel, INDEX_ATTR_BITMAP_PRIMARY_KEY);
	int *columns = palloc(sizeof(int) * desc->natts);
	int ncolumns = 0;
	Jsonb *columns_json;
	OutboxEvaluation evaluation;

	OutboxEvaluationBegin(&evaluation, GetUserId(), OUTBOX_ANYTHING);
	slot_getallattrs(slot);
	for (int i = 0; i < desc->natts; i++)
	{
		if (bms_is_member(i + 1 - FirstLowInvalidHeapAttributeNumber, key))
			columns[ncolumns++] = i;
	}
	columns_json = OutboxColumnsToJsonb(desc, slot->tts_values, slot->tts_isnull, columns, ncolumns, 0);
	row->description = JsonbToCString(NULL, &columns_json->root, VARSIZE(columns_json));
	OutboxEvaluationEnd(&evaluation);
}
