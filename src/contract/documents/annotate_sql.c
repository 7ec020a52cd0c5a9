/*-------------------------------------------------------------------------
 *
 * annotate_sql.c
 *	  SQL function outbox.annotate: what people say of contracts, event types, fields
 *	  and tables.
 *
 * A target is the name of a contract (order), one of its versions (order@2), an
 * event type (OrderPlaced), a field of one of the two (order.items.sku), or a table
 * or column (table:public.cust.email). Annotations are kept by name: they outlive a
 * contract that is dropped and created again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/api/api.h"
#include "contract/documents/documents.h"
#include "util/util.h"

#define TABLE_PREFIX "table:"

PG_FUNCTION_INFO_V1(outbox_annotate);

typedef struct AnnotationTarget
{
	const char *given;
	const char *kind;
	const char *object;
	const char *field; /* "": the object itself */
} AnnotationTarget;

static const char targets_query[] =
	"SELECT name FROM outbox_internal.contract UNION SELECT name FROM outbox_internal.event_type"
	" UNION SELECT format('%s@%s', c.name, v.version) FROM outbox_internal.contract c"
	" JOIN outbox_internal.contract_version v ON v.contract_id = c.id ORDER BY 1";

/* The fields of a contract, as views have them now and as schemas have pinned them; $2: of one event type. */
static const char fields_query[] =
	"SELECT DISTINCT regexp_replace(f.path, '[][{}]', '', 'g') FROM outbox_internal.contract c"
	" JOIN outbox_internal.contract_version v ON v.contract_id = c.id, outbox_internal.view_fields(v.view) f WHERE c.name = $1"
	" UNION SELECT DISTINCT regexp_replace(f.path, '[][{}]', '', 'g') FROM outbox_internal.event_schema s,"
	" outbox_internal.schema_fields(s.schema) f WHERE s.contract = $1 AND ($2 IS NULL OR s.event_type = $2) ORDER BY 1";

static void check_properties(Jsonb *properties);
static AnnotationTarget find_target(const char *given);
static AnnotationTarget find_table(const char *given);
OUTBOX_NORETURN static void refuse(const char *given, const char *name, List *rows, const char *prefix);

/*
 * annotate(target text, properties jsonb): a member that is null is taken away. Raises undefined_object,
 * invalid_parameter_value, insufficient_privilege, null_value_not_allowed, and invalid_name for a name that is none.
 */
Datum
outbox_annotate(PG_FUNCTION_ARGS)
{
	AnnotationTarget target;
	Jsonb *properties;
	const char *args[4];

	OutboxRequireVersion();
	target.given = OutboxRequiredTextArg(fcinfo, 0, "target");
	OutboxRequireArg(fcinfo, 1, "properties");
	properties = PG_GETARG_JSONB_P(1);
	check_properties(properties);
	target = strncmp(target.given, TABLE_PREFIX, strlen(TABLE_PREFIX)) == 0 ? find_table(target.given) : find_target(target.given);
	args[0] = target.kind;
	args[1] = target.object;
	args[2] = target.field;
	args[3] = JsonbToCString(NULL, &properties->root, VARSIZE(properties));
	(void) OutboxExecute("DELETE FROM outbox_internal.annotation WHERE kind = $1 AND object = $2 AND field = $3"
						 " AND key IN (SELECT key FROM jsonb_each($4::jsonb) WHERE value = 'null')",
						 lengthof(args), args);
	(void) OutboxExecute("INSERT INTO outbox_internal.annotation (kind, object, field, key, value)"
						 " SELECT $1, $2, $3, key, value FROM jsonb_each($4::jsonb) WHERE value <> 'null'"
						 " ON CONFLICT (kind, object, field, key) DO UPDATE SET value = excluded.value",
						 lengthof(args), args);
	PG_RETURN_VOID();
}

static bool
is_text_list(const JsonbValue *value)
{
	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		return false;
	for (uint32 i = 0; i < JsonContainerSize(value->val.binary.data); i++)
	{
		if (getIthJsonbValueFromContainer(value->val.binary.data, i)->type != jbvString)
			return false;
	}
	return true;
}

/* Keys are free; tags are read by the documents, so their form is not. */
static void
check_properties(Jsonb *properties)
{
	JsonbValue buffer;
	JsonbValue *tags;

	if (!JB_ROOT_IS_OBJECT(properties))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("properties are not a JSON object"),
				 errhint("Write them as {\"owner\": \"sales\", \"tags\": [\"PII\"]}; null takes a property away.")));
	tags = getKeyJsonValueFromContainer(&properties->root, "tags", strlen("tags"), &buffer);
	if (tags != NULL && tags->type != jbvNull && !is_text_list(tags))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("property \"tags\" is not an array of strings"),
				 errhint("Write it as {\"tags\": [\"PII\"]}.")));
}

