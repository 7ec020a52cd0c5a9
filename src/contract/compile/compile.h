/*-------------------------------------------------------------------------
 *
 * compile.h
 *	  A view compiled: cached, and applied to rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONTRACT_COMPILE_COMPILE_H
#define OUTBOX_CONTRACT_COMPILE_COMPILE_H

#include "access/tupdesc.h"
#include "executor/tuptable.h"
#include "nodes/bitmapset.h"
#include "nodes/execnodes.h"
#include "nodes/params.h"
#include "nodes/plannodes.h"
#include "storage/lock.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"

#include "avro/outbox_avro.h"
#include "catalog/outbox_catalog.h"
#include "contract/environment/environment.h"
#include "contract/reach/reach.h"

/* ---- commit_query.c: The view of a contract that is evaluated at commit, as one query for many keys. ---- */

typedef struct OutboxCommitQuery
{
	PlannedStmt *plan; /* $1..$nlookup: arrays of equal length, one element per key, keys distinct */
	List *relations;   /* OIDs of all tables and views behind it, ascending: AccessShareLock on these while it runs */
	int nlookup;
	TupleDesc lookup_desc; /* names, types, typmods and collations of the lookup columns */
	AttrNumber *lookup;    /* their numbers in the root */
	Oid *array_types;      /* types of the parameters (arrays of the base types) */
						   /* result columns: those of the contract's view, then the lookup columns */
} OutboxCommitQuery;

extern OutboxCommitQuery *OutboxPlanCommitQuery(const OutboxContractConfig *config, const Bitmapset *used);
extern bool OutboxKeyFromLookup(const OutboxContractConfig *config, const OutboxCommitQuery *query, const OutboxRunner *runner,
								const Datum *lookup, Datum *values, bool *isnull);
extern ParamListInfo OutboxCommitQueryParameters(const OutboxCommitQuery *query, Datum *const *keys, int nkeys);
extern List *OutboxLookupColumns(const OutboxContractConfig *config, List **conditions);
extern TupleDesc OutboxLookupDesc(Oid root, const List *columns);

/* ---- compile.c: A contract's configuration -> what evaluates and encodes its rows. ---- */

typedef struct OutboxCompiledCheck
{
	const OutboxCheckConfig *config;
	Expr *expression; /* planned */
	ExprState *state; /* rebuilt with the executor state */
} OutboxCompiledCheck;

/* A column whose text is a header of the message. */
typedef struct OutboxHeaderColumn
{
	int column; /* its number (from 0) in the contract */
	Oid base;   /* its base type */
	FmgrInfo output;
} OutboxHeaderColumn;

typedef struct OutboxCompiledEventType
{
	OutboxEventTypeConfig *config;
	text *type;                 /* its name as a value */
	int16 flags;                /* OUTBOX_EVENT_* from its tombstone */
	Expr *condition;            /* planned; NULL: always true */
	ExprState *condition_state; /* rebuilt with the executor state */
	int nchecks;
	OutboxCompiledCheck *checks; /* in creation order */
	int nprevious;
	int *previous; /* column numbers (from 0) of the contract */
	bool partial;  /* other event types publish columns that this one does not */
	int nheaders;
	OutboxHeaderColumn *headers; /* in the order of config->headers */
	const char *schema_text;     /* pinned, or a draft of it */
	OutboxAvroEncoder *encoder;  /* NULL: the view no longer fits the pinned schema */
	OutboxAvroError mismatch;    /* why */
	/* preview and validate read back what was encoded; made at the first row */
	OutboxAvroDecoder *decoder;
	OutboxAvroReader *reader;
} OutboxCompiledEventType;

