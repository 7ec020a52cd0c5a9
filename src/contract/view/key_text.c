/*-------------------------------------------------------------------------
 *
 * key_text.c
 *	  The text of a key_query, parsed to the query of its view (key_view.c).
 *
 * The text is a SELECT, or expressions over row.<column>. It is parsed with the
 * rights of the view's owner, because parsing runs code of the types that the text
 * names.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "compat.h"
#include "contract/reach/reach.h"
#include "contract/view/view_private.h"

/* The text that is being parsed. */
typedef struct KeyText
{
	const char *text;
	const char *what; /* "the key_query of source \"x\"" */
} KeyText;

static void error_context(void *arg);
static int remedy(void);
static Node *parse_select(const KeyText *key);
static const char *skip_comments(const char *text);
static bool begins_query(const char *text);
static void check_text(const KeyText *key, const OutboxContractConfig *config, Relation rel, Node *raw);
static void resolve_unknown(ParseState *pstate, Query *query, TupleDesc lookup);
static Query *join_row(ParseState *pstate, Query *query, TupleDesc lookup);

/*
 * The query of the view. Columns of the row are seen as row.<column> alone: a name that
 * a query has not must not find them. Raises, pointing into the text, for what does
 * not parse or gives other columns than those of the lookup. The caller has locked the
 * source, and has begun an evaluation as the view's owner.
 */
Query *
OutboxParseKeyQuery(const OutboxContractConfig *config, Oid source, const char *text, TupleDesc lookup)
{
	KeyText key = {.text = text, .what = psprintf("the key_query of source \"%s\"", get_rel_name(source))};
	ErrorContextCallback callback = {.callback = error_context, .arg = &key, .previous = error_context_stack};
	ParseState *pstate = make_parsestate(NULL);
	Relation rel = relation_open(source, AccessShareLock);
	OutboxKeyView view = {.what = key.what, .source = source, .pstate = pstate};
	ParseNamespaceItem *row;
	Bitmapset *reads;
	Query *query;
	Node *raw;

	error_context_stack = &callback;
	raw = parse_select(&key);
	error_context_stack = callback.previous; /* its hint is of no use here */
	check_text(&key, config, rel, raw);
	error_context_stack = &callback;
	pstate->p_sourcetext = key.text;
	row = addRangeTableEntryForRelation(pstate, rel, AccessShareLock, makeAlias(OUTBOX_KEY_ROW_NAME, NIL), true, true);
	addNSItemToQuery(pstate, row, true, true, false);
	query = view.query = parse_sub_analyze(raw, pstate, NULL, false, false);
	resolve_unknown(pstate, query, lookup);
	(void) OutboxKeyViewQuery(&view, source, &reads);
	OutboxCheckKeyColumns(key.what, query->targetList, lookup);
	query = join_row(pstate, query, lookup);
	error_context_stack = callback.previous;
	relation_close(rel, NoLock);
	free_parsestate(pstate);
	return query;
}

/* Raises unless the targets, but for resjunk ones, are as many as the lookup's columns and can be assigned to them. */
void
OutboxCheckKeyColumns(const char *what, const List *targets, TupleDesc lookup)
{
	StringInfoData names;
	int ncolumns = 0;
	ListCell *lc;

	foreach (lc, targets)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);
		Oid type = exprType((Node *) entry->expr);
		Form_pg_attribute key;
		Oid target;

		if (entry->resjunk || ncolumns++ >= lookup->natts)
			continue;
		key = TupleDescAttr(lookup, ncolumns - 1);
		target = getBaseType(key->atttypid);
		if (!can_coerce_type(1, &type, &target, COERCION_ASSIGNMENT))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("%s gives type %s for \"%s\", which has type %s", what, format_type_be(type), NameStr(key->attname),
							format_type_be(key->atttypid)),
					 remedy()));
	}
	if (ncolumns == lookup->natts)
		return;
	initStringInfo(&names);
	for (int i = 0; i < lookup->natts; i++)
		appendStringInfo(&names, "%s%s", i ? ", " : "", NameStr(TupleDescAttr(lookup, i)->attname));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_COLUMN_DEFINITION),
			 errmsg_plural("%s gives %d column, and not those of the lookup key: (%s)",
						   "%s gives %d columns, and not those of the lookup key: (%s)",
						   ncolumns, what, ncolumns, names.data),
			 remedy()));
}

/* Points the parser's errors into the text instead of the statement that brought it, and says the remedy. */
static void
error_context(void *arg)
{
	const KeyText *key = arg;
	int position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(key->text);
	}
	errdetail("It is in %s.", key->what);
	remedy();
}

