/*-------------------------------------------------------------------------
 *
 * source_sql.c
 *	  outbox.add_source(), and the check which tables can be sources.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/transam.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "fmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "catalog/outbox_catalog.h"
#include "contract/api/api_private.h"
#include "contract/compile/compile.h"
#include "contract/prove/prove.h"
#include "contract/view/view.h"

PG_FUNCTION_INFO_V1(outbox_add_source);

/* A new source, for the checks. */
typedef struct NewSource
{
	OutboxContractConfig *contract;
	OutboxSourceConfig *source;
	char *key_query;
} NewSource;

static void read_arguments(FunctionCallInfo fcinfo, NewSource *new);
static void forget_broken(NewSource *new);
static void check_all(NewSource *new);
static void check_fanout(void *arg);
static void check_contract(void *arg);
static void check_relation(void *arg);
static void check_key_query(void *arg);
static void insert_source(const OutboxContractConfig *contract, const NewSource *new);
static void replace_source(OutboxContractConfig *contract, OutboxSourceConfig *existing, NewSource *new);
static bool has_key_query(const OutboxContractConfig *contract, const OutboxSourceConfig *source, const char *key_query);

/*
 * add_source(contract, source, key_query, max_fanout): adds a source. If the
 * contract is enabled, the source is captured from commit on.
 */
Datum
outbox_add_source(PG_FUNCTION_ARGS)
{
	OutboxContractConfig *contract = OutboxContractArg(fcinfo, 0, "contract");
	NewSource new = {.contract = contract};
	OutboxSourceConfig *existing;

	read_arguments(fcinfo, &new);
	OutboxCheckContractRights(contract->view, new.source->relation);
	OutboxCheckViewOwnerUnchanged(contract);
	forget_broken(&new);
	existing = OutboxOrReplaceArg(fcinfo) ? OutboxContractSource(contract, new.source->relation) : NULL;
	if (existing && !existing->is_root)
	{
		replace_source(contract, existing, &new);
		PG_RETURN_VOID();
	}
	check_all(&new);
	insert_source(contract, &new);
	if (contract->enabled)
		OutboxCreateTriggers(contract);
	PG_RETURN_VOID();
}

/* Makes an added source what the call says. Nothing is locked nor written where it is that already. */
static void
replace_source(OutboxContractConfig *contract, OutboxSourceConfig *existing, NewSource *new)
{
	OutboxCheckFanout(contract, existing->relation, new->source->max_fanout);
	if (has_key_query(contract, existing, new->key_query))
	{
		OutboxAlterFanout(contract, existing->relation, new->source->max_fanout);
		return;
	}
	new->contract = contract = OutboxContractForChange(contract);
	existing = OutboxContractSource(contract, existing->relation);
	if (existing && OutboxIsKeyView(existing->key_view))
		OutboxDropKeyView(existing->key_view);
	contract->sources = list_delete_ptr(contract->sources, existing);
	check_all(new);
	insert_source(contract, new);
}

/* Does the source have this key_query, as it was given or as it is shown? */
static bool
has_key_query(const OutboxContractConfig *contract, const OutboxSourceConfig *source, const char *key_query)
{
	const char *args[] = {psprintf("%d", contract->id), psprintf("%u", source->relation), key_query};

	return OutboxExecute("SELECT 1 FROM outbox_internal.source WHERE contract_id = $1::int AND relation = $2::oid"
						 " AND $3 IN (given_query, outbox_internal.key_query_text(key_view))",
						 lengthof(args), args) != NULL;
}

/* Raises one error with everything that is wrong. */
static void
check_all(NewSource *new)
{
	static const OutboxGuardedStep checks[] = {check_contract, check_relation, check_fanout};
	OutboxFaultList faults = {0};

	for (int i = 0; i < lengthof(checks); i++)
		(void) OutboxTryCheck(&faults, checks[i], new);
	/* a key_query is looked at only when the contract may have it at all, and the source has none */
	if (new->contract->at_commit && OutboxContractSource(new->contract, new->source->relation) == NULL)
	{
		new->contract->sources = lappend(new->contract->sources, new->source);
		(void) OutboxTryCheck(&faults, check_key_query, new);
	}
	OutboxRaiseFaults(&faults, psprintf("the source \"%s\"", get_rel_name(new->source->relation)));
}

