/*-------------------------------------------------------------------------
 *
 * key_view.c
 *	  A key_query is kept as a view of the contract view's owner.
 *
 * The view joins the source, as "row", with the query that add_source() got:
 *
 *	  SELECT q.* FROM public.ordr_ln AS "row", LATERAL (SELECT "row".ordr_no) AS q
 *
 * Nobody selects from it; capture takes the query out of it (key_view_read.c).
 * As a view, it follows whatever is renamed, stops the DROP of what it reads,
 * is dumped and restored, and changes its owner with REASSIGN OWNED, all by
 * PostgreSQL itself. Its name says whose it is, because it is what an error of
 * such a DROP names.
 *
 * It is in our own schema, which its owner has no right on, and it is no member
 * of the extension, or pg_dump would leave it out. So it is defined here from
 * the analysed query, rather than by a command: the owner's rights parse the
 * text, which may run code of the owner, and ours create the relation.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/comment.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "commands/tablecmds.h"
#include "commands/view.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "parser/scansup.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/environment/environment.h"
#include "contract/reach/reach.h"
#include "contract/view/view_private.h"
#include "util/util.h"

/* What the names of these views end with, and maybe a number. */
#define LABEL "key_query"

/* The text that is being parsed. */
typedef struct KeyText
{
	const char *text;
	const char *what; /* "the key_query of source \"x\"" */
} KeyText;

static Query *analyse(const KeyText *key, const OutboxContractConfig *config, Oid source, TupleDesc lookup);
static void error_context(void *arg);
static int remedy(void);
static Node *parse_select(const KeyText *key);
static const char *skip_comments(const char *text);
static bool begins_query(const char *text);
static void check_text(const KeyText *key, const OutboxContractConfig *config, Relation rel, Node *raw);
static void resolve_unknown(ParseState *pstate, Query *query, TupleDesc lookup);
static Query *join_row(ParseState *pstate, Query *query, TupleDesc lookup);
static char *choose_name(const OutboxContractConfig *config, Oid source);
static Oid define_view(const char *name, Oid owner, Query *query);

/*
 * Makes the view of a key_query, and raises, pointing into the text, for what
 * does not parse or gives other columns than those of the lookup. What the
 * query may do is for the compilation to judge. The caller has locked the
 * source.
 */
Oid
OutboxCreateKeyView(const OutboxContractConfig *config, Oid source, const char *text, TupleDesc lookup)
{
	KeyText key = {.text = text, .what = psprintf("the key_query of source \"%s\"", get_rel_name(source))};
	Oid owner = OutboxRelationOwner(config->view);
	OutboxEvaluation evaluation;
	Query *query;
	Oid view;

	OutboxEvaluationBegin(&evaluation, owner, OUTBOX_COMPILING);
	query = analyse(&key, config, source, lookup);
	view = define_view(choose_name(config, source), owner, query);
	OutboxEvaluationEnd(&evaluation);
	CreateComments(view, RelationRelationId, 0,
				   psprintf("key_query of source %s of contract \"%s\": which rows of the contract a changed row touches. outbox.detach() lets it step aside, outbox.drop_contract() drops it",
							OutboxQualifiedName(source), config->name));
	return view;
}

/* Makes such a view again, from its own query; with the rights of its owner. */
Oid
OutboxRestoreKeyView(const char *name, Oid owner, Query *query)
{
	return define_view(name, owner, query);
}

/* Raises when something depends on it. Locks it, which nobody has locked for long. */
void
OutboxDropKeyView(Oid view)
{
	ObjectAddress address;

	/* performDeletion() does not look again after its wait for the lock: another session may have dropped the view */
	LockRelationOid(view, AccessExclusiveLock);
	if (!OutboxIsKeyView(view))
		return;
	ObjectAddressSet(address, RelationRelationId, view);
	performDeletion(&address, DROP_RESTRICT, 0);
	CommandCounterIncrement();
}

/* Is this such a view, and there? The columns of our tables that say so can be written to by superusers. */
bool
OutboxIsKeyView(Oid view)
{
	Oid schema = get_namespace_oid(OUTBOX_INTERNAL_SCHEMA, true);

	return OidIsValid(view) && get_rel_relkind(view) == RELKIND_VIEW && OidIsValid(schema) &&
		get_rel_namespace(view) == schema && !OidIsValid(getExtensionOfObject(RelationRelationId, view));
}

