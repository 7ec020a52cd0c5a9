/*-------------------------------------------------------------------------
 *
 * plan_private.h
 *	  Shared by the files of contract/plan/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONTRACT_PLAN_PLAN_PRIVATE_H
#define OUTBOX_CONTRACT_PLAN_PLAN_PRIVATE_H

#include "nodes/parsenodes.h"
#include "nodes/pathnodes.h"
#include "nodes/primnodes.h"

#include "compat.h"
#include "contract/plan/plan.h"

/* ---- index_hint.c: Which indexes a contract's query would need. ---- */

OUTBOX_NORETURN extern void OutboxRefuseScans(const Query *query, const char *text, const char *subject, List *scanned);

/* ---- index_use.c: Is a scan of an index bounded by the key? ---- */

/* The conditions of a scan on one column of the index. */
typedef struct OutboxColumnUse
{
	bool equal; /* to one value, or to one of a list */
	bool below; /* an upper bound */
	bool above; /* a lower bound */
	int bound;  /* conditions with a value of the key, or of a row found before */
	bool named; /* there is a condition at all */
} OutboxColumnUse;

typedef struct OutboxIndexUse
{
	Oid method;
	bool unique;
	int ncolumns;
	OutboxColumnUse columns[INDEX_MAX_KEYS];
} OutboxIndexUse;

extern void OutboxNoteCondition(OutboxIndexUse *use, int column, const Node *condition, Oid opfamily);
extern bool OutboxIndexIsBounded(const OutboxIndexUse *use);
extern bool OutboxIndexIsTight(const OutboxIndexUse *use);

/* ---- join_column.c: By which columns and expressions a query joins a table. ---- */

/* Where an equality stands that joins a table. */
typedef enum OutboxJoinPlace
{
	OUTBOX_PLACE_CONDITION,
	OUTBOX_PLACE_OR,
	OUTBOX_PLACE_IN
} OutboxJoinPlace;

/* A column or expression by which a table is joined. */
typedef struct OutboxJoinColumn
{
	OutboxTrialIndex index;
	OutboxJoinPlace place;
	const RangeTblEntry *reading; /* of the table, which a query may read several times */
} OutboxJoinColumn;

extern List *OutboxJoinColumns(const Query *query, Oid relation);

/* ---- plan_check.c: Which tables does a plan scan? ---- */

extern List *OutboxScannedTables(const PlannedStmt *plan, const List *trial_indexes);

/* ---- planner_world.c: What the planner is told about tables, indexes and costs. ---- */

extern PlannedStmt *OutboxPlanInWorld(Query *query, const char *text, int cursor_options, const OutboxPlannerWorld *world);
extern const OutboxTrialIndex *OutboxTrialIndexOf(const List *trial_indexes, Oid index);

#endif /* OUTBOX_CONTRACT_PLAN_PLAN_PRIVATE_H */
