/*-------------------------------------------------------------------------
 *
 * index_hint.h
 *	  Which index a contract's query would need.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_INDEX_HINT_H
#define OUTBOX_INDEX_HINT_H

#include "nodes/parsenodes.h"

/*
 * The columns or expressions by which a query joins a relation, as the column
 * list of CREATE INDEX; NULL: none found. *lacking: the table that has no index
 * beginning with one of them, the relation or one that inherits from it;
 * InvalidOid: another index would not help.
 */
extern char *OutboxJoinColumns(Query *query, Oid relation, Oid *lacking);

/* Is it a unique index of that many columns? */
extern bool OutboxIndexIsUnique(Oid index, int ncolumns);

/* schema.table, quoted */
extern char *OutboxQualifiedName(Oid relation);

#endif /* OUTBOX_INDEX_HINT_H */
