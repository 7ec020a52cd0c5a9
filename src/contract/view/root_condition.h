/*-------------------------------------------------------------------------
 *
 * root_condition.h
 *	  What a view demands of the rows of its root.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_ROOT_CONDITION_H
#define OUTBOX_ROOT_CONDITION_H

#include "access/attnum.h"
#include "nodes/pg_list.h"

/*
 * The conditions on columns of the root alone that every row in the view
 * fulfils, as the planner has them, over entry 1. `levels` as of
 * OutboxRootPath.
 */
extern List *OutboxRootConditions(const List *levels);

/* Conditions over entry 1 in the same form, from a WHERE clause; NULL: none. */
extern List *OutboxConditionList(Node *qual);

/* Do the conditions exclude NULL in a column (its number) of the root? */
extern bool OutboxExcludesNull(Oid root, AttrNumber column, const List *conditions);

#endif /* OUTBOX_ROOT_CONDITION_H */
