/*-------------------------------------------------------------------------
 *
 * examine_commit.c
 *	  A contract that is evaluated at commit, tried on the rows of its root.
 *
 * The root is scanned for its keys. The query of the flush is run for a batch of
 * keys at a time. When it raises, or meets codes that no map knows, the same keys
 * are read one by one, so that every trouble is reported for the row that has it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "tcop/dest.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "contract/codes/codes.h"
#include "contract/compile/compile.h"
#include "contract/keys/keys.h"
#include "contract/prove/prove_private.h"
#include "contract/view/view.h"
#include "letters/letters.h"

#define BATCH_KEYS 100

/* A key of the root, and the query's rows for it. */
typedef struct TrialKey
{
	Datum *values;
	int nrows;
	HeapTuple row; /* the first one */
} TrialKey;

typedef struct KeyTrial
{
	OutboxCompiledContract *contract;
	OutboxTrialRow function;
	void *arg;
	int64 rows; /* that counted */
	int64 max_rows;

	MemoryContext context; /* of the batch */
	int nkeys;
	TrialKey keys[BATCH_KEYS];

	/* the keys that the query runs for now */
	int first;
	int count;
	int next; /* rows mostly come in the order of their keys */
} KeyTrial;

/* Receives the query's rows. */
typedef struct TrialReceiver
{
	DestReceiver pub;
	KeyTrial *trial;
} TrialReceiver;

/* What key_step needs inside its guard. */
typedef struct KeyText
{
	KeyTrial *trial;
	TrialKey *key;
	Jsonb *result;
} KeyText;

static void scan_table(KeyTrial *trial, Oid table);
static ExprState *keyed_rows(KeyTrial *trial, Oid table);
static bool has_proven_key(const KeyTrial *trial, ExprState *has_key, ExprContext *econtext);
static void add_key(KeyTrial *trial, TupleTableSlot *row);
static void try_batch(KeyTrial *trial);
static ErrorData *read_keys(KeyTrial *trial, int first, int count);
static void read_step(void *arg);
static ParamListInfo make_parameters(KeyTrial *trial);
static bool receive_row(TupleTableSlot *slot, DestReceiver *self);
static void ignore_startup(DestReceiver *self, int operation, TupleDesc desc);
static void ignore_end(DestReceiver *self);
static bool same_key(KeyTrial *trial, const TrialKey *key, TupleTableSlot *slot);
static void deliver(KeyTrial *trial, TrialKey *key, ErrorData *error);
static void too_many_rows(KeyTrial *trial, const TrialKey *key, OutboxFinding *finding);
static Jsonb *key_text(KeyTrial *trial, TrialKey *key);
static void key_step(void *arg);

/*
 * Reads the contract's rows for the keys of its root, with the active snapshot.
 * Calls the function for the keys until it has said true max_rows times. A key
 * whose row cannot be computed is a finding. Memory is bounded. The caller has
 * locked the relations of the contract's query.
 */
void
OutboxTryKeys(OutboxCompiledContract *contract, int64 max_rows, OutboxTrialRow function, void *arg)
{
	KeyTrial *trial = palloc0(sizeof(KeyTrial));
	ListCell *lc;

	trial->contract = contract;
	trial->function = function;
	trial->arg = arg;
	trial->max_rows = max_rows;
	trial->context = AllocSetContextCreate(CurrentMemoryContext, "outbox trial keys", ALLOCSET_DEFAULT_SIZES);
	foreach (lc, OutboxSourceTables(contract->config->root))
	{
		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_RELATION)
			scan_table(trial, lfirst_oid(lc));
	}
	MemoryContextDelete(trial->context);
	pfree(trial);
}

static void
scan_table(KeyTrial *trial, Oid table)
{
	Relation rel = table_open(table, AccessShareLock);
	TupleTableSlot *row = table_slot_create(rel, NULL);
	TableScanDesc scan = OutboxBeginScan(rel, GetActiveSnapshot());
	ExprContext *econtext = CreateStandaloneExprContext();
	ExprState *has_key = keyed_rows(trial, table);

	econtext->ecxt_scantuple = row;
	while (trial->rows < trial->max_rows && table_scan_getnextslot(scan, ForwardScanDirection, row))
	{
		CHECK_FOR_INTERRUPTS();
		ResetExprContext(econtext);
		if (has_key && !has_proven_key(trial, has_key, econtext))
			continue;
		add_key(trial, row);
		if (trial->nkeys == BATCH_KEYS || trial->nkeys >= trial->max_rows - trial->rows)
			try_batch(trial);
	}
	try_batch(trial);
	FreeExprContext(econtext, true);
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(row);
	table_close(rel, NoLock);
}

