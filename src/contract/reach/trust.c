/*-------------------------------------------------------------------------
 *
 * trust.c
 *	  Whose functions may run with the rights of a view's owner.
 *
 * The functions that a view calls run as the view's owner, in the transactions of
 * all writers. The owner of such a function can replace it, and so do everything
 * that the view's owner may. So the function must belong to the view's owner, to a
 * superuser, or to a role that the view's owner is a member of: he has its rights
 * already. A superuser's view runs superusers' functions only. A SECURITY DEFINER
 * function runs as its own owner and is always allowed.
 *
 * The check comes before anything is planned or evaluated: planning evaluates, and
 * even parsing does when the type of a literal has a check.
 *
 * Calls inside the body of a function are not seen. They run as the view's owner,
 * too: the owner of a function is responsible for what it calls.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_type.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/reach/reach_private.h"
#include "util/util.h"

/* A walk over the raw tree of a text. */
typedef struct TextWalk
{
	const OutboxRunner *runner;
	bool has_literal; /* there is a literal whose type is not written */
} TextWalk;

/* OIDs of the functions that were accepted in this session because they run as their own owners. */
static HTAB *definers = NULL;

static void note_definer(Oid function);
static bool may_not_run(Oid function, Node *node, void *role);
static bool check_function(Oid function, Node *node, void *runner);
OUTBOX_NORETURN static void refuse(const OutboxRunner *runner, Oid function);
OUTBOX_NORETURN static void refuse_unseen(const OutboxRunner *runner, Node *node);
static bool runs_unseen(Oid function, void *found);
static bool look_at_text(Node *node, void *walk);
static bool look_at_statement(Node *node, TextWalk *walk);
static bool is_container(Oid type);

/* Fills *runner for evaluation with the rights of a view's owner. `what` names the thing in errors. */
void
OutboxRunnerOfView(OutboxRunner *runner, Oid view, const char *what)
{
	runner->role = OutboxRelationOwner(view);
	runner->view = OutboxQualifiedName(view);
	runner->what = what;
}

/* May the function run with the role's rights? Also true of one that does not exist. */
bool
OutboxMayRun(Oid role, Oid function)
{
	Oid owner;
	bool as_owner;

	if (function < FirstNormalObjectId || !OutboxFunctionOwner(function, &owner, &as_owner))
		return true;
	if (OutboxTrustsRole(role, owner))
		return true;
	if (as_owner)
		note_definer(function);
	return as_owner;
}

static void
note_definer(Oid function)
{
	HASHCTL control = {.keysize = sizeof(Oid), .entrysize = sizeof(Oid), .hcxt = TopMemoryContext};

	if (definers == NULL)
		definers = hash_create("outbox SECURITY DEFINER functions", 32, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	(void) hash_search(definers, &function, HASH_ENTER, NULL);
}

/*
 * Was the function accepted in this session because it runs as its own owner? From
 * then on it must run so (definer.c).
 */
bool
OutboxTookForDefiner(Oid function)
{
	return definers && hash_search(definers, &function, HASH_FIND, NULL);
}

/* The owner of a function, and whether the function runs as its owner (SECURITY DEFINER). False: there is no such function. */
bool
OutboxFunctionOwner(Oid function, Oid *owner, bool *as_owner)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));

	if (!HeapTupleIsValid(tuple))
		return false;
	*owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	*as_owner = ((Form_pg_proc) GETSTRUCT(tuple))->prosecdef;
	ReleaseSysCache(tuple);
	return true;
}

/* May code of the owner run with the role's rights? */
bool
OutboxTrustsRole(Oid role, Oid owner)
{
	if (owner == role || superuser_arg(owner))
		return true;
	return !superuser_arg(role) && is_member_of_role_nosuper(role, owner);
}

/* May all functions behind the expression run with the role's rights? Takes no lock. */
bool
OutboxMayRunAll(Oid role, Node *expression)
{
	return !OutboxReachFunctions(expression, may_not_run, &role);
}

static bool
may_not_run(Oid function, Node *node, void *role)
{
	return !OidIsValid(function) || !OutboxMayRun(*(Oid *) role, function);
}

/* Raises for a function behind the expression, or list of expressions, that may not run with the runner's rights. */
void
OutboxCheckExpressionTrust(const OutboxRunner *runner, Node *expression)
{
	(void) OutboxReachFunctions(expression, check_function, unconstify(OutboxRunner *, runner));
}

/* Raises for such a function behind a query with its views expanded, or behind the expressions that planning evaluates. */
void
OutboxCheckQueryTrust(const OutboxRunner *runner, Query *query)
{
	(void) OutboxReachFunctionsPlanned(query, check_function, unconstify(OutboxRunner *, runner));
}

/* Raises for such a function that turns a value of the type into text. */
void
OutboxCheckOutputTrust(const OutboxRunner *runner, Oid type)
{
	(void) OutboxReachOutput(type, check_function, unconstify(OutboxRunner *, runner));
}

/* Raises for such a function that makes a value of the type from text: input functions, checks of domains. */
void
OutboxCheckInputTrust(const OutboxRunner *runner, Oid type)
{
	CoerceViaIO *cast = makeNode(CoerceViaIO);

	cast->arg = (Expr *) makeNullConst(TEXTOID, -1, InvalidOid);
	cast->resulttype = type;
	OutboxCheckExpressionTrust(runner, (Node *) cast);
}