static void
check_contract(void *arg)
{
	const OutboxContractConfig *contract = ((NewSource *) arg)->contract;
	const OutboxSourceConfig *source = ((NewSource *) arg)->source;

	if (!contract->at_commit)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("contract \"%s\" is evaluated per row and has one source", contract->name),
				 errdetail("Its view reads \"%s\" alone.", get_rel_name(contract->root)),
				 errhint("Drop it and create it again in one transaction, with evaluate => 'commit'.")));
	if (source->relation == contract->root)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("\"%s\" is the source that contract \"%s\" was created with",
						get_rel_name(source->relation), contract->name),
				 errdetail("Each of its rows touches its own key. If the view reads the table a second time, a change does not touch the keys of that reading."),
				 errhint("Leave the call out.")));
	if (OutboxContractSource(contract, source->relation))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("\"%s\" already is a source of contract \"%s\"", get_rel_name(source->relation), contract->name),
				 errhint("One key_query names all keys that a row touches; with or_replace => true the call changes it.")));
}

static void
check_relation(void *arg)
{
	OutboxCheckSource(((NewSource *) arg)->source->relation);
}

static void
check_fanout(void *arg)
{
	const NewSource *new = arg;

	OutboxCheckFanout(new->contract, new->source->relation, new->source->max_fanout);
}

/* Stores the key_query as a view, and compiles it as capture will. Raises when that fails. */
static void
check_key_query(void *arg)
{
	NewSource *new = arg;
	List *conditions;
	TupleDesc lookup = OutboxLookupDesc(new->contract->root, OutboxLookupColumns(new->contract, &conditions));

	new->source->key_view = OutboxCreateKeyView(new->contract, new->source->relation, new->key_query, lookup);
	(void) OutboxCompileTouch(new->contract, new->source->relation);
}

/* Is its key_query gone? After DROP ... CASCADE the source can be given another one. */
static void
forget_broken(NewSource *new)
{
	OutboxSourceConfig *broken = OutboxContractSource(new->contract, new->source->relation);

	if (broken && !broken->is_root && get_rel_relkind(broken->key_view) == '\0')
		new->contract->sources = list_delete_ptr(new->contract->sources, broken);
}

/* Raises unless the table is of a kind whose changes can be captured. Takes no lock that is kept. */
void
OutboxCheckSource(Oid source)
{
	const char *kind = NULL;
	Relation rel = relation_open(source, AccessShareLock);
	ListCell *lc;

	if (rel->rd_rel->relispartition)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the source \"%s\" is a partition", RelationGetRelationName(rel)),
				 errdetail("Its rows may move to other partitions of \"%s\".",
						   get_rel_name(llast_oid(get_partition_ancestors(source)))),
				 errhint("Name the partitioned table as the source; writes to its partitions are captured with it.")));

	switch (rel->rd_rel->relkind)
	{
		case RELKIND_RELATION:
			if (has_subclass(source) || has_superclass(source))
				kind = "part of an inheritance tree";
			else if (rel->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
				kind = "a temporary table";
			else if (source < FirstNormalObjectId)
				kind = "a system catalog";
			break;
		case RELKIND_PARTITIONED_TABLE:
			if (rel->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
				kind = "a temporary table";
			foreach (lc, OutboxSourceTables(source))
			{
				if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_FOREIGN_TABLE)
					kind = "a partitioned table with a foreign table as partition";
			}
			break;
		case RELKIND_FOREIGN_TABLE:
			kind = "a foreign table";
			break;
		case RELKIND_VIEW:
			kind = "a view";
			break;
		case RELKIND_MATVIEW:
			kind = "a materialized view";
			break;
		default:
			kind = "not a table";
	}
	relation_close(rel, NoLock);
	if (kind)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the source \"%s\" is %s", get_rel_name(source), kind),
				 errdetail("This version captures changes of ordinary and of partitioned tables that are not inherited."),
				 errhint("Name such a table that the application writes to.")));
}

static void
read_arguments(FunctionCallInfo fcinfo, NewSource *new)
{
	new->source = palloc0(sizeof(OutboxSourceConfig));
	new->source->relation = (OutboxOrReplaceArg(fcinfo) ? OutboxFindRelation : OutboxResolveRelation)("source", OutboxRequiredTextArg(fcinfo, 1, "source"));
	new->source->max_fanout = PG_ARGISNULL(3) ? 1000 : PG_GETARG_INT32(3);
	new->key_query = OutboxRequiredTextArg(fcinfo, 2, "key_query");
}

static void
insert_source(const OutboxContractConfig *contract, const NewSource *new)
{
	const OutboxSourceConfig *source = new->source;
	const char *args[] = {psprintf("%d", contract->id), psprintf("%u", source->relation), psprintf("%u", source->key_view),
						  psprintf("%d", source->max_fanout), new->key_query};

	(void) OutboxExecute("INSERT INTO outbox_internal.source (contract_id, relation, role, key_columns, key_view, max_fanout, given_query)"
						 " VALUES ($1::int, $2::oid, 'child', '{}', $3::oid, $4::int, $5)"
						 " ON CONFLICT (contract_id, relation) DO UPDATE SET key_view = $3::oid, max_fanout = $4::int, given_query = $5",
						 lengthof(args), args);
}
