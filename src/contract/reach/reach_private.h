/*-------------------------------------------------------------------------
 *
 * reach_private.h
 *	  Shared by the files of contract/reach/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONTRACT_REACH_REACH_PRIVATE_H
#define OUTBOX_CONTRACT_REACH_REACH_PRIVATE_H

#include "nodes/pg_list.h"

#include "contract/reach/reach.h"

/* ---- function_traits.c: What one of PostgreSQL's functions may do that concerns its caller. ---- */

extern bool OutboxRunsUnseen(Oid function);

/* ---- reach.c: Which functions evaluating an expression, or planning and running a query, may call. ---- */

extern bool OutboxReachFunctionsPlanned(Query *query, OutboxReachedFunction callback, void *arg);

/* ---- The walk under way, for reach.c and reach_*.c. ---- */

/* What is done with values of a type. */
#define OUTBOX_REACH_OUTPUT 0x1  /* made into text or xml */
#define OUTBOX_REACH_INPUT 0x2   /* made from text or json */
#define OUTBOX_REACH_COMPARE 0x4 /* compared, sorted or hashed */
#define OUTBOX_REACH_CHECK 0x8   /* a domain: checked */
#define OUTBOX_REACH_JSON 0x10   /* made into json */

typedef struct OutboxReach
{
	OutboxReachedFunction callback;
	void *arg;
	Node *node;    /* the part of the expression at which the functions found now are called */
	bool planning; /* also look at expressions that planning evaluates */
	List *queries; /* the Query nodes around the present node, the outermost first */
	List *seen;    /* OIDs of types that were looked at, and for which uses */
	List *seen_uses;
	List *families;  /* OIDs of operator families that were looked at */
	List *operators; /* and of operators */
	/* anonymous records, all of them together */
	List *record_fields; /* OIDs of their fields' types */
	int record_use;      /* what is done with them */
	bool record_unknown; /* nothing tells the fields of one of them */
	Node *defined;       /* a call with a column definition list, which tells the fields of its result */
} OutboxReach;

extern bool OutboxReachFunction(OutboxReach *reach, Oid function);
extern bool OutboxReachUnseen(OutboxReach *reach);
extern bool OutboxReachInside(OutboxReach *reach, Node *node);
extern bool OutboxReachType(OutboxReach *reach, Oid type, int use);
extern bool OutboxReachRecord(OutboxReach *reach, int use);
extern bool OutboxReachRecordMade(OutboxReach *reach, Node *node);
extern bool OutboxReachOperator(OutboxReach *reach, Oid opno);
extern bool OutboxReachOperatorFamilies(OutboxReach *reach, Oid opno);
extern bool OutboxReachFamily(OutboxReach *reach, Oid family);
extern bool OutboxReachTable(OutboxReach *reach, Oid relation);
extern Oid OutboxReachedType(Node *expression);

#endif /* OUTBOX_CONTRACT_REACH_REACH_PRIVATE_H */
