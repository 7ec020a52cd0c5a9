/*-------------------------------------------------------------------------
 *
 * key_query_state.h
 *	  A compiled key_query, for the files that compile and run it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_KEY_QUERY_STATE_H
#define OUTBOX_KEY_QUERY_STATE_H

#include "access/tupdesc.h"
#include "executor/spi.h"
#include "nodes/execnodes.h"
#include "utils/plancache.h"

#include "contract/compile/key_query.h"
#include "contract/reach/traits.h"

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

#endif /* OUTBOX_KEY_QUERY_STATE_H */
