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
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

#include "avro/outbox_avro.h"
#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/api/api_private.h"
#include "contract/compile/compile.h"
#include "contract/history/history.h"

static void pin_schemas(const OutboxContractConfig *config, List *types, bool lasting);
static void pin_schema(const OutboxContractConfig *config, const OutboxEventTypeConfig *type, const char *schema);

/*
 * Raises unless the caller may create triggers on the source and has the rights of
 * the view's owner: a contract is evaluated with these.
 */
void
OutboxCheckContractRights(Oid view, Oid source)
{
	Oid view_owner;

	if (get_rel_relkind(view) == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the contract's view does not exist"),
				 errdetail("It was dropped, or is detached."),
				 errhint("SELECT outbox.reattach() creates a detached view again; otherwise drop the contract and create it again in one transaction.")));
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

/* Raises unless the caller may create triggers on the source. */
void
OutboxCheckSourceRights(Oid source)
{
	if (pg_class_aclcheck(source, GetUserId(), ACL_TRIGGER) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for the source \"%s\"", get_rel_name(source)),
				 errdetail("A contract puts triggers on its source."),
				 errhint("Ask its owner to GRANT TRIGGER ON %s TO %s;", quote_identifier(get_rel_name(source)),
						 quote_identifier(GetUserNameFromId(GetUserId(), false)))));
}

/* The versions (of OutboxContractConfig *) whose numbers an int[] has; NULL: all that are not retired. */
List *
OutboxVersionsArg(FunctionCallInfo fcinfo, int arg, const OutboxContractConfig *config)
{
	List *versions = NIL;
	Datum *numbers;
	bool *nulls;
	int count;

	if (PG_NARGS() <= arg || PG_ARGISNULL(arg))
		return config->versions;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(arg), INT4OID, sizeof(int32), true, TYPALIGN_INT, &numbers, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("\"versions\" must not contain NULL")));
		versions = list_append_unique_ptr(versions, OutboxContractVersionGet(config, DatumGetInt32(numbers[i])));
	}
	if (versions == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"versions\" is empty"),
				 errhint("Leave it out for all versions.")));
	return versions;
}

/*
 * Pins the schemas of event types for the contract's present version. Raises when
 * consumers of what was published before would not get on with one of them, and when
 * a registry says that it would not take it (preflight.c). Uses SPI.
 */
void
OutboxPinSchemas(const OutboxContractConfig *config, List *types)
{
	pin_schemas(config, types, true);
}

static void
pin_schemas(const OutboxContractConfig *config, List *types, bool lasting)
{
	List *schemas = NIL;
	List *violations = NIL;
	ListCell *type;
	ListCell *schema;

	foreach (type, types)
	{
		char *draft = OutboxDraftSchema(config, lfirst(type));

		violations = list_concat(violations, OutboxHistoryViolations(config, lfirst(type), draft, OutboxCompatibility(config)));
		schemas = lappend(schemas, draft);
	}
	OutboxRefuseViolations(config, violations, lasting);
	OutboxPreflight(config, types, schemas);
	forboth (type, types, schema, schemas)
		pin_schema(config, lfirst(type), lfirst(schema));
}

/*
 * Pins the schemas of a contract, as its configuration and its views are now, as its
 * next version, which takes the place of the present one; of several that are
 * published, of each. Raises as OutboxPinSchemas. The configuration counts as of that
 * version then. Uses SPI.
 */
void
OutboxPinInstead(OutboxContractConfig *config)
{
	ListCell *lc;

	foreach (lc, config->versions)
	{
		OutboxContractConfig *version = lfirst(lc);

		if (version->state == OUTBOX_VERSION_ACTIVE)
			OutboxPinVersionInstead(version);
	}
}

/* The same for one active version. */
void
OutboxPinVersionInstead(OutboxContractConfig *version)
{
	List *types = NIL;
	ListCell *lc;

	OutboxSucceedVersion(version);
	foreach (lc, version->event_types)
	{
		if (!((OutboxEventTypeConfig *) lfirst(lc))->omitted)
			types = lappend(types, lfirst(lc));
	}
	pin_schemas(version, types, false);
}

static void
pin_schema(const OutboxContractConfig *config, const OutboxEventTypeConfig *type, const char *schema)
{
	const char *args[] = {psprintf("%d", type->id), config->name, type->name, psprintf("%d", config->version),
						  type->topic, type->ce_type, OutboxNamesToArray(type->previous), schema,
						  psprintf(INT64_FORMAT, (int64) OutboxAvroFingerprint(schema)), OutboxRecordName(config, type),
						  OutboxNamesToArray(config->key), OutboxNamesToArray(config->aggregate_id),
						  OutboxEmitName(type->emit), OutboxTombstoneName(type->tombstone)};

	(void) OutboxExecute("INSERT INTO outbox_internal.event_schema (event_type_id, contract, event_type, version, topic,"
						 " ce_type, previous, schema, fingerprint, record, key, aggregate_id, emit, tombstone)"
						 " VALUES ($1::int, $2, $3, $4::int, $5, $6, $7::text[], $8, $9::bigint, $10, $11::text[], $12::text[], $13, $14)",
						 lengthof(args), args);
}
