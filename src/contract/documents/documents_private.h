/*-------------------------------------------------------------------------
 *
 * documents_private.h
 *	  Shared by the files of contract/documents/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONTRACT_DOCUMENTS_DOCUMENTS_PRIVATE_H
#define OUTBOX_CONTRACT_DOCUMENTS_DOCUMENTS_PRIVATE_H

#include "contract/documents/documents.h"

/* ---- lineage.c: the columns of tables behind a column of a view ---- */

/* The query that an expression belongs to, and the ones around it. */
typedef struct OutboxScope
{
	Query *query;
	struct OutboxScope *outer;
} OutboxScope;

extern OutboxScope *OutboxScopeUp(OutboxScope *scope, Index levels);
extern AttrNumber OutboxEntryColumn(const RangeTblEntry *rte, const char *name);

/* ---- invert.c: the value of a table's column out of the value of a contract's column ---- */

typedef struct OutboxInversion
{
	char *value;         /* SQL */
	const char *assumed; /* what has to be so; NULL: nothing */
} OutboxInversion;

extern Var *OutboxInvert(OutboxInversion *inversion, Node *node);

#endif /* OUTBOX_CONTRACT_DOCUMENTS_DOCUMENTS_PRIVATE_H */
