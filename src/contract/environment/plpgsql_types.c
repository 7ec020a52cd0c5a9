/*-------------------------------------------------------------------------
 *
 * plpgsql_types.c
 *	  Functions in PL/pgSQL that were compiled for somebody else.
 *
 * PL/pgSQL compiles a function at its first call in a session and keeps it. At that
 * time it looks up the types of the variables, under the present search_path. A
 * writer may call a helper of a view first, and so have it compiled with a type of
 * his own that has the same name and a check or a cast. A view's owner may do the
 * same with a function of the application that his view calls. The other side would
 * then run that code.
 *
 * The owner of a function is responsible for the types that it names. So while code
 * of users is evaluated, the code behind the types of a function's variables must
 * be allowed to run with the rights of the function's owner. Otherwise the function
 * is refused, and compiled again at the next call. A type without code may still be
 * the wrong one. A function with a type of another owner is used once, with all its
 * recursive calls, and is then compiled again, too.
 *
 * A debugger or profiler may be installed where PL/pgSQL reports its calls. It is
 * called as before: we take its place only during evaluations.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/pg_cast.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "plpgsql.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "compat.h"
#include "contract/environment/environment_private.h"
#include "contract/reach/reach.h"

/* A compiled function that was judged. */
typedef struct Verdict
{
	PLpgSQL_function *function; /* hash key; PL/pgSQL never frees the struct */
	TransactionId xmin;
	ItemPointerData tid;
	uint64 changes;
} Verdict;

static void **place = NULL; /* where PL/pgSQL looks for a plugin */
static PLpgSQL_plugin ours;
static PLpgSQL_plugin *theirs = NULL;
static bool in_theirs = false; /* a plugin that was loaded during an evaluation calls us in turn */
static HTAB *verdicts = NULL;
static List *used_once = NIL; /* of PLpgSQL_function *, to be compiled again when their use ends */
static uint64 changes = 0;    /* of types, functions and roles */

static void find_place(void);
static void catalog_changed(Datum arg, int cacheid, uint32 hashvalue);
static void relation_changed(Datum arg, Oid relation);
static void set_up(PLpgSQL_execstate *estate, PLpgSQL_function *function);
static void end(PLpgSQL_execstate *estate, PLpgSQL_function *function);
static void use_once(PLpgSQL_function *function);
static void compile_again(PLpgSQL_function *function);
static bool is_judged(const PLpgSQL_function *function);
static void note_judged(PLpgSQL_function *function, uint64 seen);
static void judge(PLpgSQL_function *function);
static bool is_argument(const PLpgSQL_function *function, int number);
static Oid type_of(const PLpgSQL_datum *variable);
static List *add_types(List *types, Oid type);
static List *add_attributes(List *types, Oid relation);
static bool may_cast(Oid owner, Oid type);
static bool is_trusted(Oid owner, Oid type);
OUTBOX_NORETURN static void refuse(const PLpgSQL_function *function, Oid owner, Oid type);

/*
 * From now on the types of the variables are judged of each function that is
 * called. Returns the argument of OutboxUnwatchPlpgsql().
 */
void *
OutboxWatchPlpgsql(void)
{
	void *caller;

	if (place == NULL)
		find_place();
	caller = *place;
	if (caller == &ours)
		return caller;
	theirs = caller;
	ours.func_beg = theirs ? theirs->func_beg : NULL;
	ours.stmt_beg = theirs ? theirs->stmt_beg : NULL;
	ours.stmt_end = theirs ? theirs->stmt_end : NULL;
	in_theirs = false;
	*place = &ours;
	return caller;
}

void
OutboxUnwatchPlpgsql(void *caller)
{
	/* unless a plugin was loaded meanwhile */
	if (*place == &ours)
		*place = caller;
	/* an error may have ended the use of these functions */
	for (int i = list_length(used_once) - 1; i >= 0; i--)
	{
		PLpgSQL_function *function = list_nth(used_once, i);

		if (OUTBOX_PLPGSQL_VERSION(function)->use_count == 0)
			compile_again(function);
	}
}

