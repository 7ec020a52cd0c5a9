/*-------------------------------------------------------------------------
 *
 * lossy_cast.h
 *	  Casts from real to numeric, which keep six digits.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_LOSSY_CAST_H
#define OUTBOX_LOSSY_CAST_H

#include "nodes/plannodes.h"

/* Raises when a column of the view, whose planned expression this is, makes a numeric of a real. */
extern void OutboxRefuseLossyColumn(Node *planned, Oid view, const char *column);

/* The same for all columns of a view that is read by this plan. */
extern void OutboxRefuseLossyPlan(const PlannedStmt *plan, Oid view);

#endif /* OUTBOX_LOSSY_CAST_H */