/*
 * The condition of the rows whose key is proven, when a partial index proves it;
 * NULL: all rows. Another row may have the same key, but is not in the view. The
 * condition does not raise: the index has evaluated it on every row.
 */
static ExprState *
keyed_rows(KeyTrial *trial, Oid table)
{
	const OutboxContractConfig *config = trial->contract->config;
	OutboxEvaluation evaluation;
	List *conditions;
	List *reads = NIL;
	ExprState *state;
	ListCell *lc;

	foreach (lc, OutboxLookupColumns(config, &conditions))
		reads = lappend(reads, get_attname(config->root, lfirst_node(Var, lc)->varattno, false));
	OutboxEvaluationBegin(&evaluation, trial->contract->owner, OUTBOX_COMPILING);
	state = ExecInitQual((List *) expression_planner((Expr *) OutboxKeyPredicate(table, config->root, reads, conditions)), NULL);
	OutboxEvaluationEnd(&evaluation);
	return state;
}

/* Is the condition true of the row? It is evaluated with the rights of the view's owner, with which it proved the key. */
static bool
has_proven_key(const KeyTrial *trial, ExprState *has_key, ExprContext *econtext)
{
	OutboxEvaluation evaluation;
	bool result;

	OutboxEvaluationBegin(&evaluation, trial->contract->owner, OUTBOX_ANYTHING);
	result = ExecQual(has_key, econtext);
	OutboxEvaluationEnd(&evaluation);
	return result;
}

/* Adds the key of a row to the batch. Columns are found by name, because a partition numbers them in its own way. A key with a NULL has no row. */
static void
add_key(KeyTrial *trial, TupleTableSlot *row)
{
	TupleDesc lookup = trial->contract->query->lookup_desc;
	TrialKey *key = &trial->keys[trial->nkeys];
	MemoryContext caller = MemoryContextSwitchTo(trial->context);
	bool isnull = false;

	memset(key, 0, sizeof(*key));
	key->values = palloc(sizeof(Datum) * lookup->natts);
	for (int i = 0; i < lookup->natts && !isnull; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(lookup, i);
		AttrNumber attno = get_attnum(row->tts_tableOid, NameStr(attribute->attname));
		Datum value = slot_getattr(row, attno, &isnull);

		if (!isnull && attribute->attlen == -1)
			key->values[i] = PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
		else if (!isnull)
			key->values[i] = datumCopy(value, attribute->attbyval, attribute->attlen);
	}
	trial->nkeys += !isnull;
	MemoryContextSwitchTo(caller);
}

/* Reads the batch and delivers its keys. All that was allocated for them is freed with the batch. */
static void
try_batch(KeyTrial *trial)
{
	MemoryContext caller;
	bool one_by_one;

	if (trial->nkeys == 0)
		return;
	caller = MemoryContextSwitchTo(trial->context);
	one_by_one = read_keys(trial, 0, trial->nkeys) != NULL || OutboxUnknownCodes() != NULL;
	for (int i = 0; i < trial->nkeys && trial->rows < trial->max_rows; i++)
		deliver(trial, &trial->keys[i], one_by_one ? read_keys(trial, i, 1) : NULL);
	trial->nkeys = 0;
	MemoryContextSwitchTo(caller);
	MemoryContextReset(trial->context);
}

/* Reads the rows of some keys. Returns the error that the query raised, or NULL. */
static ErrorData *
read_keys(KeyTrial *trial, int first, int count)
{
	trial->first = trial->next = first;
	trial->count = count;
	for (int i = first; i < first + count; i++)
	{
		trial->keys[i].nrows = 0;
		trial->keys[i].row = NULL;
	}
	OutboxForgetUnknownCodes();
	return OutboxRunGuarded(read_step, trial, trial->context);
}

