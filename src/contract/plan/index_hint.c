/*-------------------------------------------------------------------------
 *
 * index_hint.c
 *	  Which indexes a contract's query would need.
 *
 * The query's own equalities show by what a table is joined: of each one, the
 * side that is an expression over that table alone, seen through subqueries
 * and views. Each is tried: the query is planned as if it had an index. The
 * hint asks for those with which the table is not scanned any more, so that
 * whoever follows it is not refused again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_am.h"
#include "catalog/pg_inherits.h"
#include "commands/defrem.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "contract/plan/plan_private.h"
#include "contract/view/view.h"

/* Where an equality stands that joins a table. */
typedef enum JoinPlace
{
	PLACE_CONDITION,
	PLACE_OR,
	PLACE_IN
} JoinPlace;

/* A column or expression by which a table is joined. */
typedef struct JoinColumn
{
	OutboxTrialIndex index;
	JoinPlace place;
	const RangeTblEntry *reading; /* of the table, which a query may read several times */
} JoinColumn;

typedef struct JoinColumns
{
	Oid relation;
	Query *query; /* the level whose conditions are walked */
	JoinPlace place;
	List *found; /* of JoinColumn * */
} JoinColumns;

/* What was found out for the hint. */
typedef struct IndexSearch
{
	const Query *query;
	const char *text;
	List *trials;  /* of OutboxTrialIndex *, those that help */
	List *scanned; /* tables that are scanned in spite of them */
	StringInfoData hint;
} IndexSearch;

static char *table_names(const List *relations);
static void search_indexes(IndexSearch *search, Oid relation);
static bool one_index_helps(IndexSearch *search, Oid relation, const List *columns);
static bool all_indexes_help(IndexSearch *search, Oid relation, const List *columns);
static List *scanned_with(IndexSearch *search, List *trials);
static void say_remedy(IndexSearch *search, Oid relation, const List *columns);
static bool has_index(const JoinColumn *column);
static List *join_columns(const Query *query, Oid relation);
static bool collect(Node *node, void *arg);
static void collect_membership(JoinColumns *columns, SubLink *link);
static void collect_side(JoinColumns *columns, Query *query, Node *side, Node *other, Oid collation);
static void collect_branches(JoinColumns *columns, Query *query, Node *side, Node *other, Oid collation);
static bool inherits(Oid relation, Oid parent);
static void add_column(JoinColumns *columns, Node *expression, const RangeTblEntry *rte, int varno, Oid collation);
static char *index_column(const OutboxTrialIndex *trial);
static char *qualified_name(Oid relation);

/*
 * Raises: the query would scan these tables (OIDs, as of OutboxScannedTables).
 * The hint names the indexes with which it would not, or says what else helps.
 */
void
OutboxRefuseScans(const Query *query, const char *text, const char *subject, List *scanned)
{
	IndexSearch search = {.query = query, .text = text, .scanned = scanned};
	List *tables = NIL;
	ListCell *lc;

	initStringInfo(&search.hint);
	foreach (lc, scanned)
		tables = list_append_unique_oid(tables, lfirst_oid(lc));
	foreach (lc, tables)
		search_indexes(&search, lfirst_oid(lc));
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s would scan %s for every change", subject, table_names(tables)),
			 errdetail("Each table behind it must be found through an index, however small it is today."),
			 errhint("%s", search.hint.data),
			 list_length(tables) == 1 ? err_generic_string(PG_DIAG_TABLE_NAME, get_rel_name(linitial_oid(tables))) : 0));
}

static char *
table_names(const List *relations)
{
	StringInfoData names;
	ListCell *lc;

	initStringInfo(&names);
	foreach (lc, relations)
		appendStringInfo(&names, "%s\"%s\"", names.len ? ", " : "", get_rel_name(lfirst_oid(lc)));
	return names.data;
}

/* Appends to the hint what helps against scans of this table. */
static void
search_indexes(IndexSearch *search, Oid relation)
{
	List *columns = join_columns(search->query, relation);
	bool helped = false;

	if (search->hint.len && list_member_oid(search->scanned, relation))
		appendStringInfoChar(&search->hint, ' ');
	while (list_member_oid(search->scanned, relation))
	{
		if (helped)
			appendStringInfoChar(&search->hint, ' ');
		helped = one_index_helps(search, relation, columns) || all_indexes_help(search, relation, columns);
		if (!helped)
		{
			say_remedy(search, relation, columns);
			break;
		}
	}
}

