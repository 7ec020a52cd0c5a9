/*-------------------------------------------------------------------------
 *
 * key_query_parse.c
 *	  The text of a key_query -> expressions over a source's row, or a query
 *	  with its columns as parameters.
 *
 * "row" always means the changed row, whatever tables a query names so.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_target.h"
#include "parser/parser.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "contract/compile/key_query_parse.h"
#include "contract/reach/trust.h"

static void error_context(void *arg);
static bool begins_query(const char *text);
static bool is_plain_list(const SelectStmt *select);
static List *coerce_columns(OutboxKeyParse *parse, ParseState *pstate, List *targets, TupleDesc lookup);
static RawStmt *parse_select(OutboxKeyParse *parse);
static void check_text(const OutboxKeyParse *parse, Node *raw);
static void check_count(const OutboxKeyParse *parse, int ncolumns, TupleDesc lookup);
OUTBOX_NORETURN static void wrong_type(const OutboxKeyParse *parse, Form_pg_attribute key, Oid type);
static Node *row_column(ParseState *pstate, ColumnRef *reference);
static AttrNumber find_column(ParseState *pstate, OutboxKeyParse *parse, ColumnRef *reference);

List *
OutboxParseKeyExpressions(OutboxKeyParse *parse, TupleDesc lookup)
{
	ErrorContextCallback callback = {.callback = error_context, .arg = parse, .previous = error_context_stack};
	ParseState *pstate = make_parsestate(NULL);
	List *targets = NIL;
	SelectStmt *select;

	if (begins_query(parse->text))
		return NIL;
	error_context_stack = &callback;
	parse->select = parse->text;
	parse->as_parameters = false;
	pstate->p_sourcetext = parse->text;
	OutboxKeyParserSetup(pstate, parse);
	select = (SelectStmt *) linitial_node(RawStmt, raw_parser(parse->text, RAW_PARSE_PLPGSQL_EXPR))->stmt;
	check_text(parse, (Node *) select);
	if (is_plain_list(select))
		targets = transformTargetList(pstate, select->targetList, EXPR_KIND_SELECT_TARGET);
	if (!pstate->p_hasSubLinks && !pstate->p_hasAggs && !pstate->p_hasWindowFuncs && !pstate->p_hasTargetSRFs)
		targets = coerce_columns(parse, pstate, targets, lookup);
	else
		targets = NIL;
	error_context_stack = callback.previous;
	free_parsestate(pstate);
	return targets;
}

void
OutboxParseKeySelect(OutboxKeyParse *parse, TupleDesc lookup)
{
	ErrorContextCallback callback = {.callback = error_context, .arg = parse, .previous = error_context_stack};
	int ncolumns = 0;
	ListCell *lc;

	error_context_stack = &callback;
	parse->as_parameters = true;
	parse->reads = NULL;
	parse->select = begins_query(parse->text) ? parse->text : psprintf("SELECT %s", parse->text);
	parse->query = parse_analyze_withcb(parse_select(parse), parse->select, OutboxKeyParserSetup, parse, NULL);
	if (parse->query->commandType != CMD_SELECT || parse->query->hasModifyingCTE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s must not write", parse->owner)));
	foreach (lc, parse->query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);
		Oid type = exprType((Node *) entry->expr);
		Oid target;

		if (entry->resjunk)
			continue;
		if (ncolumns++ >= lookup->natts)
			continue;
		target = getBaseType(TupleDescAttr(lookup, ncolumns - 1)->atttypid);
		if (!can_coerce_type(1, &type, &target, COERCION_ASSIGNMENT))
			wrong_type(parse, TupleDescAttr(lookup, ncolumns - 1), type);
	}
	check_count(parse, ncolumns, lookup);
	error_context_stack = callback.previous;
}

List *
OutboxRawKeyQuery(const char *text)
{
	return raw_parser(text, begins_query(text) ? RAW_PARSE_DEFAULT : RAW_PARSE_PLPGSQL_EXPR);
}

void
OutboxKeyParserSetup(ParseState *pstate, void *arg)
{
	pstate->p_pre_columnref_hook = row_column;
	pstate->p_ref_hook_state = arg;
}

/* Points the parser's errors into the text instead of the statement that brought it, and says the remedy. */
static void
error_context(void *arg)
{
	OutboxKeyParse *parse = arg;
	int position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(parse->select);
	}
	errdetail("It is in %s.", parse->owner);
	errhint("Write the contract's lookup key as expressions over row.<column>, or as a SELECT that returns it; qualify names outside pg_catalog.");
}

/* Is the first word one that begins a query, rather than a select list? */
static bool
begins_query(const char *text)
{
	static const char *const words[] = {"select", "with", "values", "table"};

	for (;;)
	{
		while (scanner_isspace(*text))
			text++;
		if (strncmp(text, "--", 2) != 0)
			break;
		while (*text && *text != '\n')
			text++;
	}
	for (int i = 0; i < lengthof(words); i++)
	{
		Size len = strlen(words[i]);
		char next = pg_strncasecmp(text, words[i], len) == 0 ? text[len] : 'x';

		if (next == '\0' || scanner_isspace(next) || next == '(' || next == '-' || next == '/')
			return true;
	}
	return false;
}