static int
remedy(void)
{
	return errhint("Write the contract's lookup key as expressions over row.<column>, or as a SELECT that returns it; qualify names outside pg_catalog.");
}

/* The raw tree of a SELECT, or of a select list. */
static Node *
parse_select(const KeyText *key)
{
	List *statements = raw_parser(key->text, begins_query(key->text) ? RAW_PARSE_DEFAULT : RAW_PARSE_PLPGSQL_EXPR);
	Node *statement = statements ? linitial_node(RawStmt, statements)->stmt : NULL;
	ListCell *lc;

	if (list_length(statements) != 1 || !IsA(statement, SelectStmt) || ((SelectStmt *) statement)->intoClause)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("%s is not one SELECT", key->what)));
	foreach (lc, ((SelectStmt *) statement)->withClause ? ((SelectStmt *) statement)->withClause->ctes : NIL)
	{
		if (!IsA(lfirst_node(CommonTableExpr, lc)->ctequery, SelectStmt))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("%s must not write", key->what)));
	}
	return statement;
}

/* Comments of one kind nest. One that does not end is the parser's to refuse. */
static const char *
skip_comments(const char *text)
{
	int depth = 0;

	while (*text)
	{
		if (strncmp(text, "/*", 2) == 0 || (depth > 0 && strncmp(text, "*/", 2) == 0))
		{
			depth += *text == '/' ? 1 : -1;
			text += 2;
		}
		else if (depth == 0 && strncmp(text, "--", 2) == 0)
			text += strcspn(text, "\r\n");
		else if (depth > 0 || scanner_isspace(*text))
			text++;
		else
			break;
	}
	return text;
}

/* Is the first word one that begins a query, rather than a select list? */
static bool
begins_query(const char *text)
{
	static const char *const words[] = {"select", "with", "values", "table"};

	text = skip_comments(text);
	for (int i = 0; i < lengthof(words); i++)
	{
		Size len = strlen(words[i]);
		char next = pg_strncasecmp(text, words[i], len) == 0 ? text[len] : 'x';

		if (next == '\0' || scanner_isspace(next) || next == '(' || next == '-' || next == '/')
			return true;
	}
	return false;
}

/* Parsing further runs code of the types that the text names. */
static void
check_text(const KeyText *key, const OutboxContractConfig *config, Relation rel, Node *raw)
{
	OutboxRunner runner;

	OutboxRunnerOfView(&runner, config->view, key->what);
	OutboxCheckTextTrust(&runner, raw, RelationGetDescr(rel));
}

/* A string constant is a value of the lookup's column; a view has no columns of no type. */
static void
resolve_unknown(ParseState *pstate, Query *query, TupleDesc lookup)
{
	ListCell *lc;

	foreach (lc, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);
		int column = foreach_current_index(lc);
		Oid type = column < lookup->natts ? getBaseType(TupleDescAttr(lookup, column)->atttypid) : TEXTOID;

		if (exprType((Node *) entry->expr) == UNKNOWNOID)
			entry->expr = (Expr *) coerce_type(pstate, (Node *) entry->expr, UNKNOWNOID, type, -1, COERCION_IMPLICIT,
											   COERCE_IMPLICIT_CAST, -1);
	}
}

/* SELECT q.* FROM the row, LATERAL the query; its columns are called as the lookup's. */
static Query *
join_row(ParseState *pstate, Query *query, TupleDesc lookup)
{
	Alias *alias = makeAlias("q", NIL);
	Query *outer = makeNode(Query);
	ParseNamespaceItem *item;

	for (int i = 0; i < lookup->natts; i++)
		alias->colnames = lappend(alias->colnames, makeString(pstrdup(NameStr(TupleDescAttr(lookup, i)->attname))));
	item = addRangeTableEntryForSubquery(pstate, query, alias, true, true);
	addNSItemToQuery(pstate, item, true, true, true);
	for (int i = 0; i < lookup->natts; i++)
	{
		Node *column = (Node *) list_nth_node(TargetEntry, query->targetList, i)->expr;
		Var *var = makeVar(item->p_rtindex, i + 1, exprType(column), exprTypmod(column), exprCollation(column), 0);

		outer->targetList = lappend(outer->targetList,
									makeTargetEntry((Expr *) var, i + 1, pstrdup(NameStr(TupleDescAttr(lookup, i)->attname)), false));
	}
	outer->commandType = CMD_SELECT;
	outer->canSetTag = true;
	outer->rtable = pstate->p_rtable;
	OutboxTakePermissions(outer, pstate);
	outer->jointree = makeFromExpr(pstate->p_joinlist, NULL);
	assign_query_collations(pstate, outer);
	return outer;
}