/* Raises unless the caller may configure the contract. What is away cannot be asked for its rights. */
static void
check_rights(const char *contract)
{
	OutboxContractConfig *config = OutboxContractGet(contract);

	if (get_rel_relkind(config->view) != '\0' && get_rel_relkind(config->root) != '\0')
		OutboxCheckContractRights(config->view, config->root);
}

/* The rows of a query: is the name among their first columns? */
static bool
has_name(const List *rows, const char *name)
{
	ListCell *lc;

	foreach (lc, rows)
	{
		if (strcmp(((char **) lfirst(lc))[0], name) == 0)
			return true;
	}
	return false;
}

static AnnotationTarget
find_target(const char *given)
{
	AnnotationTarget target = {.given = given, .kind = "contract", .field = ""};
	List *names = OutboxExecuteRows(targets_query, 0, NULL);
	char *object = pstrdup(given);
	char *dot = strchr(object, '.');
	char *contract;
	const char *args[2] = {NULL, NULL};
	List *fields;

	if (dot != NULL)
		*dot = '\0';
	target.object = object;
	if (!has_name(names, object) || (dot != NULL && strchr(object, '@') != NULL))
		refuse(given, object, names, "");
	contract = pnstrdup(object, strcspn(object, "@"));
	if (strchr(object, '@') != NULL)
		target.kind = "version";
	else if (OutboxContractLoad(object) == NULL)
	{
		target.kind = "event_type";
		contract = OutboxEventTypeContract(object);
		args[1] = object;
	}
	check_rights(contract);
	if (dot == NULL)
		return target;
	target.field = OutboxExecute("SELECT regexp_replace($1, '[][{}]', '', 'g')", 1, (const char *[]){dot + 1});
	args[0] = contract;
	fields = OutboxExecuteRows(fields_query, lengthof(args), args);
	if (!has_name(fields, target.field))
		refuse(given, target.field, fields, psprintf("%s.", object));
	return target;
}

/* table:schema.table, or table:schema.table.column, quoted as in SQL; without a schema as search_path has it. */
static AnnotationTarget
find_table(const char *given)
{
	AnnotationTarget target = {.given = given, .kind = "table", .field = ""};
	List *names = OutboxQualifiedNameList(given + strlen(TABLE_PREFIX));
	Oid relation = list_length(names) < 3 ? RangeVarGetRelid(makeRangeVarFromNameList(names), NoLock, true) : InvalidOid;

	if (!OidIsValid(relation) && list_length(names) > 1)
	{
		target.field = strVal(llast(names));
		names = list_delete_last(names);
		relation = list_length(names) < 3 ? RangeVarGetRelid(makeRangeVarFromNameList(names), NoLock, true) : InvalidOid;
	}
	if (!OidIsValid(relation) || (target.field[0] != '\0' && get_attnum(relation, target.field) <= 0))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no \"%s\" to annotate", given),
				 OidIsValid(relation) ? errdetail("Table %s has no column \"%s\".", OutboxQualifiedName(relation), target.field) : 0,
				 errhint("Name a table or a column: table:public.cust.email.")));
	OutboxCheckSourceRights(relation);
	target.object = OutboxQualifiedName(relation);
	return target;
}

/* Names, by the rows of a query, what is like the name. */
static void
refuse(const char *given, const char *name, List *rows, const char *prefix)
{
	const char *nearest = NULL;
	int least = strlen(name) / 2 + 1;
	ListCell *lc;

	foreach (lc, rows)
	{
		const char *other = ((char **) lfirst(lc))[0];
		int distance;

		/* the server compares no longer texts */
		if (strlen(name) > 255 || strlen(other) > 255)
			continue;
		distance = varstr_levenshtein(name, strlen(name), other, strlen(other), 1, 1, 1, true);
		if (distance <= least)
		{
			least = distance;
			nearest = other;
		}
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("there is no \"%s\" to annotate", given),
			 nearest != NULL ? errhint("The name that is most like it is \"%s%s\".", prefix, nearest)
							 : errhint("Name a contract, a version (order@2), an event type, a field (order.items.sku) or a table (table:public.cust.email).")));
}
