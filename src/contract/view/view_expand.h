/*-------------------------------------------------------------------------
 *
 * view_expand.h
 *	  A contract's view as expressions over the columns of its root table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_VIEW_EXPAND_H
#define OUTBOX_VIEW_EXPAND_H

#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"

/* The root's number in the Vars of an expansion. */
#define OUTBOX_ROOT_VARNO 1

/* Who reads which columns of which relation, as the views' permission checks have it. */
typedef struct OutboxViewAccess
{
	Oid relation;
	Oid role;           /* the owner of the view that reads it */
	Bitmapset *columns; /* attno - FirstLowInvalidHeapAttributeNumber */
} OutboxViewAccess;

typedef struct OutboxViewExpansion
{
	Oid view;
	Oid root;                /* the one table that is read */
	List *columns;           /* of TargetEntry *, one per view column, Vars have OUTBOX_ROOT_VARNO */
	Node *qual;              /* the views' WHERE clauses, ANDed; NULL: none */
	List *relations;         /* OIDs of everything expanded: the views and the root */
	List *access;            /* of OutboxViewAccess * */
	Bitmapset *root_columns; /* root columns that columns or qual read, offset as above */
	char *blocker;           /* why it cannot be evaluated per row (a noun phrase), or NULL */
} OutboxViewExpansion;

/*
 * Expands the view (locking it and what it reads in AccessShareLock until the
 * end of the transaction). Never raises for a construct that rules evaluation
 * per row out: blocker names the first one found and the rest is unset.
 * Raises when the relation is not a view.
 */
extern OutboxViewExpansion *OutboxExpandView(Oid view);

/*
 * Raises when one of the views' owners may not read what its view reads, or
 * when row level security would apply to it (access: of OutboxViewAccess *).
 * Evaluation per row bypasses the executor's own checks.
 */
extern void OutboxCheckViewAccess(const List *access, Oid view);

#endif /* OUTBOX_VIEW_EXPAND_H */