static void
find_place(void)
{
	HASHCTL control = {.keysize = sizeof(PLpgSQL_function *), .entrysize = sizeof(Verdict), .hcxt = TopMemoryContext};

	if (verdicts == NULL)
		verdicts = hash_create("outbox PL/pgSQL functions", 32, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	ours.func_setup = set_up;
	ours.func_end = end;
	CacheRegisterSyscacheCallback(TYPEOID, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(PROCOID, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(CASTSOURCETARGET, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, catalog_changed, (Datum) 0);
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	place = find_rendezvous_variable("PLpgSQL_plugin");
}

static void
catalog_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	changes++;
}

/* A relation changed: its row type may have new columns. */
static void
relation_changed(Datum arg, Oid relation)
{
	changes++;
}

/* PL/pgSQL calls this before it runs a function. Raises when the function is refused. */
static void
set_up(PLpgSQL_execstate *estate, PLpgSQL_function *function)
{
	if (OutboxEvaluatesForeignCode() && !is_judged(function))
		judge(function);
	if (theirs == NULL || theirs->func_setup == NULL || in_theirs)
		return;
	theirs->error_callback = ours.error_callback;
	theirs->assign_expr = ours.assign_expr;
	theirs->assign_value = ours.assign_value;
	theirs->eval_datum = ours.eval_datum;
	theirs->cast_value = ours.cast_value;
	in_theirs = true;
	theirs->func_setup(estate, function);
	in_theirs = false;
}

/* PL/pgSQL calls this after it has run a function. */
static void
end(PLpgSQL_execstate *estate, PLpgSQL_function *function)
{
	if (OUTBOX_PLPGSQL_VERSION(function)->use_count == 1 && list_member_ptr(used_once, function))
		compile_again(function);
	if (theirs == NULL || theirs->func_end == NULL || in_theirs)
		return;
	in_theirs = true;
	theirs->func_end(estate, function);
	in_theirs = false;
}

/*
 * Notes a function to be compiled again after its use. When a function changes
 * while it runs, PL/pgSQL compiles it again and never frees the former one. So a
 * recursive function stays as it is until its outermost call ends. If that call is
 * outside of the evaluation, the next call must not find the function.
 */
static void
use_once(PLpgSQL_function *function)
{
	MemoryContext caller;

	if (list_member_ptr(used_once, function))
		return;
	if (OUTBOX_PLPGSQL_VERSION(function)->use_count > 1)
	{
		OUTBOX_PLPGSQL_VERSION(function)->fn_xmin = InvalidTransactionId;
		return;
	}
	caller = MemoryContextSwitchTo(TopMemoryContext);
	used_once = lappend(used_once, function);
	MemoryContextSwitchTo(caller);
}

static void
compile_again(PLpgSQL_function *function)
{
	OUTBOX_PLPGSQL_VERSION(function)->fn_xmin = InvalidTransactionId;
	used_once = list_delete_ptr(used_once, function);
}

static bool
is_judged(const PLpgSQL_function *function)
{
	const Verdict *verdict = hash_search(verdicts, &function, HASH_FIND, NULL);

	return verdict && verdict->changes == changes && verdict->xmin == OUTBOX_PLPGSQL_VERSION(function)->fn_xmin &&
		ItemPointerEquals(unconstify(ItemPointerData *, &verdict->tid), unconstify(ItemPointerData *, &OUTBOX_PLPGSQL_VERSION(function)->fn_tid));
}

static void
note_judged(PLpgSQL_function *function, uint64 seen)
{
	Verdict *verdict = hash_search(verdicts, &function, HASH_ENTER, NULL);

	verdict->xmin = OUTBOX_PLPGSQL_VERSION(function)->fn_xmin;
	verdict->tid = OUTBOX_PLPGSQL_VERSION(function)->fn_tid;
	verdict->changes = seen;
}

static void
judge(PLpgSQL_function *function)
{
	uint64 seen = changes;
	Oid owner = GetUserId();
	bool as_owner;
	List *types = NIL;
	List *arguments = NIL;
	bool theirs_all = true;
	ListCell *lc;

	/* an anonymous block has no owner: it runs as the present user */
	(void) OutboxFunctionOwner(function->fn_oid, &owner, &as_owner);
	for (int i = 0; i < function->ndatums; i++)
	{
		if (is_argument(function, i))
			arguments = add_types(arguments, type_of(function->datums[i]));
		else
			types = add_types(types, type_of(function->datums[i]));
	}
	foreach (lc, types)
		theirs_all &= is_trusted(owner, lfirst_oid(lc));
	types = list_concat_unique_oid(types, arguments);
	foreach (lc, types)
	{
		CoerceViaIO *cast = makeNode(CoerceViaIO);

		cast->arg = (Expr *) makeNullConst(TEXTOID, -1, InvalidOid);
		cast->resulttype = lfirst_oid(lc);
		if (OutboxMayRunAll(owner, (Node *) cast) && may_cast(owner, lfirst_oid(lc)))
			continue;
		/* it is compiled again at the next call */
		OUTBOX_PLPGSQL_VERSION(function)->fn_xmin = InvalidTransactionId;
		refuse(function, owner, lfirst_oid(lc));
	}
	if (theirs_all)
		note_judged(function, seen);
	else
		use_once(function);
	list_free(types);
}

/* Does the variable's type come from the function's declaration? Then the search_path does not matter. */
static bool
is_argument(const PLpgSQL_function *function, int number)
{
	for (int i = 0; i < function->fn_nargs; i++)
	{
		if (function->fn_argvarnos[i] == number)
			return true;
	}
	return false;
}

static Oid
type_of(const PLpgSQL_datum *variable)
{
	switch (variable->dtype)
	{
		case PLPGSQL_DTYPE_VAR:
		case PLPGSQL_DTYPE_PROMISE:
			return ((const PLpgSQL_var *) variable)->datatype->typoid;
		case PLPGSQL_DTYPE_REC:
			return ((const PLpgSQL_rec *) variable)->rectypeid;
		default:
			return InvalidOid;
	}
}

/* The type and the types in it, without PostgreSQL's own. */
static List *
add_types(List *types, Oid type)
{
	if (type < FirstUnpinnedObjectId || list_member_oid(types, type))
		return types;
	types = lappend_oid(types, type);
	switch (get_typtype(type))
	{
		case TYPTYPE_DOMAIN:
			return add_types(types, getBaseType(type));
		case TYPTYPE_COMPOSITE:
			return add_attributes(types, get_typ_typrelid(type));
		default:
			return add_types(types, get_element_type(type));
	}
}

static List *
add_attributes(List *types, Oid relation)
{
	CatCList *attributes = SearchSysCacheList1(ATTNUM, ObjectIdGetDatum(relation));

	for (int i = 0; i < attributes->n_members; i++)
	{
		Form_pg_attribute attribute = (Form_pg_attribute) GETSTRUCT(&attributes->members[i]->tuple);

		if (attribute->attnum > 0 && !attribute->attisdropped)
			types = add_types(types, attribute->atttypid);
	}
	ReleaseSysCacheList(attributes);
	return types;
}

/* May the code of casts from and to the type run? An assignment casts to the variable's type, and a use of it to another one. */
static bool
may_cast(Oid owner, Oid type)
{
	Relation catalog = table_open(CastRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	bool result = true;
	HeapTuple tuple;

	while (result && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_cast cast = (Form_pg_cast) GETSTRUCT(tuple);

		if (cast->castsource == type || cast->casttarget == type)
			result = OutboxMayRun(owner, cast->castfunc);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

/* Does the type belong to a role whose functions may run with the owner's rights? */
static bool
is_trusted(Oid owner, Oid type)
{
	HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	Oid other = HeapTupleIsValid(tuple) ? ((Form_pg_type) GETSTRUCT(tuple))->typowner : InvalidOid;

	if (!HeapTupleIsValid(tuple))
		return false;
	ReleaseSysCache(tuple);
	return OutboxTrustsRole(owner, other);
}

static void
refuse(const PLpgSQL_function *function, Oid owner, Oid type)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("the function %s has a variable of the type %s, which runs code of another owner", function->fn_signature,
					format_type_extended(type, -1, FORMAT_TYPE_FORCE_QUALIFY)),
			 errdetail("PL/pgSQL looked up the type at the function's first call in this session, under the search_path of that call. The type's code would run with the rights of %s.",
					   quote_identifier(GetUserNameFromId(owner, true) ? GetUserNameFromId(owner, true) : "nobody")),
			 errhint("Write the type with its schema where the variable is declared, or set search_path of the function itself: ALTER FUNCTION ... SET search_path.")));
}
