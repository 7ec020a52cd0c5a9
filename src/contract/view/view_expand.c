/*-------------------------------------------------------------------------
 *
 * view_expand.c
 *	  A contract's view as expressions over the columns of its root table.
 *
 * A view that only reads one table, directly or through further views, is a
 * list of expressions and a WHERE clause. Substituting the inner view's
 * expressions for the outer view's columns gives expressions over the table
 * alone, which capture evaluates on the trigger's tuple without a query.
 *
 * The executor's permission and row security checks do not run then, so the
 * same checks are made here from the views' own permission records.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/view/view_private.h"
#include "util/util.h"

static bool expand_query(OutboxViewExpansion *expansion, Query *query, List **columns, Node **qual);
static bool expand_relation(OutboxViewExpansion *expansion, Query *query, RangeTblEntry *rte,
							List **columns, Node **qual);
static bool expand_view(OutboxViewExpansion *expansion, Relation rel, List **columns, Node **qual);
static const char *query_blocker(const Query *query);
static const char *root_blocker(Relation rel, const RangeTblEntry *rte);
static bool resolve_root_vars(OutboxViewExpansion *expansion, Node **node, int varno);
static Node *replace_tableoid(Node *node, void *root);
static bool find_bad_root_var(Node *node, void *context);
static Node *and_quals(Node *inner, Node *outer);
static void remember_access(OutboxViewExpansion *expansion, Query *query, RangeTblEntry *rte);
static void report_unreadable(Oid view, const OutboxViewAccess *access);

/*
 * Expands the view (locking it and what it reads in AccessShareLock until the
 * end of the transaction). Never raises for a construct that rules evaluation
 * per row out: blocker names the first one found and the rest is unset.
 * Raises when the relation is not a view.
 */
OutboxViewExpansion *
OutboxExpandView(Oid view)
{
	OutboxViewExpansion *expansion = palloc0(sizeof(OutboxViewExpansion));
	Relation rel = OutboxOpenWithoutWait(view);

	if (rel->rd_rel->relkind != RELKIND_VIEW)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a view", RelationGetRelationName(rel)),
				 errhint("A contract is a view: CREATE VIEW it in canonical names and types first.")));
	expansion->view = view;
	if (expand_view(expansion, rel, &expansion->columns, &expansion->qual))
	{
		pull_varattnos((Node *) expansion->columns, OUTBOX_ROOT_VARNO, &expansion->root_columns);
		pull_varattnos(expansion->qual, OUTBOX_ROOT_VARNO, &expansion->root_columns);
	}
	relation_close(rel, NoLock);
	return expansion;
}

/*
 * Raises when the owner of one of the views may not read what its view reads, or
 * when row level security applies to the owner. `access` is of OutboxViewAccess *.
 * Evaluation per row bypasses the executor's own checks.
 */
void
OutboxCheckViewAccess(const List *accesses, Oid view)
{
	ListCell *lc;

	foreach (lc, accesses)
	{
		OutboxViewAccess *access = lfirst(lc);
		int column = -1;
		bool all = pg_class_aclcheck(access->relation, access->role, ACL_SELECT) == ACLCHECK_OK;

		while (!all && (column = bms_next_member(access->columns, column)) >= 0)
		{
			AttrNumber attno = column + FirstLowInvalidHeapAttributeNumber;

			if (attno == InvalidAttrNumber ||
				pg_attribute_aclcheck(access->relation, attno, access->role, ACL_SELECT) != ACLCHECK_OK)
				report_unreadable(view, access);
		}
		if (check_enable_rls(access->relation, access->role, true) == RLS_ENABLED)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("row level security of \"%s\" applies to role \"%s\"",
							get_rel_name(access->relation), GetUserNameFromId(access->role, false)),
					 errdetail("Contracts see every row of their source; a policy would hide some."),
					 errhint("Let the owner of the table, or a role with BYPASSRLS, own the view \"%s\".",
							 get_rel_name(view))));
	}
}

