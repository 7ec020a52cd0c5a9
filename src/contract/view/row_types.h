/*-------------------------------------------------------------------------
 *
 * row_types.h
 *	  The types behind a contract's columns and expressions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_ROW_TYPES_H
#define OUTBOX_ROW_TYPES_H

#include "access/tupdesc.h"
#include "nodes/pg_list.h"

/* What outdates whatever was proven about them; begin with zeros. All in the current memory context. */
typedef struct OutboxRowTypes
{
	List *types;     /* OIDs of those that were looked at */
	List *objects;   /* of PlanInvalItem *: types */
	List *relations; /* OIDs, behind composite types */
} OutboxRowTypes;

/* Types of the columns, or of all parts of an expression, planned; with all that they contain. Takes no lock. */
extern void OutboxAddRowTypes(OutboxRowTypes *types, TupleDesc desc);
extern void OutboxAddExpressionTypes(OutboxRowTypes *types, Node *expression);

#endif /* OUTBOX_ROW_TYPES_H */
