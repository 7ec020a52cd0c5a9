/*-------------------------------------------------------------------------
 *
 * root_path.c
 *	  Where in a view's query tree the rows of its root come from.
 *
 * The key's own columns lead to the root: in each query on the way, all
 * expressions behind them must read the same entry of FROM. A filter on the root's
 * rows must give the same result as a filter on the view's rows. So nothing on the
 * way may be a set operation, LIMIT, a window function or the nullable side of an
 * outer join. Grouping and DISTINCT are allowed when they keep the lookup columns
 * apart, which OutboxPushLookup() checks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/view/view_private.h"

/* Where an entry stands in a join tree. */
typedef enum JoinSide
{
	SIDE_NOWHERE,
	SIDE_PLAIN,
	SIDE_NULLABLE /* an outer join may make up rows for it */
} JoinSide;

/* The entries of FROM that an expression reads. */
typedef struct VarScan
{
	Bitmapset *varnos;
	bool outer; /* and an enclosing query's */
} VarScan;

/* Vars of one entry of a subquery's parent, to be replaced by what the subquery selects. */
typedef struct Substitution
{
	int varno;
	List *targets;
	bool whole_row;
} Substitution;

static Query *subquery_of(Query *query, const RangeTblEntry *rte);
static List *follow_key(const OutboxContractConfig *config, Query *query, List **levels);
static List *key_expressions(const OutboxContractConfig *config, Query *query);
static void check_level(const OutboxContractConfig *config, const Query *query);
static int single_varno(const OutboxContractConfig *config, Query *query, List *expressions);
static bool scan_vars(Node *node, void *arg);
static void check_side(const OutboxContractConfig *config, Query *query, int varno);
static JoinSide join_side(Node *node, int varno, bool nullable);
static Node *substitute(Node *node, void *arg);
static List *lookup_vars(const OutboxContractConfig *config, List *expressions);
static void check_root(const OutboxContractConfig *config, const RangeTblEntry *rte);
static void refuse(const OutboxContractConfig *config, const char *what, const char *hint);

/*
 * Follows the contract's key columns down to the root. The result is in the
 * current memory context. Raises, naming the construct and the remedy, when the
 * columns do not all come from one reading of the root's rows, or when a condition
 * on the root's rows would mean something else than one on the view's rows.
 */
OutboxRootPath *
OutboxFindRoot(const OutboxContractConfig *config, Query *query)
{
	OutboxRootPath *path = palloc0(sizeof(OutboxRootPath));

	path->lookup = lookup_vars(config, follow_key(config, query, &path->levels));
	return path;
}

/*
 * The contract's key as expressions over the root's columns; their varno may be
 * any. *levels is as in OutboxRootPath. Raises as OutboxFindRoot() does, except
 * that the expressions may read system columns.
 */
List *
OutboxRootKey(const OutboxContractConfig *config, Query *query, List **levels)
{
	*levels = NIL;
	return follow_key(config, query, levels);
}

/* The key's expressions over the root. Appends the queries on the way to *levels. */
static List *
follow_key(const OutboxContractConfig *config, Query *query, List **levels)
{
	List *expressions = key_expressions(config, query);

	for (;;)
	{
		OutboxRootLevel *level = palloc0(sizeof(OutboxRootLevel));
		RangeTblEntry *rte;
		Substitution substitution = {0};

		check_stack_depth();
		check_level(config, query);
		expressions = (List *) OutboxFlattenVars(query, (Node *) expressions);
		level->query = query;
		level->varno = single_varno(config, query, expressions);
		*levels = lappend(*levels, level);
		check_side(config, query, level->varno);
		rte = rt_fetch(level->varno, query->rtable);
		/* in a query that was not rewritten a view is a relation */
		if (rte->rtekind == RTE_RELATION && get_rel_relkind(rte->relid) == RELKIND_VIEW)
			query = OutboxViewQuery(rte->relid);
		else if (rte->rtekind == RTE_SUBQUERY)
			query = rte->subquery;
		else
		{
			check_root(config, rte);
			return expressions;
		}
		substitution.varno = level->varno;
		substitution.targets = query->targetList;
		expressions = (List *) substitute((Node *) expressions, &substitution);
		if (substitution.whole_row)
			refuse(config, "its key is made from a whole row", "Let the key be made from columns of the source.");
	}
}

