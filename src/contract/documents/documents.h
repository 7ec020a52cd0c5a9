/*-------------------------------------------------------------------------
 *
 * documents.h
 *	  What is told of a contract: to people, to consumers, to the system that follows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONTRACT_DOCUMENTS_DOCUMENTS_H
#define OUTBOX_CONTRACT_DOCUMENTS_DOCUMENTS_H

#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"

/* ---- lineage.c: the columns of tables behind a column of a view ---- */

typedef struct OutboxOrigin
{
	Oid relation;
	AttrNumber column;
} OutboxOrigin;

typedef struct OutboxLineage
{
	List *origins; /* of OutboxOrigin *, without doubles */
	List *maps;    /* of char *: code maps on the way */
	List *views;   /* queries of views that were read; may be handed on to the next lineage */
	List *seen;    /* what was followed already */
	int steps;
} OutboxLineage;

/* The values of a column that are words of code maps, and constants that stand beside them. */
typedef struct OutboxWords
{
	List *maps;      /* of char * */
	List *constants; /* of char * */
} OutboxWords;

extern void OutboxTraceColumn(OutboxLineage *lineage, Oid view, AttrNumber column, List *path);

/* ---- words.c: which words a text column of a view can have ---- */

extern bool OutboxColumnWords(OutboxWords *words, Oid view, AttrNumber column, List *path);
extern char *OutboxDecodeMap(Node *node);

#endif /* OUTBOX_CONTRACT_DOCUMENTS_DOCUMENTS_H */
