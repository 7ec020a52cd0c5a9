/*-------------------------------------------------------------------------
 *
 * contract_sql.c
 *	  outbox.create_contract() and outbox.drop_contract().
 *
 * Creation proves all that capture relies on. So a mistake is an error of the
 * migration that makes it, and not a dead letter at night.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/dependency.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "avro/outbox_avro.h"
#include "catalog/outbox_catalog.h"
#include "contract/api/api_private.h"
#include "contract/compile/compile.h"
#include "contract/history/history.h"
#include "contract/keys/keys.h"
#include "contract/prove/prove.h"
#include "contract/view/view.h"
#include "guc.h"
#include "util/util.h"

PG_FUNCTION_INFO_V1(outbox_create_contract);
PG_FUNCTION_INFO_V1(outbox_drop_contract);

/* The arguments of create_contract, resolved. */
typedef struct NewContract
{
	OutboxContractConfig config;
	const char *evaluate;
	const char *on_invalid;
	const char *on_truncate;
	List *key_columns; /* the source's */
} NewContract;

/* The relation of a name, locked or not. */
typedef Oid (*RelationFinder)(const char *argument, const char *name);

static void read_arguments(FunctionCallInfo fcinfo, RelationFinder find, NewContract *contract);
static void replace_contract(OutboxContractConfig *existing, const NewContract *new);
static void refuse_another(const OutboxContractConfig *existing, const NewContract *new);
static char *default_namespace(const char *contract);
static void insert_contract(const NewContract *contract);

/*
 * create_contract(name, view, source, key, required, aggregate_type, aggregate_id, evaluate, on_invalid, on_truncate)
 */
Datum
outbox_create_contract(PG_FUNCTION_ARGS)
{
	NewContract contract = {0};
	OutboxContractConfig *config = &contract.config;
	OutboxContractConfig *existing;

	OutboxRequireVersion();
	existing = OutboxOrReplaceArg(fcinfo) ? OutboxContractLoad(OutboxRequiredTextArg(fcinfo, 0, "name")) : NULL;
	read_arguments(fcinfo, existing ? OutboxFindRelation : OutboxResolveRelation, &contract);
	if (existing)
	{
		replace_contract(existing, &contract);
		PG_RETURN_VOID();
	}
	OutboxCheckSource(config->root);
	OutboxCheckContractRights(config->view, config->root);
	if (OutboxContractLoad(config->name))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("contract \"%s\" already exists", config->name),
				 errhint("Choose another name; or, with or_replace => true, the call changes it as outbox.alter_contract() does.")));
	OutboxCheckContractView(config, &contract.evaluate, &contract.key_columns);
	insert_contract(&contract);
	OutboxNoteDerivedKey(config);
	PG_RETURN_VOID();
}

/* Makes a contract what the call says. Nothing is locked nor written where it is that already. */
static void
replace_contract(OutboxContractConfig *existing, const NewContract *new)
{
	const OutboxContractConfig *config = &new->config;
	OutboxContractChange change = {config->required, new->on_invalid, new->on_truncate, config->compatibility};

	OutboxCheckContractRights(existing->view, existing->root);
	OutboxCheckViewOwnerUnchanged(existing);
	refuse_another(existing, new);
	if (OutboxContractDiffers(existing, &change))
		OutboxAlterContract(OutboxContractForChange(existing), &change);
}

/* Raises for what a contract keeps as long as it lives. */
static void
refuse_another(const OutboxContractConfig *existing, const NewContract *new)
{
	const OutboxContractConfig *config = &new->config;
	const char *object = psprintf("contract \"%s\"", existing->name);
	const char *evaluate = existing->at_commit ? "commit" : "row";
	const char *remedy = "Create another contract for it, or drop this one and create it again in one transaction; its event types, checks and added sources go with it.";

	if (existing->view != config->view)
		OutboxRefuseAnother(object, "view", OutboxQualifiedName(existing->view), OutboxQualifiedName(config->view),
							psprintf("SELECT outbox.add_version(%s, view => %s); or CREATE OR REPLACE VIEW, and leave the name.",
									 quote_literal_cstr(existing->name), quote_literal_cstr(OutboxQualifiedName(config->view))));
	if (existing->root != config->root)
		OutboxRefuseAnother(object, "source", OutboxQualifiedName(existing->root), OutboxQualifiedName(config->root), remedy);
	if (!OutboxSameNames(existing->key, config->key))
		OutboxRefuseAnother(object, "key", OutboxNamesToArray(existing->key), OutboxNamesToArray(config->key), remedy);
	if (!OutboxSameNames(existing->aggregate_id, config->aggregate_id))
		OutboxRefuseAnother(object, "aggregate_id", OutboxNamesToArray(existing->aggregate_id), OutboxNamesToArray(config->aggregate_id), remedy);
	if (strcmp(existing->aggregate_type, config->aggregate_type) != 0)
		OutboxRefuseAnother(object, "aggregate_type", existing->aggregate_type, config->aggregate_type, remedy);
	if (new->evaluate && strcmp(evaluate, new->evaluate) != 0)
		OutboxRefuseAnother(object, "evaluate", evaluate, new->evaluate, remedy);
}

