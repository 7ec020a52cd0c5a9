/*-------------------------------------------------------------------------
 *
 * key_view.h
 *	  The view that a source's key_query is kept as.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_KEY_VIEW_H
#define OUTBOX_KEY_VIEW_H

#include "access/tupdesc.h"
#include "nodes/bitmapset.h"
#include "nodes/parsenodes.h"
#include "parser/parse_node.h"

#include "catalog/contract_config.h"

/* What a key_query calls the changed row. */
#define OUTBOX_KEY_ROW_NAME "row"

/* ---- key_view.c: made and dropped ---- */

extern Oid OutboxCreateKeyView(const OutboxContractConfig *config, Oid source, const char *text, TupleDesc lookup);
extern Oid OutboxRestoreKeyView(const char *name, Oid owner, Query *query);
extern void OutboxDropKeyView(Oid view);
extern bool OutboxIsKeyView(Oid view);
extern void OutboxKeyViewsFollowOwner(const OutboxContractConfig *config);
extern void OutboxCheckKeyColumns(const char *what, const List *targets, TupleDesc lookup);

/* ---- key_view_read.c: read ---- */

typedef struct OutboxKeyView
{
	const char *what; /* for messages: "the key_query of source \"x\"" */
	Oid source;
	Query *query;       /* the LATERAL one: row.<column> is a Var of entry 1 of the query around it */
	ParseState *pstate; /* while its text is parsed, for positions in it */
} OutboxKeyView;

extern OutboxKeyView *OutboxReadKeyView(const OutboxContractConfig *config, const OutboxSourceConfig *source);
extern bool OutboxKeyViewIsPlain(const OutboxKeyView *view);
extern List *OutboxKeyViewExpressions(const OutboxKeyView *view, Oid relation, Bitmapset **reads);
extern Query *OutboxKeyViewQuery(const OutboxKeyView *view, Oid relation, Bitmapset **reads);
extern List *OutboxKeyViewColumns(const OutboxSourceConfig *source, bool *alone);

#endif /* OUTBOX_KEY_VIEW_H */