/* One index, over all columns of one reading of the table of which each would do. */
static bool
one_index_helps(IndexSearch *search, Oid relation, const List *columns)
{
	int before = list_length(search->scanned);
	List *trials = search->trials;
	const RangeTblEntry *reading = NULL;
	StringInfoData names;
	ListCell *lc;

	initStringInfo(&names);
	foreach (lc, columns)
	{
		JoinColumn *column = lfirst(lc);
		List *more = lappend(list_copy(trials), &column->index);
		List *scanned;

		if (reading && column->reading != reading)
			continue;
		scanned = scanned_with(search, more);
		if (list_length(scanned) >= before)
			continue;
		reading = column->reading;
		if (names.len == 0)
		{
			search->trials = more;
			search->scanned = scanned;
		}
		appendStringInfo(&names, "%s%s", names.len ? ", " : "", index_column(&column->index));
	}
	if (names.len)
		appendStringInfo(&search->hint, "CREATE INDEX ON %s (%s);", qualified_name(relation), names.data);
	return names.len > 0;
}

/* Each side of an OR takes an index of its own. */
static bool
all_indexes_help(IndexSearch *search, Oid relation, const List *columns)
{
	List *trials = list_copy(search->trials);
	List *scanned;
	bool first = true;
	ListCell *lc;

	foreach (lc, columns)
		trials = lappend(trials, &((JoinColumn *) lfirst(lc))->index);
	scanned = scanned_with(search, trials);
	if (list_length(scanned) >= list_length(search->scanned))
		return false;
	search->trials = trials;
	search->scanned = scanned;
	foreach (lc, columns)
	{
		if (!has_index(lfirst(lc)))
		{
			appendStringInfo(&search->hint, "%sCREATE INDEX ON %s (%s);", first ? "" : " ", qualified_name(relation), index_column(lfirst(lc)));
			first = false;
		}
	}
	return true;
}

/* The tables that are scanned when there are these indexes, too. */
static List *
scanned_with(IndexSearch *search, List *trials)
{
	OutboxPlannerWorld world = {.join_limit = "8", .no_statistics = true, .trial_indexes = trials};

	return OutboxScannedTables(OutboxPlanInWorld(copyObject(unconstify(Query *, search->query)), search->text, 0, &world), trials);
}

/* Where no index helps, the query has to be written in another way. */
static void
say_remedy(IndexSearch *search, Oid relation, const List *columns)
{
	const char *table = get_rel_name(relation);
	JoinColumn *column = columns ? linitial(columns) : NULL;
	char *name = column ? index_column(&column->index) : NULL;

	if (column == NULL || column->place == PLACE_OR)
		appendStringInfo(&search->hint, "Join \"%s\" by equality with columns of the source, or of tables that are found by them; each side of an OR must do so.", table);
	else if (column->place == PLACE_IN)
		appendStringInfo(&search->hint, "Write EXISTS or NOT EXISTS in place of IN or NOT IN, with the comparison of (%s) in the WHERE clause of the subquery that reads \"%s\".", name, table);
	else
		appendStringInfo(&search->hint, "The key does not reach \"%s\": put the condition on (%s) into the WHERE clause of the subquery that reads it, and make that subquery LATERAL.", table, name);
	if (column && column->place != PLACE_OR && !has_index(column))
		appendStringInfo(&search->hint, " CREATE INDEX ON %s (%s);", qualified_name(relation), name);
}

/* One that begins with the column. */
static bool
has_index(const JoinColumn *column)
{
	Relation rel = relation_open(column->index.relation, AccessShareLock);
	Node *expression = column->index.expression;
	bool found = false;
	ListCell *lc;

	foreach (lc, RelationGetIndexList(rel))
	{
		Relation index = index_open(lfirst_oid(lc), AccessShareLock);
		AttrNumber first = index->rd_index->indkey.values[0];

		List *expressions;

		if (index->rd_index->indisvalid && heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL))
			found |= first == 0 ? OutboxIndexExpressions(index, &expressions) && equal(linitial(expressions), expression)
								: IsA(expression, Var) && ((Var *) expression)->varattno == first;
		index_close(index, AccessShareLock);
	}
	relation_close(rel, AccessShareLock);
	return found;
}

/* Of JoinColumn *, each other one. */
static List *
join_columns(const Query *query, Oid relation)
{
	JoinColumns columns = {.relation = relation};

	(void) collect((Node *) query, &columns);
	return columns.found;
}

/* Walks conditions and, query by query, what is below. */
static bool
collect(Node *node, void *arg)
{
	JoinColumns *columns = arg;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		JoinColumns inner = {.relation = columns->relation, .query = (Query *) node, .found = columns->found};

		(void) query_tree_walker((Query *) node, collect, &inner, 0);
		columns->found = inner.found;
		return false;
	}
	if (IsA(node, BoolExpr) && ((BoolExpr *) node)->boolop == OR_EXPR && columns->place != PLACE_OR)
	{
		columns->place = PLACE_OR;
		(void) expression_tree_walker(node, collect, arg);
		columns->place = PLACE_CONDITION;
		return false;
	}
	if (IsA(node, SubLink) && ((SubLink *) node)->subLinkType == ANY_SUBLINK)
		collect_membership(columns, (SubLink *) node);
	if (IsA(node, OpExpr) && list_length(((OpExpr *) node)->args) == 2)
	{
		OpExpr *condition = (OpExpr *) node;
		Node *left = linitial(condition->args);
		Node *right = lsecond(condition->args);

		if (op_mergejoinable(condition->opno, exprType(left)) || op_hashjoinable(condition->opno, exprType(left)))
		{
			collect_side(columns, columns->query, left, right, condition->inputcollid);
			collect_side(columns, columns->query, right, left, condition->inputcollid);
		}
	}
	return expression_tree_walker(node, collect, arg);
}

