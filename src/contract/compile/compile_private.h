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
#include "utils/plancache.h"

#include "catalog/outbox_catalog.h"
#include "contract/compile/compile.h"
#include "contract/reach/reach.h"

/* ---- compile.c: A contract's configuration -> what evaluates and encodes its rows. ---- */

extern void OutboxCheckViewThere(const OutboxContractConfig *config);
extern void OutboxBuildExecutor(OutboxCompiledContract *contract);

/* ----
 * touch.c: Which rows of a contract that is evaluated at commit a changed row of one of its sources touches.
 * ---- */

extern MemoryContext OutboxTouchContext(const OutboxTouch *touch);
extern const List *OutboxTouchTypes(const OutboxTouch *touch);
extern bool OutboxTouchIsValid(const OutboxTouch *touch);

/* ---- evaluate.c: A compiled contract applied to rows of its source. ---- */

extern bool OutboxColumnsEqual(TupleTableSlot *before, TupleTableSlot *after, const AttrNumber *columns, int ncolumns);
extern bool OutboxIsPlainKeyType(Oid base_type);

/* ---- fill_watch.c: What changed in the catalogs while a contract was compiled. ---- */

/* Bits, one for each hash of a change. */
#define OUTBOX_WATCHED_CHANGES 65536

typedef struct OutboxFillWatch
{
	struct OutboxFillWatch *outer;
	bool any; /* something changed, */
	bool all; /* and nobody knows what */
	uint64 changes[OUTBOX_WATCHED_CHANGES / 64];
} OutboxFillWatch;

extern void OutboxFillWatchBegin(OutboxFillWatch *watch);
extern void OutboxFillWatchEnd(OutboxFillWatch *watch);
extern void OutboxFillWatchNote(int cacheid, uint32 value);
extern bool OutboxFillWatchConcerns(const OutboxFillWatch *watch, const List *relations, const List *objects);

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