/*
 * An expression of a query, seen through subqueries as an expression over one
 * table. *rte is the table's entry, and *varno its number in the result. NULL when
 * the expression does not read exactly one table.
 */
Node *
OutboxBaseExpression(Query *query, Node *node, RangeTblEntry **rte, int *varno)
{
	for (;;)
	{
		VarScan scan = {0};
		Substitution substitution = {0};

		if (checkExprHasSubLink(node))
			return NULL;
		node = OutboxFlattenVars(query, node);
		(void) scan_vars(node, &scan);
		if (scan.outer || bms_membership(scan.varnos) != BMS_SINGLETON)
			return NULL;
		*varno = bms_singleton_member(scan.varnos);
		*rte = rt_fetch(*varno, query->rtable);
		if ((*rte)->rtekind == RTE_RELATION)
			return node;
		query = subquery_of(query, *rte);
		if (query == NULL || query->setOperations)
			return NULL;
		substitution.varno = *varno;
		substitution.targets = query->targetList;
		node = substitute(node, &substitution);
		if (substitution.whole_row)
			return NULL;
	}
}

/* The query of an entry that is a subquery or names one in WITH; NULL for other entries. */
static Query *
subquery_of(Query *query, const RangeTblEntry *rte)
{
	ListCell *lc;

	if (rte->rtekind == RTE_SUBQUERY)
		return rte->subquery;
	foreach (lc, rte->rtekind == RTE_CTE && rte->ctelevelsup == 0 ? query->cteList : NIL)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, lc);

		if (strcmp(cte->ctename, rte->ctename) == 0)
			return castNode(Query, cte->ctequery);
	}
	return NULL;
}

/* The expressions of the key's columns, found by number: renaming a view's column does not change the names in its query. */
static List *
key_expressions(const OutboxContractConfig *config, Query *query)
{
	List *expressions = NIL;
	ListCell *lc;

	foreach (lc, config->key)
	{
		AttrNumber attno = get_attnum(config->view, lfirst(lc));
		TargetEntry *entry = attno > 0 ? get_tle_by_resno(query->targetList, attno) : NULL;

		if (entry == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" in \"key\" does not exist", (char *) lfirst(lc)),
					 errdetail("The view \"%s\" has no column of that name.", get_rel_name(config->view)),
					 config->id != 0 ? errhint("Give the column its name back with ALTER VIEW ... RENAME COLUMN, or drop the contract and create it again in one transaction.")
									 : errhint("Name columns of the view, not of the source.")));
		expressions = lappend(expressions, entry->expr);
	}
	return expressions;
}

static void
check_level(const OutboxContractConfig *config, const Query *query)
{
	if (query->setOperations)
		refuse(config, "it reads the source under a set operation (UNION, INTERSECT, EXCEPT)",
			   "Make each branch a contract of its own, or join the other tables to the source.");
	if (query->limitCount || query->limitOffset)
		refuse(config, "it reads the source under LIMIT or OFFSET",
			   "Select the rows by a condition instead.");
	if (query->hasWindowFuncs)
		refuse(config, "it reads the source under a window function",
			   "Compute the value in a LATERAL subquery beside the source.");
	if (query->groupingSets)
		refuse(config, "it reads the source under GROUPING SETS, CUBE or ROLLUP",
			   "GROUP BY the key's source columns alone.");
	if (query->hasTargetSRFs)
		refuse(config, "it reads the source under a set-returning function",
			   "A contract has one row per key: collect the values in a LATERAL subquery with array_agg.");
}

/* The one entry of FROM that the key reads at this level. */
static int
single_varno(const OutboxContractConfig *config, Query *query, List *expressions)
{
	VarScan scan = {0};

	if (checkExprHasSubLink((Node *) expressions))
		refuse(config, "a key column is computed by a subquery", "Take the key from the source's own columns.");
	(void) scan_vars((Node *) expressions, &scan);
	if (scan.outer)
		refuse(config, "a key column reads other tables than the source", "Take the key from the source's own columns.");
	if (bms_is_empty(scan.varnos))
		refuse(config, "no key column reads a column of the source", "Take the key from the source's own columns.");
	if (bms_membership(scan.varnos) != BMS_SINGLETON)
		refuse(config, "the key columns read more than one table, or the source twice",
			   "Take the key from the source's own columns; of two tables that a join makes equal, name the source's.");
	return bms_singleton_member(scan.varnos);
}