/* x IN (SELECT y ...): y is compared, too. */
static void
collect_membership(JoinColumns *columns, SubLink *link)
{
	Query *query = (Query *) link->subselect;
	OpExpr *condition = (OpExpr *) link->testexpr;
	Param *parameter;

	if (condition == NULL || !IsA(condition, OpExpr) || list_length(condition->args) != 2 || !IsA(query, Query))
		return;
	parameter = (Param *) strip_implicit_coercions(lsecond(condition->args));
	if (!IsA(parameter, Param) || parameter->paramid != 1)
		return;
	columns->place = PLACE_IN;
	collect_side(columns, query, (Node *) linitial_node(TargetEntry, query->targetList)->expr, linitial(condition->args), condition->inputcollid);
	columns->place = PLACE_CONDITION;
}

/* A side over the relation counts when the other one is neither a constant nor over the same row. */
static void
collect_side(JoinColumns *columns, Query *query, Node *side, Node *other, Oid collation)
{
	RangeTblEntry *rte;
	RangeTblEntry *other_rte;
	int varno;
	int other_varno;
	Node *expression;

	if (IsA(strip_implicit_coercions(other), Const))
		return;
	expression = OutboxBaseExpression(query, side, &rte, &varno);
	if (expression == NULL)
		collect_branches(columns, query, side, other, collation);
	else if (rte->relid == columns->relation || inherits(columns->relation, rte->relid))
	{
		if (OutboxBaseExpression(columns->query, other, &other_rte, &other_varno) && other_rte == rte)
			return;
		if (rte->relid != columns->relation)
			expression = OutboxExpressionOfTable(expression, rte->relid, columns->relation);
		add_column(columns, expression, rte, varno, collation);
	}
}

/* A column of a UNION is one of each of its branches. */
static void
collect_branches(JoinColumns *columns, Query *query, Node *side, Node *other, Oid collation)
{
	Var *column = (Var *) strip_implicit_coercions(side);
	Query *inner;
	ListCell *lc;

	if (!IsA(column, Var) || column->varlevelsup > 0 || column->varattno <= 0)
		return;
	inner = rt_fetch(column->varno, query->rtable)->subquery;
	if (inner == NULL || inner->setOperations == NULL)
		return;
	foreach (lc, inner->rtable)
	{
		Query *branch = lfirst_node(RangeTblEntry, lc)->subquery;
		TargetEntry *entry = branch ? get_tle_by_resno(branch->targetList, column->varattno) : NULL;

		if (entry)
			collect_side(columns, branch, (Node *) entry->expr, other, collation);
	}
}

/* By inheritance that is not partitioning: such a table has indexes of its own. */
static bool
inherits(Oid relation, Oid parent)
{
	return has_subclass(parent) && list_member_oid(find_all_inheritors(parent, NoLock, NULL), relation);
}

/* As a column that an index can have, once. */
static void
add_column(JoinColumns *columns, Node *expression, const RangeTblEntry *rte, int varno, Oid collation)
{
	JoinColumn *column = palloc0(sizeof(JoinColumn));
	ListCell *lc;

	expression = strip_implicit_coercions(copyObject(expression));
	while (IsA(expression, RelabelType))
		expression = (Node *) ((RelabelType *) expression)->arg;
	ChangeVarNodes(expression, varno, 1, 0);
	column->place = columns->place;
	column->reading = rte;
	column->index.relation = columns->relation;
	column->index.expression = expression;
	column->index.collation = OidIsValid(collation) ? collation : exprCollation(expression);
	column->index.opclass = GetDefaultOpClass(exprType(expression), BTREE_AM_OID);
	if (!OidIsValid(column->index.opclass) || contain_mutable_functions(expression))
		return;
	foreach (lc, columns->found)
	{
		JoinColumn *other = lfirst(lc);

		if (other->reading == rte && equal(other->index.expression, expression) && other->index.collation == column->index.collation)
			return;
	}
	columns->found = lappend(columns->found, column);
}

/* As CREATE INDEX wants it. */
static char *
index_column(const OutboxTrialIndex *trial)
{
	char *text = deparse_expression(trial->expression, deparse_context_for(get_rel_name(trial->relation), trial->relation), false, false);

	/* an operator comes with its own parentheses */
	if (!IsA(trial->expression, Var) && !IsA(trial->expression, OpExpr))
		text = psprintf("(%s)", text);
	if (trial->collation == exprCollation(trial->expression))
		return text;
	return psprintf("%s COLLATE %s", text, generate_collation_name(trial->collation));
}

static char *
qualified_name(Oid relation)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), get_rel_name(relation));
}