static bool
is_plain_list(const SelectStmt *select)
{
	return select->fromClause == NIL && select->whereClause == NULL && select->groupClause == NIL &&
		select->havingClause == NULL && select->windowClause == NIL && select->distinctClause == NIL &&
		select->sortClause == NIL && select->limitCount == NULL && select->limitOffset == NULL &&
		select->lockingClause == NIL && select->op == SETOP_NONE;
}

/* The expressions as values of the lookup's base types; NIL for NIL. */
static List *
coerce_columns(OutboxKeyParse *parse, ParseState *pstate, List *targets, TupleDesc lookup)
{
	List *expressions = NIL;
	ListCell *lc;

	if (targets == NIL)
		return NIL;
	check_count(parse, list_length(targets), lookup);
	foreach (lc, targets)
	{
		Form_pg_attribute key = TupleDescAttr(lookup, foreach_current_index(lc));
		Node *expression = (Node *) lfirst_node(TargetEntry, lc)->expr;
		Oid type = exprType(expression);

		expression = coerce_to_target_type(pstate, expression, type, getBaseType(key->atttypid), -1,
										   COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
		if (expression == NULL)
			wrong_type(parse, key, type);
		assign_expr_collations(pstate, expression);
		expressions = lappend(expressions, expression);
	}
	return expressions;
}

/* The one statement in the text, which is cut to it. */
static RawStmt *
parse_select(OutboxKeyParse *parse)
{
	List *statements = raw_parser(parse->select, RAW_PARSE_DEFAULT);
	RawStmt *statement = statements ? linitial_node(RawStmt, statements) : NULL;

	if (list_length(statements) != 1 || !IsA(statement->stmt, SelectStmt) || ((SelectStmt *) statement->stmt)->intoClause)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("%s is not one SELECT", parse->owner)));
	check_text(parse, statement->stmt);
	if (statement->stmt_len > 0)
		parse->select = pnstrdup(parse->select, statement->stmt_location + statement->stmt_len);
	return statement;
}

/* Parsing further runs code of the types that the text names. */
static void
check_text(const OutboxKeyParse *parse, Node *raw)
{
	ErrorContextCallback *context = error_context_stack;
	OutboxRunner runner;

	OutboxRunnerOfView(&runner, parse->view, parse->owner);
	/* the hint of our own context is of no use here */
	error_context_stack = context->previous;
	OutboxCheckTextTrust(&runner, raw, parse->row);
	error_context_stack = context;
}

static void
check_count(const OutboxKeyParse *parse, int ncolumns, TupleDesc lookup)
{
	StringInfoData names;

	if (ncolumns == lookup->natts)
		return;
	initStringInfo(&names);
	for (int i = 0; i < lookup->natts; i++)
		appendStringInfo(&names, "%s%s", i ? ", " : "", NameStr(TupleDescAttr(lookup, i)->attname));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_COLUMN_DEFINITION),
			 errmsg_plural("%s gives %d column, and not those of the lookup key: (%s)",
						   "%s gives %d columns, and not those of the lookup key: (%s)",
						   ncolumns, parse->owner, ncolumns, names.data)));
}

static void
wrong_type(const OutboxKeyParse *parse, Form_pg_attribute key, Oid type)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("%s gives type %s for \"%s\", which has type %s", parse->owner, format_type_be(type),
					NameStr(key->attname), format_type_be(key->atttypid))));
}

/* Hook: row.<column> as a Var or a parameter; NULL for any other name. */
static Node *
row_column(ParseState *pstate, ColumnRef *reference)
{
	OutboxKeyParse *parse = pstate->p_ref_hook_state;
	Node *first = linitial(reference->fields);
	Form_pg_attribute attribute;
	AttrNumber attno;
	Param *param;

	if (!IsA(first, String) || strcmp(strVal(first), OUTBOX_KEY_ROW_NAME) != 0 || list_length(reference->fields) > 2)
		return NULL;
	attno = find_column(pstate, parse, reference);
	attribute = TupleDescAttr(parse->row, attno - 1);
	parse->reads = bms_add_member(parse->reads, attno - FirstLowInvalidHeapAttributeNumber);
	if (!parse->as_parameters)
		return (Node *) makeVar(1, attno, attribute->atttypid, attribute->atttypmod, attribute->attcollation, 0);
	param = makeNode(Param);
	param->paramkind = PARAM_EXTERN;
	param->paramid = attno;
	param->paramtype = attribute->atttypid;
	param->paramtypmod = attribute->atttypmod;
	param->paramcollid = attribute->attcollation;
	param->location = reference->location;
	return (Node *) param;
}

static AttrNumber
find_column(ParseState *pstate, OutboxKeyParse *parse, ColumnRef *reference)
{
	Node *name = list_length(reference->fields) == 2 ? lsecond(reference->fields) : NULL;

	if (name == NULL || !IsA(name, String))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s must name columns of the row", parse->owner),
				 parser_errposition(pstate, reference->location)));
	for (int i = 0; i < parse->row->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(parse->row, i);

		if (attribute->attisdropped || strcmp(NameStr(attribute->attname), strVal(name)) != 0)
			continue;
		if (OutboxAttributeIsVirtual(parse->relation, i + 1))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("%s must not use the virtual generated column \"%s\"", parse->owner, strVal(name)),
					 errhint("A changed row does not have its value: write its expression over stored columns."),
					 parser_errposition(pstate, reference->location)));
		return i + 1;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" of \"%s\" does not exist", strVal(name), get_rel_name(parse->relation)),
			 parser_errposition(pstate, reference->location)));
}