static void
report_unreadable(Oid view, const OutboxViewAccess *access)
{
	const char *role = GetUserNameFromId(access->role, false);

	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("role \"%s\" may not read \"%s\"", role, get_rel_name(access->relation)),
			 errdetail("The contract's view \"%s\" is evaluated with the rights of the views' owners.",
					   get_rel_name(view)),
			 errhint("GRANT SELECT ON %s TO %s;",
					 OutboxQualifiedName(access->relation), quote_identifier(role))));
}

/* Expands the query of a view. False: `blocker` is set. */
static bool
expand_view(OutboxViewExpansion *expansion, Relation rel, List **columns, Node **qual)
{
	check_stack_depth();
	expansion->relations = list_append_unique_oid(expansion->relations, RelationGetRelid(rel));
	if (RelationHasSecurityInvoker(rel))
	{
		expansion->blocker = psprintf("the option security_invoker of the view \"%s\"", RelationGetRelationName(rel));
		return false;
	}
	return expand_query(expansion, copyObject(get_view_query(rel)), columns, qual);
}

static bool
expand_query(OutboxViewExpansion *expansion, Query *query, List **columns, Node **qual)
{
	const char *blocker = query_blocker(query);
	RangeTblEntry *rte;
	int varno;
	List *inner_columns = NIL;
	Node *inner_qual = NULL;
	ListCell *lc;

	if (blocker)
	{
		expansion->blocker = pstrdup(blocker);
		return false;
	}
	varno = linitial_node(RangeTblRef, query->jointree->fromlist)->rtindex;
	rte = rt_fetch(varno, query->rtable);

	if (rte->rtekind == RTE_SUBQUERY)
	{
		if (!expand_query(expansion, rte->subquery, &inner_columns, &inner_qual))
			return false;
	}
	else if (!expand_relation(expansion, query, rte, &inner_columns, &inner_qual))
		return false;

	*columns = NIL;
	foreach (lc, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);

		if (!entry->resjunk)
			*columns = lappend(*columns, entry);
	}
	*qual = query->jointree->quals;
	if (inner_columns == NIL) /* the root itself */
		return resolve_root_vars(expansion, (Node **) columns, varno) &&
			resolve_root_vars(expansion, qual, varno);

	*columns = (List *) OutboxReplaceVars((Node *) *columns, varno, rte, inner_columns);
	*qual = and_quals(inner_qual, *qual ? OutboxReplaceVars(*qual, varno, rte, inner_columns) : NULL);
	return true;
}

/* Expands the relation that a view reads: a table, and then `columns` stays NIL, or a further view. */
static bool
expand_relation(OutboxViewExpansion *expansion, Query *query, RangeTblEntry *rte,
				List **columns, Node **qual)
{
	Relation rel = OutboxOpenWithoutWait(rte->relid);
	bool ok = true;

	remember_access(expansion, query, rte);
	if (rel->rd_rel->relkind == RELKIND_VIEW)
		ok = expand_view(expansion, rel, columns, qual);
	else
	{
		const char *blocker = root_blocker(rel, rte);

		if (blocker)
		{
			expansion->blocker = psprintf("%s \"%s\"", blocker, RelationGetRelationName(rel));
			ok = false;
		}
		expansion->root = rte->relid;
		expansion->relations = list_append_unique_oid(expansion->relations, rte->relid);
	}
	relation_close(rel, NoLock);
	return ok;
}

