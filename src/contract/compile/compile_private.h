/*-------------------------------------------------------------------------
 *
 * compile_private.h
 *	  Shared by the files of contract/compile/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONTRACT_COMPILE_COMPILE_PRIVATE_H
#define OUTBOX_CONTRACT_COMPILE_COMPILE_PRIVATE_H

#include "access/tupdesc.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "nodes/bitmapset.h"
#include "nodes/execnodes.h"
#include "nodes/pg_list.h"
#include "storage/lock.h"
#include "utils/plancache.h"

#include "catalog/outbox_catalog.h"
#include "contract/compile/compile.h"
#include "contract/reach/reach.h"
#include "contract/view/view.h"

/* ---- compile.c: A contract's configuration -> what evaluates and encodes its rows. ---- */

extern void OutboxCheckViewThere(const OutboxContractConfig *config);

/* ---- compile_expressions.c: The expressions of a contract, planned together. ---- */

extern void OutboxPlanExpressions(OutboxCompiledContract *contract, OutboxViewExpansion *expansion, const OutboxRunner *runner);

/* ---- touch.c: Which rows of a contract that is evaluated at commit a changed row touches. ---- */

extern MemoryContext OutboxTouchContext(const OutboxTouch *touch);
extern const List *OutboxTouchTypes(const OutboxTouch *touch);
extern bool OutboxTouchIsValid(const OutboxTouch *touch);

/* ---- evaluate.c: A compiled contract applied to rows of its source. ---- */

extern void OutboxBuildExecutor(OutboxCompiledContract *contract);

/* ---- compare.c: Rows compared. ---- */

extern bool OutboxColumnsEqual(TupleTableSlot *before, TupleTableSlot *after, const AttrNumber *columns, int ncolumns);

/* ---- message.c: A row of a contract -> key, payload and size of its message. ---- */

extern bool OutboxIsPlainKeyType(Oid base_type);

/* ---- cache_fill.c: Compiling a contract for the cache, and what changes meanwhile. ---- */

/* By trigger and relation, or by name (then both are InvalidOid). Each active version of a contract has an entry. */
typedef struct OutboxCacheKey
{
	Oid trigger;
	Oid relation;
	int depth;              /* 0, or how many re-entrant uses are below this one */
	int32 line;             /* of the version; 0: the first active one */
	char name[NAMEDATALEN]; /* zero-padded */
} OutboxCacheKey;

typedef struct OutboxCacheEntry
{
	OutboxCacheKey key; /* hash key, first */
	OutboxCachedContract contract;
	MemoryContext context; /* owns config and error; the compiled contract or touch is its child */
	const List *relations; /* READY: OIDs whose invalidation outdates the entry; NIL: any */
	const List *objects;   /* READY: of PlanInvalItem *, functions and types whose invalidation does */
	bool valid;
	bool in_use;
	uint64 used;                        /* when it was used last: a larger number is later */
	LocalTransactionId user;            /* the transaction that used it last */
	LocalTransactionId transaction;     /* the one that filled it */
	LocalTransactionId gap_transaction; /* the last one that recorded a gap, */
	TransactionId gap_xid;              /* and its subtransaction that did */
} OutboxCacheEntry;

extern void OutboxFillEntry(OutboxCacheEntry *entry, const char *contract_name);
extern void OutboxEmptyEntry(OutboxCacheEntry *entry);
extern void OutboxFillNoteChange(int cacheid, uint32 value);

/* ---- key_query.c: The key_query of a source: its row -> lookup keys of the contract. ---- */

typedef struct OutboxKeyQuery OutboxKeyQuery;

extern OutboxKeyQuery *OutboxCompileKeyQuery(const OutboxContractConfig *config, const OutboxSourceConfig *source,
											 Oid relation, TupleDesc lookup, const List *view_access);
extern void OutboxRunKeyQuery(OutboxKeyQuery *query, TupleTableSlot *row, OutboxTouchCallback add, void *arg);
extern const Bitmapset *OutboxKeyQueryReads(const OutboxKeyQuery *query);
extern const List *OutboxKeyQueryRelations(const OutboxKeyQuery *query);
extern List *OutboxKeyQueryTypes(const OutboxKeyQuery *query);
extern bool OutboxKeyQueryMayRaise(const OutboxKeyQuery *query);
extern bool OutboxKeyQueryIsValid(const OutboxKeyQuery *query);

/* ---- A compiled key_query, for the files that compile and run it. ---- */

struct OutboxKeyQuery
{
	const char *what; /* for messages: "the key_query of source \"x\"" */
	Oid relation;     /* whose rows */
	TupleDesc row;    /* also what the parser's hook needs when the plan is made anew */
	Bitmapset *reads; /* columns of the row, attno - FirstLowInvalidHeapAttributeNumber */
	Oid view;         /* the contract's, whose */
	Oid owner;        /* runs it */
	int max_fanout;
	List *relations;
	List *types;
	OutboxTraits traits;
	Datum *values; /* scratch of one key */

	/* expressions */
	CachedExpression *cached;
	bool stale; /* also while evaluating; states must be built anew */
	MemoryContext exec_context;
	ExprContext *econtext;
	List *states;

	/* a query */
	const char *select; /* its text, the columns of the row as $<attno> */
	int ntables;        /* that it locks */
	SPIPlanPtr plan;
	ParamListInfo params;
};

extern void OutboxBuildKeyStates(OutboxKeyQuery *query);

#endif /* OUTBOX_CONTRACT_COMPILE_COMPILE_PRIVATE_H */
