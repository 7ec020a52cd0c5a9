/*-------------------------------------------------------------------------
 *
 * key_query_parse.h
 *	  The text of a key_query -> expressions over a source's row, or a query
 *	  with its columns as parameters.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_KEY_QUERY_PARSE_H
#define OUTBOX_KEY_QUERY_PARSE_H

#include "access/tupdesc.h"
#include "nodes/bitmapset.h"
#include "nodes/parsenodes.h"
#include "parser/parse_node.h"

/* What the changed row is called. */
#define OUTBOX_KEY_ROW_NAME "row"

typedef struct OutboxKeyParse
{
	const char *text;
	const char *owner; /* whose it is, for messages: "the key_query of source \"x\"" */
	Oid view;          /* the contract's, with whose owner's rights it runs */
	Oid relation;
	TupleDesc row;

	/* what came out */
	bool as_parameters; /* row.<column> is a parameter now, not a Var */
	Bitmapset *reads;   /* columns of the row, attno - FirstLowInvalidHeapAttributeNumber */
	const char *select; /* the query's text */
	Query *query;       /* analysed */
} OutboxKeyParse;

/*
 * A select list as expressions over the row (Vars of entry 1), coerced to the
 * base types of the lookup; NIL when the text is, or needs, a query. Both raise
 * for what does not parse or gives other columns than the lookup's, and expect
 * search_path to be pinned.
 */
extern List *OutboxParseKeyExpressions(OutboxKeyParse *parse, TupleDesc lookup);

/* The text as a query: fills reads, select and query. */
extern void OutboxParseKeySelect(OutboxKeyParse *parse, TupleDesc lookup);

/* The raw parse trees of a key_query of either kind; locations are bytes of the text. */
extern List *OutboxRawKeyQuery(const char *text);

/* Makes row.<column> a parameter; for SPI_prepare_extended. arg is an OutboxKeyParse. */
extern void OutboxKeyParserSetup(ParseState *pstate, void *arg);

#endif /* OUTBOX_KEY_QUERY_PARSE_H */