/* An OutboxGuardedStep: runs the query with the rights of the contract's owner. */
static void
read_step(void *arg)
{
	KeyTrial *trial = arg;
	OutboxCompiledContract *contract = trial->contract;
	TrialReceiver receiver = {.pub = {.receiveSlot = receive_row, .rStartup = ignore_startup, .rShutdown = ignore_end, .rDestroy = ignore_end, .mydest = DestNone}, .trial = trial};
	MemoryContext scratch = AllocSetContextCreate(trial->context, "outbox trial query", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(scratch);
	OutboxEvaluation evaluation;
	QueryDesc *query;

	OutboxEvaluationBegin(&evaluation, contract->owner, OUTBOX_ANYTHING);
	query = CreateQueryDesc(contract->query->plan, contract->config->name, GetActiveSnapshot(), InvalidSnapshot,
							&receiver.pub, make_parameters(trial), NULL, 0);
	ExecutorStart(query, 0);
	OutboxExecutorRun(query);
	ExecutorFinish(query);
	ExecutorEnd(query);
	FreeQueryDesc(query);
	OutboxEvaluationEnd(&evaluation);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
}

static ParamListInfo
make_parameters(KeyTrial *trial)
{
	Datum *values[BATCH_KEYS];

	for (int i = 0; i < trial->count; i++)
		values[i] = trial->keys[trial->first + i].values;
	return OutboxCommitQueryParameters(trial->contract->query, values, trial->count);
}

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	KeyTrial *trial = ((TrialReceiver *) self)->trial;

	slot_getallattrs(slot);
	for (int i = 0; i < trial->count; i++)
	{
		TrialKey *key = &trial->keys[trial->next];

		if (same_key(trial, key, slot))
		{
			MemoryContext caller = MemoryContextSwitchTo(trial->context);

			if (key->nrows++ == 0)
				key->row = heap_form_tuple(trial->contract->row_desc, slot->tts_values, slot->tts_isnull);
			MemoryContextSwitchTo(caller);
			break;
		}
		if (++trial->next == trial->first + trial->count)
			trial->next = trial->first;
	}
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

/* Does a row of the query belong to the key? Both have values of the root's own columns, so their bytes are the same. */
static bool
same_key(KeyTrial *trial, const TrialKey *key, TupleTableSlot *slot)
{
	TupleDesc lookup = trial->contract->query->lookup_desc;
	int ncolumns = trial->contract->ncolumns;

	for (int i = 0; i < lookup->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(lookup, i);

		if (slot->tts_isnull[ncolumns + i] ||
			!datum_image_eq(slot->tts_values[ncolumns + i], key->values[i], attribute->attbyval, attribute->attlen))
			return false;
	}
	return true;
}

static void
deliver(KeyTrial *trial, TrialKey *key, ErrorData *error)
{
	OutboxCompiledContract *contract = trial->contract;
	OutboxFinding finding = {0};

	OutboxEvaluateReset(contract);
	if (error)
	{
		finding.stage = "map";
		finding.sqlerrcode = error->sqlerrcode;
		finding.message = error->message ? error->message : "unknown error";
		finding.class = error->message_id ? error->message_id : finding.message;
	}
	else if (key->nrows > 1)
		too_many_rows(trial, key, &finding);
	else if (key->nrows == 1)
	{
		heap_deform_tuple(key->row, contract->row_desc, contract->after->tts_values, contract->after->tts_isnull);
		ExecStoreVirtualTuple(contract->after);
	}
	if (finding.stage)
		finding.source_key = key_text(trial, key);
	trial->rows += trial->function(trial->arg, contract, finding.stage == NULL && key->nrows == 1, &finding);
}

static void
too_many_rows(KeyTrial *trial, const TrialKey *key, OutboxFinding *finding)
{
	finding->stage = "map";
	finding->sqlerrcode = ERRCODE_CARDINALITY_VIOLATION;
	finding->message = psprintf("contract \"%s\" returned %d rows", trial->contract->config->name, key->nrows);
	finding->class = "rows";
}

/* The values of the lookup columns; NULL when the output function of a type raises. */
static Jsonb *
key_text(KeyTrial *trial, TrialKey *key)
{
	KeyText text = {.trial = trial, .key = key};

	return OutboxRunGuarded(key_step, &text, trial->context) ? NULL : text.result;
}

static void
key_step(void *arg)
{
	KeyText *text = arg;
	TupleDesc lookup = text->trial->contract->query->lookup_desc;
	int *columns = palloc(sizeof(int) * lookup->natts);
	bool *isnull = palloc0(sizeof(bool) * lookup->natts);
	OutboxEvaluation evaluation;

	for (int i = 0; i < lookup->natts; i++)
		columns[i] = i;
	OutboxEvaluationBegin(&evaluation, text->trial->contract->owner, OUTBOX_ANYTHING);
	text->result = OutboxColumnsToJsonb(lookup, text->key->values, isnull, columns, lookup->natts, 0);
	OutboxEvaluationEnd(&evaluation);
}
