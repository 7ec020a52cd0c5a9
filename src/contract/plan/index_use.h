/*-------------------------------------------------------------------------
 *
 * index_use.h
 *	  Does a scan of an index read what belongs to one key, however large its
 *	  table is?
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_INDEX_USE_H
#define OUTBOX_INDEX_USE_H

#include "nodes/pathnodes.h"
#include "nodes/primnodes.h"

/* What the conditions of a scan say about one column of the index. */
typedef struct OutboxColumnUse
{
	bool equal; /* to one value, or to one of a list */
	bool below; /* an upper bound */
	bool above; /* a lower bound */
	int bound;  /* conditions with a value of the key, or of a row found before */
	bool named; /* there is any condition */
} OutboxColumnUse;

typedef struct OutboxIndexUse
{
	Oid method;
	bool unique;
	int ncolumns;
	OutboxColumnUse columns[INDEX_MAX_KEYS];
} OutboxIndexUse;

/* Notes a condition on a column (from 0) of the index, which belongs to this operator family. */
extern void OutboxNoteCondition(OutboxIndexUse *use, int column, const Node *condition, Oid opfamily);

/*
 * Are the rows bounded by the key? A btree must be entered by equality of its
 * first columns, one of which has a value of the key; a value between two such
 * will do, and so will constants for a whole unique index.
 */
extern bool OutboxIndexIsBounded(const OutboxIndexUse *use);

/* Does every row that the scan meets fulfil its conditions? Then a LIMIT above it bounds the scan. */
extern bool OutboxIndexIsTight(const OutboxIndexUse *use);

#endif /* OUTBOX_INDEX_USE_H */
