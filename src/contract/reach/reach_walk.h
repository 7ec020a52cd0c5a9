/*-------------------------------------------------------------------------
 *
 * reach_walk.h
 *	  Private to reach*.c: the walk under way.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_REACH_WALK_H
#define OUTBOX_REACH_WALK_H

#include "nodes/pg_list.h"

#include "contract/reach/reach.h"

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
	Node *node;    /* at which what is found now is called */
	bool planning; /* what planning evaluates, too */
	List *queries; /* Query nodes around, the outermost first */
	List *seen;    /* OIDs of types that were looked at, and for which uses */
	List *seen_uses;
	List *families;  /* OIDs of operator families that were looked at */
	List *operators; /* and of operators */
	/* anonymous records, all of them together */
	List *record_fields; /* OIDs of their fields' types */
	int record_use;      /* what is done with them */
	bool record_unknown; /* nothing tells the fields of one */
	Node *defined;       /* a call of which a column definition list tells them */
} OutboxReach;

/* All of these return true when the callback said so. */
extern bool OutboxReachWalker(Node *node, void *reach);
extern bool OutboxReachFunction(OutboxReach *reach, Oid function);
extern bool OutboxReachUnseen(OutboxReach *reach);             /* code that nothing names */
extern bool OutboxReachInside(OutboxReach *reach, Node *node); /* an expression that a function or planning evaluates */
extern bool OutboxReachType(OutboxReach *reach, Oid type, int use);
extern bool OutboxReachRecord(OutboxReach *reach, int use);
extern bool OutboxReachRecordMade(OutboxReach *reach, Node *node);
extern bool OutboxReachOperator(OutboxReach *reach, Oid opno);         /* what may stand in for it; InvalidOid: nothing */
extern bool OutboxReachOperatorFamilies(OutboxReach *reach, Oid opno); /* that sort, hash or merge by the operator */
extern bool OutboxReachFamily(OutboxReach *reach, Oid family);
extern bool OutboxReachTable(OutboxReach *reach, Oid relation);

/* Of an expression, which may be a target's. */
extern Oid OutboxReachedType(Node *expression);

#endif /* OUTBOX_REACH_WALK_H */
