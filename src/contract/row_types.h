/*-------------------------------------------------------------------------
 *
 * row_types.h
 *	  The composite types inside a contract's columns.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_ROW_TYPES_H
#define OUTBOX_ROW_TYPES_H

#include "access/tupdesc.h"
#include "nodes/pg_list.h"

/*
 * Adds the relations behind all composite types of the columns, nested ones
 * included, to a list of OIDs: their invalidation says that a type changed.
 */
extern List *OutboxAddRowTypes(List *relations, TupleDesc desc);

#endif /* OUTBOX_ROW_TYPES_H */
