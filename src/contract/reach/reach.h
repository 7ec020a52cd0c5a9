/*-------------------------------------------------------------------------
 *
 * reach.h
 *	  Which functions evaluating an expression, or planning and running a
 *	  query, may call.
 *
 * The one place that answers this. May it raise, is it volatile, which settings
 * does it read, whose is it: all of these ask here, and judge one function at a
 * time.
 *
 * What is found: functions, operators with their negators and commutators, casts (explicit, implicit, and through
 * text: then the output and input functions of the types, of their elements
 * and of their attributes), checks of domains, aggregates with all their
 * parts, window functions, comparison and hash functions of the types where
 * something compares them, defaults of arguments that a call leaves out, and the
 * same for fields of anonymous records and of column definition lists. What a
 * function's own body calls is not found: that is the function's business.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_REACH_H
#define OUTBOX_REACH_H

#include "nodes/parsenodes.h"

/*
 * Called for every function, some of them several times; true ends the walk.
 * `node` is the part of the expression at which the function is called, by
 * itself or by another function. InvalidOid: code runs there that nothing names,
 * of a type or a query that a value tells (OutboxRunsUnseen), or of a field of
 * an anonymous record that was made out of sight.
 */
typedef bool (*OutboxReachedFunction)(Oid function, Node *node, void *arg);

/*
 * Walks an expression, a list of them, or a Query with its views expanded
 * (OutboxRewrittenView); planned or not. Returns whether a call of the
 * callback said true. Takes no lock.
 */
extern bool OutboxReachFunctions(Node *node, OutboxReachedFunction callback, void *arg);

/*
 * The same, and what planning evaluates beside the query: expressions and
 * predicates of indexes, checks, partition keys and extended statistics of the
 * tables that the query reads, and of their partitions.
 */
extern bool OutboxReachFunctionsPlanned(Query *query, OutboxReachedFunction callback, void *arg);

/* What turning a value of the type into text calls: its output function, and those of its elements. */
extern bool OutboxReachOutput(Oid type, OutboxReachedFunction callback, void *arg);

/*
 * The operator, and those that the planner may take for it or ask for
 * estimates: its negator, its commutator, and theirs. Of PostgreSQL's own
 * operators only the operator itself. OIDs, palloc'd.
 */
extern List *OutboxRelatedOperators(Oid opno);

#endif /* OUTBOX_REACH_H */
