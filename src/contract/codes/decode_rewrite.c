/*-------------------------------------------------------------------------
 *
 * decode_rewrite.c
 *	  outbox_internal.view_without_decode(): a view that can outlive the extension.
 *
 * outbox.decode(map, code) becomes a CASE over the map's present codes. The CASE
 * compares byte by byte, as decode() does. It gives NULL for NULL and for an unknown
 * code. It has the type and collation of the call, so that CREATE OR REPLACE VIEW
 * takes the result.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteSupport.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "catalog/outbox_catalog.h"
#include "contract/codes/codes.h"

PG_FUNCTION_INFO_V1(outbox_view_without_decode);

static Query *view_query(Relation view);
static Node *replace_decode(Node *node, bool *unknown_map);
static Node *case_of(FuncExpr *call, bool *unknown_map);
static CaseExpr *case_over(const char *map, Expr *code);
static Const *text_const(const char *text);

/* view_without_decode(view): the SELECT; NULL when a map is not named by a constant, or the view is gone. */
Datum
outbox_view_without_decode(PG_FUNCTION_ARGS)
{
	Relation view = try_relation_open(PG_GETARG_OID(0), AccessShareLock);
	Query *query;
	bool unknown_map = false;

	/* the view was dropped after it was listed */
	if (view == NULL)
		PG_RETURN_NULL();
	query = view_query(view);
	query = (Query *) replace_decode((Node *) query, &unknown_map);
	relation_close(view, NoLock);
	if (unknown_map)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(pg_get_querydef(query, false)));
}

/* A copy of the view's SELECT, with the present names of the columns. */
static Query *
view_query(Relation view)
{
	RuleLock *rules = view->rd_rules;
	Query *query = NULL;
	ListCell *lc;

	for (int i = 0; rules && i < rules->numLocks; i++)
	{
		if (rules->rules[i]->event == CMD_SELECT)
			query = copyObject(linitial_node(Query, rules->rules[i]->actions));
	}
	if (query == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a view", RelationGetRelationName(view))));
	foreach (lc, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);

		if (!entry->resjunk)
			entry->resname = pstrdup(NameStr(TupleDescAttr(RelationGetDescr(view), entry->resno - 1)->attname));
	}
	return query;
}

static Node *
replace_decode_mutator(Node *node, void *context)
{
	return replace_decode(node, context);
}

static Node *
replace_decode(Node *node, bool *unknown_map)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, replace_decode_mutator, unknown_map, 0);
	node = expression_tree_mutator(node, replace_decode_mutator, unknown_map);
	if (IsA(node, FuncExpr) && OutboxIsDecode(((FuncExpr *) node)->funcid))
		return case_of((FuncExpr *) node, unknown_map);
	return node;
}

static Node *
case_of(FuncExpr *call, bool *unknown_map)
{
	Node *map = linitial(call->args);
	Expr *code = lsecond(call->args);
	Expr *result;
	CaseExpr *cases;

	if (!IsA(map, Const) || ((Const *) map)->constisnull)
	{
		*unknown_map = true;
		return (Node *) call;
	}
	if (exprType((Node *) code) == INT8OID)
	{
		CoerceViaIO *text = makeNode(CoerceViaIO);

		text->arg = code;
		text->resulttype = TEXTOID;
		text->resultcollid = DEFAULT_COLLATION_OID;
		text->coerceformat = COERCE_EXPLICIT_CAST;
		text->location = -1;
		code = (Expr *) text;
	}
	cases = case_over(TextDatumGetCString(((Const *) map)->constvalue), code);
	result = cases->args ? (Expr *) cases : cases->defresult;
	if (OidIsValid(call->funccollid) && call->funccollid != DEFAULT_COLLATION_OID)
	{
		CollateExpr *collate = makeNode(CollateExpr);

		collate->arg = result;
		collate->collOid = call->funccollid;
		collate->location = -1;
		result = (Expr *) collate;
	}
	return (Node *) result;
}

/* The CASE for one call. It compares in collation C: other collations may take different codes for equal. */
static CaseExpr *
case_over(const char *map, Expr *code)
{
	List *codes = OutboxExecuteRows("SELECT code, word FROM outbox_internal.code_map WHERE name = $1 ORDER BY code", 1, &map);
	CaseExpr *cases = makeNode(CaseExpr);
	CollateExpr *bytes = makeNode(CollateExpr);
	ListCell *lc;

	bytes->arg = code;
	bytes->collOid = C_COLLATION_OID;
	bytes->location = -1;
	cases->casetype = TEXTOID;
	cases->casecollid = DEFAULT_COLLATION_OID;
	cases->arg = (Expr *) bytes;
	cases->defresult = (Expr *) makeNullConst(TEXTOID, -1, DEFAULT_COLLATION_OID);
	cases->location = -1;
	foreach (lc, codes)
	{
		char **row = lfirst(lc);
		CaseWhen *when = makeNode(CaseWhen);
		CaseTestExpr *test = makeNode(CaseTestExpr);

		test->typeId = TEXTOID;
		test->typeMod = -1;
		test->collation = C_COLLATION_OID;
		when->expr = make_opclause(TextEqualOperator, BOOLOID, false, (Expr *) test, (Expr *) text_const(row[0]),
								   InvalidOid, C_COLLATION_OID);
		set_opfuncid((OpExpr *) when->expr);
		when->result = (Expr *) text_const(row[1]);
		when->location = -1;
		cases->args = lappend(cases->args, when);
	}
	return cases;
}

static Const *
text_const(const char *text)
{
	return makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1, CStringGetTextDatum(text), false, false);
}
