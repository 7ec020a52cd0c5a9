/*-------------------------------------------------------------------------
 *
 * arguments.c
 *	  Arguments of the SQL functions, and lists of names.
 *
 * No function is strict: a NULL without a meaning is an error that names the
 * argument, not a NULL result that explains nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "storage/lockdefs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

#include "catalog/catalog_private.h"
#include "compat.h"

static Oid find_relation(const char *argument, const char *name, LOCKMODE lock);

/* Raises null_value_not_allowed, naming the argument, when it is NULL. */
void
OutboxRequireArg(FunctionCallInfo fcinfo, int arg, const char *argument)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", argument),
				 errhint("Pass a value for \"%s\".", argument)));
}

/* A text argument, palloc'd; NULL for SQL NULL. */
char *
OutboxTextArg(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

/* A text argument, palloc'd; raises, naming the argument, when it is NULL. */
char *
OutboxRequiredTextArg(FunctionCallInfo fcinfo, int arg, const char *argument)
{
	OutboxRequireArg(fcinfo, arg, argument);
	return OutboxTextArg(fcinfo, arg);
}

/* or_replace, which is the last argument wherever there is one. */
bool
OutboxOrReplaceArg(FunctionCallInfo fcinfo)
{
	int last = PG_NARGS() - 1;

	return !PG_ARGISNULL(last) && PG_GETARG_BOOL(last);
}

/* The elements of a text[] argument, NIL for SQL NULL. */
List *
OutboxNameListArg(FunctionCallInfo fcinfo, int arg, const char *argument)
{
	return PG_ARGISNULL(arg) ? NIL : OutboxNameList(PG_GETARG_DATUM(arg), argument);
}

/* A list of names as the text of a text[] value. */
char *
OutboxNamesToArray(const List *names)
{
	Datum *elements = palloc(sizeof(Datum) * Max(list_length(names), 1));
	ArrayType *array;
	int count = 0;
	ListCell *lc;
	Oid output;
	bool is_varlena;

	foreach (lc, names)
		elements[count++] = CStringGetTextDatum(lfirst(lc));
	array = construct_array(elements, count, TEXTOID, -1, false, TYPALIGN_INT);
	getTypeOutputInfo(TEXTARRAYOID, &output, &is_varlena);
	return OidOutputFunctionCall(output, PointerGetDatum(array));
}

/* Raises unless the name is [A-Za-z_][A-Za-z0-9_]* of at most max_bytes. `kind` is "contract", "event type", ... */
void
OutboxCheckName(const char *kind, const char *name, int max_bytes)
{
	bool valid = name[0] != '\0' && !(name[0] >= '0' && name[0] <= '9');

	for (const char *c = name; *c; c++)
		valid &= (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '_';
	if (!valid)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("invalid %s name \"%s\"", kind, name),
				 errdetail("Names become Avro names, topics and trigger names."),
				 errhint("Use letters, digits and underscores, not starting with a digit.")));
	if (strlen(name) > max_bytes)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("%s name \"%s\" is too long", kind, name),
				 errdetail("It has %zu bytes; at most %d are allowed.", strlen(name), max_bytes),
				 errhint("Choose a shorter name.")));
}

/* The relation of a possibly qualified name as the caller's search_path has it, locked; raises, naming `argument`. */
Oid
OutboxResolveRelation(const char *argument, const char *name)
{
	return find_relation(argument, name, AccessShareLock);
}

/* The same, not locked. */
Oid
OutboxFindRelation(const char *argument, const char *name)
{
	return find_relation(argument, name, NoLock);
}

static Oid
find_relation(const char *argument, const char *name, LOCKMODE lock)
{
	RangeVar *range = makeRangeVarFromNameList(OutboxQualifiedNameList(name));
	Oid relation = RangeVarGetRelid(range, lock, true);

	if (!OidIsValid(relation))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the %s \"%s\" does not exist", argument, name),
				 errhint("Qualify the name with its schema, or set search_path.")));
	return relation;
}

/* Is this a member of a list of names? */
bool
OutboxNameListMember(const List *names, const char *name)
{
	ListCell *lc;

	foreach (lc, names)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return true;
	}
	return false;
}

/* A text[] without NULLs as a list of char *; raises, naming `argument`, for anything else. */
List *
OutboxNameList(Datum array, const char *argument)
{
	ArrayType *arr = DatumGetArrayTypeP(array);
	Datum *elements;
	bool *nulls;
	int count;
	List *names = NIL;

	if (ARR_NDIM(arr) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("\"%s\" must be a one-dimensional array of column names", argument)));
	deconstruct_array(arr, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("\"%s\" must not contain NULL", argument)));
		names = lappend(names, TextDatumGetCString(elements[i]));
	}
	return names;
}
