/*-------------------------------------------------------------------------
 *
 * own_row.h
 *	  A row for dead letters or gaps, from inside a customer's write.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_OWN_ROW_H
#define OUTBOX_OWN_ROW_H

#include "utils/rel.h"

/*
 * Inserts a row that has all columns of the relation, which is locked for it,
 * with indexes and triggers, those of the DBA included. What theirs raise is
 * logged and does not fail the write. Raises what the server itself is in
 * trouble with.
 */
extern void OutboxInsertOwnRow(Relation rel, Datum *values, bool *nulls);

#endif /* OUTBOX_OWN_ROW_H */