typedef struct OutboxCompiledContract
{
	MemoryContext context; /* owns everything here */
	OutboxContractConfig *config;
	Oid owner;           /* evaluates with this role's rights */
	List *relations;     /* OIDs whose invalidation outdates it */
	List *objects;       /* of PlanInvalItem *, types and functions that do */
	OutboxTraits traits; /* of all that is evaluated; with OUTBOX_RAISES in a subtransaction */

	int ncolumns;
	TupleDesc row_desc;
	bool *compared; /* per column: part of a pinned schema, or a header, so of the rows' equality */
	int nkey;
	int *key; /* column numbers (from 0), as in `aggregate` */
	int naggregate;
	int *aggregate;
	Oid *aggregate_base;     /* base types of these columns */
	FmgrInfo *aggregate_out; /* and their output functions */
	text *aggregatetype;
	int nread; /* per row: source columns that are read at all */
	AttrNumber *read;
	AttrNumber max_read;

	bool makes_tombstones; /* some event type does */

	OutboxCommitQuery *query;     /* evaluated at commit: reads rows by lookup keys; NULL: per row */
	OutboxCommitQuery *key_query; /* the same for the columns of key and aggregate_id alone; where there are tombstones */

	List *columns;            /* per row: planned expressions, one per column; NULL constants for unused ones */
	List *qual;               /* planned, implicitly ANDed */
	CachedExpression *cached; /* tracks functions and types behind the expressions */
	int ntypes;
	OutboxCompiledEventType *types; /* in creation order */

	TupleTableSlot *before; /* contract rows */
	TupleTableSlot *after;
	TupleTableSlot *key_row;
	TupleTableSlot *absent; /* a row of NULLs */

	/* Executor state: an error leaves it stale, the next evaluation builds it anew. */
	bool stale; /* also while evaluating; nothing below may be used */
	MemoryContext exec_context;
	ExprContext *econtext;
	ExprState *qual_state;
	ProjectionInfo *project_before;
	ProjectionInfo *project_after;
	ProjectionInfo *project_key;         /* key columns only, the others NULL */
	ProjectionInfo *project_message_key; /* with those of aggregate_id; where there are tombstones */

	MemoryContext row_context; /* scratch of one changed row */

	LocalTransactionId failing_transaction; /* the last one with failures, and how many */
	uint64 failures;
} OutboxCompiledContract;

extern OutboxCompiledContract *OutboxCompileContract(OutboxContractConfig *config, Oid source, bool draft);
extern void OutboxFreeContract(OutboxCompiledContract *contract);
extern OutboxAvroColumn *OutboxContractColumns(const OutboxContractConfig *config,
											   const OutboxEventTypeConfig *type, int *ncolumns);
extern char *OutboxDraftSchema(const OutboxContractConfig *config, const OutboxEventTypeConfig *type);

/* ---- touch.c: Which rows of a contract that is evaluated at commit a changed row touches. ---- */

typedef struct OutboxTouch OutboxTouch;

/* One lookup key; a key with a NULL in it is not reported. */
typedef void (*OutboxTouchCallback)(void *arg, const Datum *values);

extern OutboxTouch *OutboxCompileTouch(const OutboxContractConfig *config, Oid relation);
extern const List *OutboxTouchRelations(const OutboxTouch *touch);
extern bool OutboxTouchInsertIsNew(const OutboxTouch *touch);
extern bool OutboxTouchMayRaise(const OutboxTouch *touch);
extern TupleDesc OutboxTouchLookupDesc(const OutboxTouch *touch);
extern bool OutboxTouchReadsEqual(OutboxTouch *touch, TupleTableSlot *before, TupleTableSlot *after);
extern void OutboxTouchKeys(OutboxTouch *touch, TupleTableSlot *row, OutboxTouchCallback add, void *arg);
extern const char *OutboxTouchMissingColumn(const OutboxTouch *touch, TupleTableSlot *row);

/* ---- cache.c: Compiled contracts of this backend, by trigger and relation or by name. ---- */

typedef enum OutboxContractState
{
	OUTBOX_CONTRACT_READY,
	OUTBOX_CONTRACT_DISABLED,  /* configured, switched off */
	OUTBOX_CONTRACT_FOREIGN,   /* the relation is no source of the contract, or of any */
	OUTBOX_CONTRACT_MISSING,   /* it is a source, but no contract has the trigger's name */
	OUTBOX_CONTRACT_RESTORING, /* a restore is writing the rows */
	OUTBOX_CONTRACT_DETACHED,  /* its view is away, see outbox.detach() */
	OUTBOX_CONTRACT_BROKEN     /* cannot be compiled: error says why */
} OutboxContractState;