/* The construct for which one row of one table is not enough, or NULL. */
static const char *
query_blocker(const Query *query)
{
	if (query->setOperations)
		return "a set operation (UNION, INTERSECT, EXCEPT)";
	if (query->cteList)
		return "WITH";
	if (query->hasSubLinks)
		return "a subquery";
	if (query->hasAggs || query->groupClause || query->groupingSets || query->havingQual)
		return "aggregation";
	if (query->hasWindowFuncs)
		return "a window function";
	if (query->hasTargetSRFs)
		return "a set-returning function";
	if (query->distinctClause)
		return "DISTINCT";
	if (query->limitCount || query->limitOffset)
		return "LIMIT";
	if (query->rowMarks)
		return "FOR UPDATE";
	if (list_length(query->jointree->fromlist) == 0)
		return "a query without FROM";
	if (list_length(query->jointree->fromlist) > 1 || !IsA(linitial(query->jointree->fromlist), RangeTblRef))
		return "a join";
	switch (rt_fetch(linitial_node(RangeTblRef, query->jointree->fromlist)->rtindex, query->rtable)->rtekind)
	{
		case RTE_RELATION:
		case RTE_SUBQUERY:
			return NULL;
		case RTE_FUNCTION:
		case RTE_TABLEFUNC:
			return "a function in FROM";
		default:
			return "something else than a table in FROM";
	}
}

/* What kind of table cannot be the root, or NULL. */
static const char *
root_blocker(Relation rel, const RangeTblEntry *rte)
{
	if (rte->tablesample)
		return "TABLESAMPLE of";
	switch (rel->rd_rel->relkind)
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
			return NULL;
		case RELKIND_FOREIGN_TABLE:
			return "the foreign table";
		case RELKIND_MATVIEW:
			return "the materialized view";
		default:
			return "the relation";
	}
}

/* Renumbers the root's Vars. Refuses those whose value is not in a tuple alone. */
static bool
resolve_root_vars(OutboxViewExpansion *expansion, Node **node, int varno)
{
	if (*node == NULL)
		return true;
	ChangeVarNodes(*node, varno, OUTBOX_ROOT_VARNO, 0);
	/* a row of a partitioned table has the tableoid of its partition */
	if (get_rel_relkind(expansion->root) != RELKIND_PARTITIONED_TABLE)
		*node = replace_tableoid(*node, &expansion->root);
	return !find_bad_root_var(*node, expansion);
}

static Node *
replace_tableoid(Node *node, void *root)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varattno == TableOidAttributeNumber)
		return (Node *) makeConst(OIDOID, -1, InvalidOid, sizeof(Oid),
								  ObjectIdGetDatum(*(Oid *) root), false, true);
	return expression_tree_mutator(node, replace_tableoid, root);
}

static bool
find_bad_root_var(Node *node, void *context)
{
	OutboxViewExpansion *expansion = context;

	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var *var = (Var *) node;

		if (var->varattno == InvalidAttrNumber)
			expansion->blocker = psprintf("a whole-row reference to \"%s\"", get_rel_name(expansion->root));
		else if (var->varattno < 0)
			expansion->blocker = psprintf("the system column \"%s\"",
										  get_attname(expansion->root, var->varattno, false));
		else if (OutboxAttributeIsVirtual(expansion->root, var->varattno))
			expansion->blocker = psprintf("the virtual generated column \"%s\"",
										  get_attname(expansion->root, var->varattno, false));
		return expansion->blocker != NULL;
	}
	return expression_tree_walker(node, find_bad_root_var, context);
}

/* Joins two WHERE clauses. The inner view's is evaluated first. */
static Node *
and_quals(Node *inner, Node *outer)
{
	if (inner == NULL)
		return outer;
	if (outer == NULL)
		return inner;
	return (Node *) makeBoolExpr(AND_EXPR, list_make2(inner, outer), -1);
}

static void
remember_access(OutboxViewExpansion *expansion, Query *query, RangeTblEntry *rte)
{
	OutboxViewAccess *access = palloc0(sizeof(OutboxViewAccess));

	access->relation = rte->relid;
	OutboxGetSelectAccess(query, rte, &access->role, &access->columns);
	if (!OidIsValid(access->role))
		access->role = GetUserId();
	expansion->access = lappend(expansion->access, access);
}
