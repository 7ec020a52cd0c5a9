/*-------------------------------------------------------------------------
 *
 * contract_api.c
 *	  What the SQL functions on contracts share.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

#include "avro/outbox_avro.h"
#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/api/contract_api.h"
#include "contract/compile/compile.h"

static List *copy_rows(MemoryContext context);

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

Oid
OutboxResolveRelation(const char *argument, const char *name)
{
	RangeVar *range = makeRangeVarFromNameList(OutboxQualifiedNameList(name));
	Oid relation = RangeVarGetRelid(range, AccessShareLock, true);

	if (!OidIsValid(relation))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the %s \"%s\" does not exist", argument, name),
				 errhint("Qualify the name with its schema, or set search_path.")));
	return relation;
}

void
OutboxCheckContractRights(Oid view, Oid source)
{
	Oid view_owner;

	if (get_rel_relkind(view) == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the contract's view does not exist"),
				 errdetail("It was dropped, or is detached."),
				 errhint("SELECT outbox.reattach() creates what outbox.detach() dropped; otherwise drop the contract and create it again in one transaction.")));
	view_owner = OutboxRelationOwner(view);
	OutboxCheckSourceRights(source);
	if (!has_privs_of_role(GetUserId(), view_owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must have the rights of role \"%s\", the owner of the view \"%s\"",
						GetUserNameFromId(view_owner, false), get_rel_name(view)),
				 errdetail("A contract is evaluated with the rights of its view's owner."),
				 errhint("Become a member of that role, or own the view.")));
}

void
OutboxCheckSourceRights(Oid source)
{
	if (pg_class_aclcheck(source, GetUserId(), ACL_TRIGGER) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for the source \"%s\"", get_rel_name(source)),
				 errdetail("A contract puts triggers on its source."),
				 errhint("Ask its owner to GRANT TRIGGER ON %s TO %s.", quote_identifier(get_rel_name(source)),
						 quote_identifier(GetUserNameFromId(GetUserId(), false)))));
}

void
OutboxPinSchema(const OutboxContractConfig *config, OutboxEventTypeConfig *type)
{
	char *schema = OutboxDraftSchema(config, type);
	const char *args[] = {psprintf("%d", type->id), config->name, type->name, psprintf("%d", config->version),
						  type->topic, type->ce_type, OutboxNamesToArray(type->previous), schema,
						  psprintf(INT64_FORMAT, (int64) OutboxAvroFingerprint(schema))};

	(void) OutboxExecute("INSERT INTO outbox_internal.event_schema (event_type_id, contract, event_type, version, topic,"
						 " ce_type, previous, schema, fingerprint)"
						 " VALUES ($1::int, $2, $3, $4::int, $5, $6, $7::text[], $8, $9::bigint)",
						 lengthof(args), args);
}

char *
OutboxExecute(const char *query, int nargs, const char *const *args)
{
	List *rows = OutboxExecuteRows(query, nargs, args);
	char **row = rows ? linitial(rows) : NULL;

	return row ? row[0] : NULL;
}

List *
OutboxExecuteRows(const char *query, int nargs, const char *const *args)
{
	MemoryContext caller = CurrentMemoryContext;
	Oid *types = palloc(sizeof(Oid) * Max(nargs, 1));
	Datum *values = palloc0(sizeof(Datum) * Max(nargs, 1));
	char *nulls = palloc(nargs + 1);
	List *rows = NIL;
	OutboxOwnerScope scope;
	int rc;

	for (int i = 0; i < nargs; i++)
	{
		types[i] = TEXTOID;
		nulls[i] = args[i] ? ' ' : 'n';
		if (args[i])
			values[i] = CStringGetTextDatum(args[i]);
	}
	OutboxApiBegin(&scope);
	SPI_connect();
	rc = SPI_execute_with_args(query, nargs, types, values, nulls, false, 0);
	if (rc < 0)
		elog(ERROR, "SPI_execute_with_args failed: %s", SPI_result_code_string(rc));
	if (SPI_tuptable)
		rows = copy_rows(caller);
	SPI_finish();
	OutboxOwnerEnd(&scope);
	return rows;
}

/* SPI's result as texts that outlive it. */
static List *
copy_rows(MemoryContext context)
{
	MemoryContext spi = MemoryContextSwitchTo(context);
	int ncolumns = SPI_tuptable->tupdesc->natts;
	List *rows = NIL;

	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char **row = palloc(sizeof(char *) * ncolumns);

		for (int column = 0; column < ncolumns; column++)
			row[column] = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, column + 1);
		rows = lappend(rows, row);
	}
	MemoryContextSwitchTo(spi);
	return rows;
}

OutboxContractConfig *
OutboxContractArg(FunctionCallInfo fcinfo, int arg, const char *argument)
{
	/* before anything of ours is read: tables of another version may look different */
	OutboxRequireVersion();
	return OutboxContractGet(OutboxRequiredTextArg(fcinfo, arg, argument));
}

char *
OutboxEventTypeContract(const char *event_type)
{
	return OutboxExecute("SELECT c.name FROM outbox_internal.event_type e JOIN outbox_internal.contract c ON c.id = e.contract_id"
						 " WHERE e.name = $1",
						 1, &event_type);
}

List *
OutboxNameListArg(FunctionCallInfo fcinfo, int arg, const char *argument)
{
	return PG_ARGISNULL(arg) ? NIL : OutboxNameList(PG_GETARG_DATUM(arg), argument);
}

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