/* What enable() agrees to of the contract's view it agrees to of its key queries. Asks for no rights. */
void
OutboxKeyViewsFollowOwner(const OutboxContractConfig *config)
{
	Oid owner = OutboxRelationOwner(config->view);
	ListCell *lc;

	foreach (lc, config->sources)
	{
		Oid view = ((OutboxSourceConfig *) lfirst(lc))->key_view;

		if (!OutboxIsKeyView(view) || OutboxRelationOwner(view) == owner)
			continue;
		/* as for what belongs to a table: the rights were asked for with the contract's view */
		ATExecChangeOwner(view, owner, true, AccessExclusiveLock);
		CommandCounterIncrement();
	}
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

/* The view's query. Columns of the row are seen as row.<column> alone: a name that a query has not must not find them. */
static Query *
analyse(const KeyText *key, const OutboxContractConfig *config, Oid source, TupleDesc lookup)
{
	ErrorContextCallback callback = {.callback = error_context, .arg = unconstify(KeyText *, key), .previous = error_context_stack};
	ParseState *pstate = make_parsestate(NULL);
	Relation rel = relation_open(source, AccessShareLock);
	OutboxKeyView view = {.what = key->what, .source = source, .pstate = pstate};
	ParseNamespaceItem *row;
	Bitmapset *reads;
	Query *query;
	Node *raw;

	error_context_stack = &callback;
	raw = parse_select(key);
	error_context_stack = callback.previous; /* its hint is of no use here */
	check_text(key, config, rel, raw);
	error_context_stack = &callback;
	pstate->p_sourcetext = key->text;
	row = addRangeTableEntryForRelation(pstate, rel, AccessShareLock, makeAlias(OUTBOX_KEY_ROW_NAME, NIL), true, true);
	addNSItemToQuery(pstate, row, true, true, false);
	query = view.query = parse_sub_analyze(raw, pstate, NULL, false, false);
	resolve_unknown(pstate, query, lookup);
	(void) OutboxKeyViewQuery(&view, source, &reads);
	OutboxCheckKeyColumns(key->what, query->targetList, lookup);
	query = join_row(pstate, query, lookup);
	error_context_stack = callback.previous;
	relation_close(rel, NoLock);
	free_parsestate(pstate);
	return query;
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

/* As PostgreSQL names indexes: contract_source_key_query. A view of that name that a restore has left over makes room. */
static char *
choose_name(const OutboxContractConfig *config, Oid source)
{
	Oid schema = get_namespace_oid(OUTBOX_INTERNAL_SCHEMA, false);
	char *table = get_rel_name(source);
	Oid left = get_relname_relid(makeObjectName(config->name, table, LABEL), schema);
	const char *args[] = {psprintf("%u", left)};

	if (OutboxIsKeyView(left) &&
		OutboxExecute("SELECT 1 FROM outbox_internal.source WHERE key_view = $1::oid", lengthof(args), args) == NULL)
		OutboxDropKeyView(left);
	return ChooseRelationName(config->name, table, LABEL, schema, false);
}

/* The relation is made with our rights, its rule with those of its owner, who is the present user. */
static Oid
define_view(const char *name, Oid owner, Query *query)
{
	CreateStmt *stmt = makeNode(CreateStmt);
	OutboxOwnerScope scope;
	ObjectAddress view;
	ListCell *lc;

	stmt->relation = makeRangeVar(OUTBOX_INTERNAL_SCHEMA, pstrdup(name), -1);
	stmt->oncommit = ONCOMMIT_NOOP;
	foreach (lc, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);
		Node *column = (Node *) entry->expr;

		if (!entry->resjunk)
			stmt->tableElts = lappend(stmt->tableElts, makeColumnDef(entry->resname, exprType(column), exprTypmod(column), exprCollation(column)));
	}
	OutboxOwnerBegin(&scope);
	view = DefineRelation(stmt, RELKIND_VIEW, owner, NULL, NULL);
	CommandCounterIncrement();
	OutboxOwnerEnd(&scope);
	StoreViewQuery(view.objectId, query, false);
	CommandCounterIncrement();
	return view.objectId;
}
