/*-------------------------------------------------------------------------
 *
 * index_parts.h
 *	  Predicates and expressions of indexes, of which the functions may run.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_INDEX_PARTS_H
#define OUTBOX_INDEX_PARTS_H

#include "nodes/pg_list.h"
#include "utils/rel.h"

/*
 * False: functions of others are in them, which must not run with the rights
 * of the present user. As the server simplifies them otherwise.
 */
extern bool OutboxIndexPredicate(Relation index, List **predicate);
extern bool OutboxIndexExpressions(Relation index, List **expressions);
extern bool OutboxIndexHasExpressions(Relation index);

#endif /* OUTBOX_INDEX_PARTS_H */