/*
 * Raises for such a function that parsing an SQL text runs: input functions of the
 * types that the text names, and checks of domains inside arrays and rows. `raw` is
 * the parser's tree. A literal without a type may get the type of a column of `row`
 * (NULL: there are no columns).
 */
void
OutboxCheckTextTrust(const OutboxRunner *runner, Node *raw, TupleDesc row)
{
	TextWalk walk = {.runner = runner};

	(void) look_at_text(raw, &walk);
	for (int i = 0; row && walk.has_literal && i < row->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(row, i);

		if (!attribute->attisdropped && is_container(attribute->atttypid))
			OutboxCheckInputTrust(runner, attribute->atttypid);
	}
}

static bool
check_function(Oid function, Node *node, void *arg)
{
	const OutboxRunner *runner = arg;

	if (!OidIsValid(function))
		refuse_unseen(runner, node);
	if (!OutboxMayRun(runner->role, function))
		refuse(runner, function);
	return false;
}

/* Refuses code whose owner nobody can tell, now or later. */
static void
refuse_unseen(const OutboxRunner *runner, Node *node)
{
	Oid function = InvalidOid;

	if (node && check_functions_in_node(node, runs_unseen, &function))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("%s calls the function %s, which runs code that cannot be told from the call", runner->what,
						format_procedure_qualified(function)),
				 errdetail("It runs a query, or reads a table or type, that only a value names. These may call functions of any owner."),
				 errhint("Write the query, the table or the type itself, for example in a subquery or a cast.")));
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("%s uses a record whose fields have unknown types", runner->what),
			 errdetail("Printing, reading or comparing it may call functions of any owner."),
			 errhint("Call the function that returns it in FROM, with a column definition list, or declare its columns as OUT parameters.")));
}

static bool
runs_unseen(Oid function, void *found)
{
	*(Oid *) found = function;
	return OutboxRunsUnseen(function);
}

static void
refuse(const OutboxRunner *runner, Oid function)
{
	char *name = format_procedure_qualified(function);
	const char *role = quote_identifier(GetUserNameFromId(runner->role, false));
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid function_owner = HeapTupleIsValid(tuple) ? ((Form_pg_proc) GETSTRUCT(tuple))->proowner : InvalidOid;
	const char *owner = quote_identifier(GetUserNameFromId(function_owner, false));
	char *remedy;

	if (runner->view == NULL)
		remedy = psprintf("ALTER FUNCTION %s OWNER TO %s; or create the view by hand.", name, role);
	else if (superuser_arg(runner->role))
		remedy = psprintf("ALTER VIEW %s OWNER TO %s; or ALTER FUNCTION %s OWNER TO %s;", runner->view, owner, name, role);
	else
		remedy = psprintf("GRANT %s TO %s; or ALTER FUNCTION %s OWNER TO %s;", owner, role, name, role);
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("%s calls the function %s of another owner", runner->what, name),
			 errdetail("It would run with the rights of %s, the owner of the view. Its own owner %s could make it do whatever %s may.", role, owner, role),
			 errhint("%s", remedy)));
}

static bool
look_at_text(Node *node, void *arg)
{
	TextWalk *walk = arg;

	if (node == NULL)
		return false;
	if (IsA(node, TypeCast))
	{
		Type type = LookupTypeName(NULL, ((TypeCast *) node)->typeName, NULL, true);

		if (type)
		{
			OutboxCheckInputTrust(walk->runner, typeTypeId(type));
			ReleaseSysCache(type);
		}
	}
	if (IsA(node, A_Const) && IsA(&((A_Const *) node)->val, String))
		walk->has_literal = true;
	if (IsA(node, RawStmt))
		return look_at_text(((RawStmt *) node)->stmt, walk);
	return look_at_statement(node, walk) || raw_expression_tree_walker(node, look_at_text, walk);
}

/* Looks at statements that the server's walker does not know. True: the statement needs no other walk. */
static bool
look_at_statement(Node *node, TextWalk *walk)
{
	ListCell *lc;

	switch (nodeTag(node))
	{
		case T_ViewStmt:
			(void) look_at_text(((ViewStmt *) node)->query, walk);
			return true;
		case T_RuleStmt:
			(void) look_at_text(((RuleStmt *) node)->whereClause, walk);
			(void) look_at_text((Node *) ((RuleStmt *) node)->actions, walk);
			return true;
		case T_CreateTrigStmt:
			(void) look_at_text(((CreateTrigStmt *) node)->whenClause, walk);
			return true;
		case T_AlterTableStmt:
			foreach (lc, ((AlterTableStmt *) node)->cmds)
			{
				if (lfirst_node(AlterTableCmd, lc)->subtype == AT_ColumnDefault)
					(void) look_at_text(lfirst_node(AlterTableCmd, lc)->def, walk);
			}
			return true;
		case T_NotifyStmt:
		case T_GrantStmt:
		case T_CommentStmt:
		case T_SecLabelStmt:
		case T_RenameStmt:
			return true;
		default:
			return false;
	}
}

/* Do functions of users make a literal of the type: input functions or checks? */
static bool
is_container(Oid type)
{
	Oid base = getBaseType(type);

	return type >= FirstNormalObjectId &&
		(OidIsValid(get_element_type(base)) || type_is_rowtype(base) || type_is_range(base) || type_is_multirange(base));
}