typedef struct OutboxCachedContract
{
	OutboxContractState state;
	OutboxCompiledContract *compiled; /* READY: of a contract evaluated per row, or acquired by name */
	OutboxTouch *touch;               /* READY: of a source of a contract evaluated at commit (compiled is NULL then) */
	OutboxContractConfig *config;     /* all but MISSING; may be NULL for BROKEN */
	ErrorData *error;                 /* BROKEN */
	int32 next_line;                  /* of the version that is published next to this one, after it; 0: none */
	bool owner_changed;               /* BROKEN: only because the view has another owner, which is no fault of the writer */
} OutboxCachedContract;

extern OutboxCachedContract *OutboxContractAcquire(const Trigger *trigger, Relation rel);
extern OutboxCachedContract *OutboxContractAcquireLine(const Trigger *trigger, Relation rel, int32 line);
extern OutboxCachedContract *OutboxContractAcquireByName(const char *name);
extern OutboxCachedContract *OutboxContractAcquireLineByName(const char *name, int32 line);
extern bool OutboxContractIsCurrent(const char *name, int32 line);
extern void OutboxContractRelease(OutboxCachedContract *contract);
extern const char *OutboxTriggerContract(const Trigger *trigger);
extern bool OutboxContractFirstGap(OutboxCachedContract *contract);
extern void OutboxContractsChanged(void);

/* ---- evaluate.c: A compiled contract applied to rows of its source. ---- */

extern void OutboxEvaluationStart(OutboxCompiledContract *contract, OutboxEvaluation *evaluation);
extern void OutboxEvaluationStop(OutboxCompiledContract *contract, const OutboxEvaluation *evaluation);
extern void OutboxEvaluationFailed(OutboxCompiledContract *contract);
extern void OutboxEvaluateReset(OutboxCompiledContract *contract);
extern uint64 OutboxCountFailure(OutboxCompiledContract *contract);
extern bool OutboxEvaluateBefore(OutboxCompiledContract *contract, TupleTableSlot *source);
extern bool OutboxEvaluateAfter(OutboxCompiledContract *contract, TupleTableSlot *source);
extern void OutboxEvaluateKey(OutboxCompiledContract *contract, TupleTableSlot *source);
extern void OutboxEvaluateMessageKey(OutboxCompiledContract *contract, TupleTableSlot *source);
extern void OutboxBeforeFromKey(OutboxCompiledContract *contract);
extern bool OutboxConditionHolds(OutboxCompiledContract *contract, OutboxCompiledEventType *type,
								 TupleTableSlot *before, TupleTableSlot *after);
extern const OutboxCheckConfig *OutboxFailedCheck(OutboxCompiledContract *contract, OutboxCompiledEventType *type,
												  TupleTableSlot *row, TupleTableSlot *before, TupleTableSlot *after);

/* ---- compare.c: Rows compared. ---- */

extern bool OutboxSourceReadsEqual(const OutboxCompiledContract *contract,
								   TupleTableSlot *before, TupleTableSlot *after);
extern bool OutboxKeysEqual(OutboxCompiledContract *contract);
extern bool OutboxRowsEqual(OutboxCompiledContract *contract, const OutboxCompiledEventType *type);
extern bool OutboxSameValue(const OutboxCompiledContract *contract, int column,
							TupleTableSlot *left, TupleTableSlot *right);
extern uint64 OutboxRowKeyHash(const OutboxCompiledContract *contract, TupleTableSlot *row);

/* ---- message.c: A row of a contract -> key, payload and size of its message. ---- */

extern text *OutboxAggregateId(OutboxCompiledContract *contract, TupleTableSlot *row);
extern bytea *OutboxEncodeEvent(OutboxCompiledContract *contract, OutboxCompiledEventType *type, TupleTableSlot *row,
								TupleTableSlot *before, const bool *unfit, OutboxAvroError *error);
extern bool OutboxPreviousFits(const OutboxCompiledContract *contract, const OutboxCompiledEventType *type,
							   int previous, TupleTableSlot *before);
extern char **OutboxHeaderValues(const OutboxCompiledEventType *type, TupleTableSlot *row);
extern Size OutboxMessageSize(const OutboxCompiledEventType *type, const bytea *payload, const text *key,
							  const Jsonb *attributes);

#endif /* OUTBOX_CONTRACT_COMPILE_COMPILE_H */
