/*-------------------------------------------------------------------------
 *
 * sql_function.c
 *	  Functions in SQL that the planner does not replace by their bodies.
 *
 * PostgreSQL inlines a function that is one SELECT of one expression, unless its
 * declaration promises more than its body: IMMUTABLE although it calls a STABLE
 * function, STRICT although the body is not, SECURITY DEFINER, SET. The declaration
 * is in the catalog, so the hint can be the statement that changes it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "lib/stringinfo.h"
#include "nodes/nodeFuncs.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "contract/view/view_private.h"

static bool is_sql_function(Oid function, void *found);
static bool sql_function_walker(Node *node, void *found);
static char *other_declaration(HeapTuple tuple);

/* A function in SQL that the planner has not inlined, or InvalidOid. It would cost 10 µs per row. */
Oid
OutboxFindSqlFunction(Node *planned)
{
	Oid found = InvalidOid;

	(void) sql_function_walker(planned, &found);
	return found;
}

/* The hint how to get the function inlined, palloc'd. */
char *
OutboxInlineHint(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	char *declaration;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	declaration = other_declaration(tuple);
	ReleaseSysCache(tuple);
	if (declaration)
		return psprintf("ALTER FUNCTION %s%s; That helps if the body is one SELECT of one expression. Otherwise write the expression into the view.",
						format_procedure_qualified(function), declaration);
	return pstrdup("Write the expression into the view. Or make the function one SELECT of one expression that uses each argument once.");
}

static bool
sql_function_walker(Node *node, void *found)
{
	if (node == NULL)
		return false;
	if (check_functions_in_node(node, is_sql_function, found))
		return true;
	return expression_tree_walker(node, sql_function_walker, found);
}

static bool
is_sql_function(Oid function, void *found)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	result = ((Form_pg_proc) GETSTRUCT(tuple))->prolang == SQLlanguageId;
	ReleaseSysCache(tuple);
	if (result)
		*(Oid *) found = function;
	return result;
}

/* The options of ALTER FUNCTION that remove what prevents inlining; NULL: the declaration does not prevent it. */
static char *
other_declaration(HeapTuple tuple)
{
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);
	StringInfoData options;

	initStringInfo(&options);
	if (form->oid < FirstNormalObjectId)
		return NULL;
	if (form->provolatile == PROVOLATILE_IMMUTABLE)
		appendStringInfoString(&options, " STABLE");
	if (form->proisstrict)
		appendStringInfoString(&options, " CALLED ON NULL INPUT");
	if (form->prosecdef)
		appendStringInfoString(&options, " SECURITY INVOKER");
	if (!heap_attisnull(tuple, Anum_pg_proc_proconfig, NULL))
		appendStringInfoString(&options, " RESET ALL");
	return options.len ? options.data : NULL;
}
