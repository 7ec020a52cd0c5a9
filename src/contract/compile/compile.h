/*-------------------------------------------------------------------------
 *
 * compile.h
 *	  A contract's configuration -> what evaluates and encodes its rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_COMPILE_H
#define OUTBOX_COMPILE_H

#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "storage/lock.h"
#include "utils/plancache.h"

#include "avro/outbox_avro.h"
#include "catalog/contract_config.h"
#include "contract/compile/commit_query.h"
#include "contract/reach/traits.h"

typedef struct OutboxCompiledCheck
{
	const char *name;
	Expr *expression; /* planned */
	ExprState *state; /* rebuilt with the executor state */
} OutboxCompiledCheck;

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
	int *previous;              /* column numbers (from 0) of the contract */
	bool partial;               /* other event types publish columns that this one does not */
	const char *schema_text;    /* pinned, or a draft of it */
	OutboxAvroEncoder *encoder; /* NULL: the view no longer fits the pinned schema */
	OutboxAvroError mismatch;   /* why */
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
	bool *compared; /* per column: part of a pinned schema, so of the rows' equality */
	int nkey;
	int *key; /* column numbers (from 0), as the next */
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

/* Raises when the view was dropped. */
extern void OutboxCheckViewThere(const OutboxContractConfig *config);

/*
 * Compiles in a child of CurrentMemoryContext, as the view's owner. The caller
 * runs it inside a subtransaction when an error must not reach a writer; the
 * context is then freed with that subtransaction's memory. A contract that is
 * evaluated at commit has a query in place of per-row expressions; its source
 * does not matter. Raises for a view
 * that does not fit its configuration any more. Event types without a pinned
 * schema are left out unless `draft`, which builds their schemas on the fly.
 */
extern OutboxCompiledContract *OutboxCompileContract(OutboxContractConfig *config, Oid source, bool draft);

/* Frees it, cached expression included. */
extern void OutboxFreeContract(OutboxCompiledContract *contract);

/*
 * Builds the executor state anew. Checks rights on functions, so only as the
 * contract's owner, and may raise.
 */
extern void OutboxBuildExecutor(OutboxCompiledContract *contract);

/* Counts a failure of this contract in this transaction; returns how many there are now. */
extern uint64 OutboxCountFailure(OutboxCompiledContract *contract);

/* The columns of the contract's view for the schema of one event type (type may be NULL). */
extern OutboxAvroColumn *OutboxContractColumns(const OutboxContractConfig *config,
											   const OutboxEventTypeConfig *type, int *ncolumns);

/* The schema of an event type as the view stands now. */
extern char *OutboxDraftSchema(const OutboxContractConfig *config, const OutboxEventTypeConfig *type);

#endif /* OUTBOX_COMPILE_H */