/* drop_contract(name): drops the triggers, event types and configuration. Pinned schemas stay for the events that refer to them. */
Datum
outbox_drop_contract(PG_FUNCTION_ARGS)
{
	OutboxContractConfig *config = OutboxContractArg(fcinfo, 0, "name");
	const char *args[] = {psprintf("%d", config->id)};
	ListCell *lc;

	if (get_rel_relkind(config->view) != '\0' && get_rel_relkind(config->root) != '\0')
		OutboxCheckContractRights(config->view, config->root);
	/* before the sources are locked: somebody may keep a lock on such a view for long */
	foreach (lc, config->sources)
	{
		if (OutboxIsKeyView(((OutboxSourceConfig *) lfirst(lc))->key_view))
			OutboxDropKeyView(((OutboxSourceConfig *) lfirst(lc))->key_view);
	}
	OutboxDropTriggers(config);
	(void) OutboxExecute("DELETE FROM outbox_internal.contract WHERE id = $1::int", 1, args);
	PG_RETURN_VOID();
}

static void
read_arguments(FunctionCallInfo fcinfo, RelationFinder find, NewContract *contract)
{
	OutboxContractConfig *config = &contract->config;

	config->name = OutboxRequiredTextArg(fcinfo, 0, "name");
	OutboxCheckName("contract", config->name, OUTBOX_MAX_CONTRACT_NAME);
	config->view = find("view", OutboxRequiredTextArg(fcinfo, 1, "view"));
	config->root = find("source", OutboxRequiredTextArg(fcinfo, 2, "source"));
	config->key = OutboxNameListArg(fcinfo, 3, "key");
	config->required = OutboxNameListArg(fcinfo, 4, "required");
	config->aggregate_type = OutboxTextArg(fcinfo, 5);
	config->aggregate_id = OutboxNameListArg(fcinfo, 6, "aggregate_id");
	contract->evaluate = OutboxTextArg(fcinfo, 7);
	contract->on_invalid = OutboxTextArg(fcinfo, 8);
	contract->on_truncate = OutboxTextArg(fcinfo, 9);
	config->compatibility = OutboxTextArg(fcinfo, 10);

	if (config->key == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("contract \"%s\" needs a key", config->name),
				 errhint("Name the columns that identify a row, for example key => '{order_id}'.")));
	if (config->aggregate_type == NULL)
		config->aggregate_type = config->name;
	OutboxCheckName("aggregate type", config->aggregate_type, 249);
	if (config->aggregate_id == NIL)
		config->aggregate_id = config->key;
	config->required = OutboxMergeNames(OutboxMergeNames(list_copy(config->key), config->aggregate_id), config->required);
	config->name_space = default_namespace(config->name);
	config->version = 1;
	config->compatibility = pstrdup(OutboxCompatibility(config));
	OutboxCheckLevel(config->compatibility);

	if (contract->evaluate && strcmp(contract->evaluate, "row") != 0 && strcmp(contract->evaluate, "commit") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown value \"%s\" for \"evaluate\"", contract->evaluate),
				 errhint("Use 'row' or 'commit', or leave it out.")));
	contract->on_invalid = OutboxOneOf("on_invalid", contract->on_invalid ? contract->on_invalid : "DEFAULT", "dead_letter", "abort");
	contract->on_truncate = OutboxOneOf("on_truncate", contract->on_truncate ? contract->on_truncate : "DEFAULT", "gap", "reject");
}

/* The namespace of the contract's schemas: outbox.namespace or else the database's name, and the contract's name. */
static char *
default_namespace(const char *contract)
{
	char *first = outbox_namespace;

	if (first == NULL || first[0] == '\0')
	{
		first = get_database_name(MyDatabaseId);
		for (char *c = first; *c; c++)
		{
			bool digit = *c >= '0' && *c <= '9';

			if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || *c == '_' || (digit && c > first)))
				*c = '_';
		}
	}
	return psprintf("%s.%s", first, contract);
}

static void
insert_contract(const NewContract *contract)
{
	const OutboxContractConfig *config = &contract->config;
	const char *contract_args[] = {config->name, config->aggregate_type, OutboxNamesToArray(config->key),
								   OutboxNamesToArray(config->aggregate_id), OutboxNamesToArray(config->required), config->name_space,
								   contract->evaluate, contract->on_invalid, contract->on_truncate, config->compatibility};
	char *id = OutboxExecute("INSERT INTO outbox_internal.contract (name, aggregate_type, key, aggregate_id, required,"
							 " namespace, evaluate, on_invalid, on_truncate, compatibility)"
							 " VALUES ($1, $2, $3::text[], $4::text[], $5::text[], $6, $7, $8, $9, $10) RETURNING id",
							 lengthof(contract_args), contract_args);
	const char *version_args[] = {id, psprintf("%u", config->view)};
	const char *source_args[] = {id, psprintf("%u", config->root), OutboxNamesToArray(contract->key_columns)};

	(void) OutboxExecute("INSERT INTO outbox_internal.contract_version (contract_id, version, view, state)"
						 " VALUES ($1::int, 1, $2::oid, 'draft')",
						 lengthof(version_args), version_args);
	(void) OutboxExecute("INSERT INTO outbox_internal.source (contract_id, relation, role, key_columns)"
						 " VALUES ($1::int, $2::oid, 'root', $3::text[])",
						 lengthof(source_args), source_args);
}