/* Not pull_varnos(): that adds the outer joins that may make a column NULL. */
static bool
scan_vars(Node *node, void *arg)
{
	VarScan *scan = arg;

	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var *var = (Var *) node;

		if (var->varlevelsup > 0)
			scan->outer = true;
		else
			scan->varnos = bms_add_member(scan->varnos, var->varno);
		return false;
	}
	return expression_tree_walker(node, scan_vars, arg);
}

static void
check_side(const OutboxContractConfig *config, Query *query, int varno)
{
	switch (join_side((Node *) query->jointree, varno, false))
	{
		case SIDE_PLAIN:
			return;
		case SIDE_NULLABLE:
			refuse(config, "it reads the source on the nullable side of an outer join",
				   "Start from the source: FROM source LEFT JOIN other, because a contract's row is a row of its source.");
			break;
		case SIDE_NOWHERE:
			refuse(config, "it does not read the source in FROM", "Name the table that the key's columns belong to as the source.");
			break;
	}
}

static JoinSide
join_side(Node *node, int varno, bool nullable)
{
	if (IsA(node, RangeTblRef))
	{
		if (((RangeTblRef *) node)->rtindex != varno)
			return SIDE_NOWHERE;
		return nullable ? SIDE_NULLABLE : SIDE_PLAIN;
	}
	if (IsA(node, FromExpr))
	{
		ListCell *lc;

		foreach (lc, ((FromExpr *) node)->fromlist)
		{
			JoinSide side = join_side(lfirst(lc), varno, nullable);

			if (side != SIDE_NOWHERE)
				return side;
		}
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr *join = (JoinExpr *) node;
		bool left = join->jointype == JOIN_RIGHT || join->jointype == JOIN_FULL;
		bool right = join->jointype == JOIN_LEFT || join->jointype == JOIN_FULL;
		JoinSide side = join_side(join->larg, varno, nullable || left);

		return side != SIDE_NOWHERE ? side : join_side(join->rarg, varno, nullable || right);
	}
	return SIDE_NOWHERE;
}

/* Replaces Vars. Only for expressions without subqueries: then all Vars are of one level. */
static Node *
substitute(Node *node, void *arg)
{
	Substitution *substitution = arg;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varno == substitution->varno && ((Var *) node)->varlevelsup == 0)
	{
		Var *var = (Var *) node;
		TargetEntry *entry = var->varattno > 0 ? get_tle_by_resno(substitution->targets, var->varattno) : NULL;

		if (entry)
			return copyObject((Node *) entry->expr);
		substitution->whole_row = true;
	}
	return expression_tree_mutator(node, substitute, arg);
}

/* The columns of the root that the expressions read, in their order, each once. */
static List *
lookup_vars(const OutboxContractConfig *config, List *expressions)
{
	List *vars = NIL;
	ListCell *lc;

	foreach (lc, pull_var_clause((Node *) expressions, PVC_RECURSE_AGGREGATES))
	{
		Var *var = lfirst_node(Var, lc);
		bool seen = false;
		ListCell *other;

		if (var->varattno <= 0 || OutboxAttributeIsVirtual(config->root, var->varattno))
			refuse(config, "its key reads a whole row, a system column or a generated column without storage",
				   "Take the key from stored columns of the source.");
		foreach (other, vars)
			seen |= lfirst_node(Var, other)->varattno == var->varattno;
		if (!seen)
			vars = lappend(vars, copyObject(var));
	}
	return vars;
}

static void
check_root(const OutboxContractConfig *config, const RangeTblEntry *rte)
{
	if (rte->rtekind == RTE_CTE)
		refuse(config, "it reads the source in WITH", "Write the query of WITH as a subquery in FROM.");
	if (rte->rtekind != RTE_RELATION)
		refuse(config, "its key does not come from a table", "Take the key from the source's own columns.");
	if (rte->relid != config->root)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the key of the view \"%s\" does not come from the source \"%s\"",
						get_rel_name(config->view), get_rel_name(config->root)),
				 errdetail("Its columns are computed from \"%s\".", get_rel_name(rte->relid)),
				 errhint("Name the table that the key's columns belong to as the source, and the others with outbox.add_source().")));
}

static void
refuse(const OutboxContractConfig *config, const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("the view \"%s\" cannot be read by its key", get_rel_name(config->view)),
			 errdetail("At commit its rows are looked up by columns of the source \"%s\", but %s.",
					   get_rel_name(config->root), what),
			 errhint("%s", hint)));
}
