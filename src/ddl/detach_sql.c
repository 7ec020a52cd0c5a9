/*-------------------------------------------------------------------------
 *
 * detach_sql.c
 *	  outbox.detach() and outbox.reattach(): views that step aside.
 *
 * A contract's view blocks DDL on the columns that it reads, on purpose. During a
 * vendor's upgrade it has to go for a while. Before the view is dropped, the
 * commands that create it again are stored in outbox_internal.detached_view, with
 * its options, comments and grants, and so are those of every view that depends on
 * it. The contracts stay as they are; capture records gaps for them meanwhile.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/api/api.h"
#include "contract/compile/compile.h"
#include "contract/environment/environment.h"
#include "contract/prove/prove.h"
#include "contract/view/view.h"
#include "letters/letters.h"
#include "util/util.h"

PG_FUNCTION_INFO_V1(outbox_detach);
PG_FUNCTION_INFO_V1(outbox_reattach);

static List *views_to_drop(Oid source, const char *source_name);
static void lock_relations(const char *views);
static void keep_commands(const char *source_name, Oid source, const char *views);
static void mark_detached(Oid source, const char *views);
static void drop_views(const List *views);
static char *present_name(const char *role, const char *id);
static bool view_is_there(const OutboxStoredView *view);
static List *load_views(const char *source_name);
static void attach_contracts(const char *source_name, Oid source);
static void check_version(OutboxContractConfig *version);
static void check_schemas(const OutboxContractConfig *config);
static void return_names(FunctionCallInfo fcinfo, const List *names);

/* detach(source): drops the views over the source. Returns their names, in the order in which reattach() creates them. */
Datum
outbox_detach(PG_FUNCTION_ARGS)
{
	Oid source;
	char *source_name;
	List *views;
	List *oids = NIL;
	ListCell *lc;

	OutboxRequireVersion();
	source = OutboxResolveRelation("source", OutboxRequiredTextArg(fcinfo, 0, "source"));
	source_name = OutboxQualifiedName(source);
	views = views_to_drop(source, source_name);
	foreach (lc, views)
	{
		char **row = lfirst(lc);

		oids = lappend(oids, row[1]);
	}
	lock_relations(OutboxNamesToArray(oids));
	keep_commands(source_name, source, OutboxNamesToArray(oids));
	mark_detached(source, OutboxNamesToArray(oids));
	drop_views(views);
	return_names(fcinfo, views);
	return (Datum) 0;
}

/*
 * Locks the sources of the contracts first, and their views after them: a writer
 * in the middle of its transaction has a lock on a source, and may still have to
 * read the view to compile the contract.
 */
static void
lock_relations(const char *views)
{
	List *rows = OutboxExecuteRows("SELECT DISTINCT s.relation::oid, 't' FROM outbox_internal.source s"
								   " JOIN outbox_internal.contract_version v USING (contract_id) JOIN pg_class c ON c.oid = s.relation"
								   " WHERE v.view = ANY ($1::oid[]) OR s.key_view = ANY ($1::oid[]) UNION ALL SELECT unnest($1::oid[]), 'f'",
								   1, &views);
	List *relations = NIL;
	ListCell *lc;

	foreach (lc, rows)
	{
		char **row = lfirst(lc);
		Oid relation = atooid(row[0]);

		if (strcmp(row[1], "t") == 0)
			OutboxCheckSourceRights(relation);
		relations = lappend_oid(relations, relation);
	}
	OutboxLockInAttempts(relations, AccessExclusiveLock);
}

/* The views to drop: rows (name, oid, owner, obstacle) in order of creation. Raises when one cannot be dropped. */
static List *
views_to_drop(Oid source, const char *source_name)
{
	const char *args[] = {psprintf("%u", source), source_name};
	List *rows;
	ListCell *lc;

	if (OutboxExecute("SELECT 1 FROM outbox_internal.detached_view WHERE source = $2 AND $1 IS NOT NULL", lengthof(args), args))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the views over \"%s\" are already detached", source_name),
				 errhint("SELECT outbox.reattach('%s') creates them again.", source_name)));
	rows = OutboxExecuteRows("SELECT d.view, d.view::oid, pg_get_userbyid(c.relowner), d.obstacle"
							 " FROM outbox_internal.dependent_views(ARRAY(SELECT DISTINCT view::oid FROM outbox_internal.contract_views($1::oid))) d"
							 " LEFT JOIN pg_class c ON c.oid = d.view WHERE $2 IS NOT NULL ORDER BY d.place",
							 lengthof(args), args);
	if (rows == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("no contract reads \"%s\"", source_name),
				 errdetail("A view that was detached with another table does not count."),
				 errhint("SELECT * FROM outbox.source names the sources of the contracts.")));
	foreach (lc, rows)
	{
		char **row = lfirst(lc);

		if (row[3])
			ereport(ERROR,
					(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
					 errmsg("the views over \"%s\" cannot be detached", source_name),
					 errdetail("%s depends on them, and only views can be created again.", row[3]),
					 errhint("Drop it first, and create it again after outbox.reattach().")));
		OutboxCheckViewOwner(row[0], row[2]);
	}
	return rows;
}

static void
keep_commands(const char *source_name, Oid source, const char *views)
{
	const char *args[] = {source_name, psprintf("%u", source), views, psprintf(UINT64_FORMAT "/", GetSystemIdentifier())};
	OutboxEvaluation scope;

	/* with the settings under which reattach() reads constants */
	OutboxCommandScopeBegin(&scope, GetUserId());
	(void) OutboxExecute("INSERT INTO outbox_internal.detached_view (source, step, relation, view, owner, role, command, owner_id, role_id)"
						 " SELECT $1, row_number() OVER (ORDER BY v.place, c.step), $2::oid, v.view::regclass,"
						 " pg_get_userbyid(k.relowner), c.role, c.command, $4 || k.relowner, $4 || (SELECT r.oid FROM pg_roles r WHERE r.rolname = c.role)"
						 " FROM unnest($3::oid[]) WITH ORDINALITY AS v (view, place)"
						 " JOIN pg_class k ON k.oid = v.view, outbox_internal.view_commands(v.view) c",
						 lengthof(args), args);
	OutboxCommandScopeEnd(&scope);
}

/* Marks the contracts of the views, or of their key queries, as detached, and leaves a gap for each. */
static void
mark_detached(Oid source, const char *views)
{
	List *contracts = OutboxExecuteRows("UPDATE outbox_internal.contract_version v SET detached_view = v.view::text"
										" FROM outbox_internal.contract c WHERE c.id = v.contract_id AND v.state <> 'retired'"
										" AND (v.view = ANY ($1::oid[]) OR EXISTS (SELECT FROM outbox_internal.source s"
										" WHERE s.contract_id = c.id AND s.key_view = ANY ($1::oid[]))) RETURNING c.name",
										1, &views);
	List *told = NIL; /* names of contracts */
	ListCell *lc;

	(void) OutboxExecute("UPDATE outbox_internal.source SET detached_view = key_view::text WHERE key_view = ANY ($1::oid[])", 1, &views);
	foreach (lc, contracts)
	{
		char **row = lfirst(lc);

		/* a row for each version */
		if (OutboxNameListMember(told, row[0]))
			continue;
		told = lappend(told, row[0]);
		OutboxGapInsert(row[0], source, "detached", "by outbox.detach(); the table may have been changed without its triggers");
	}
}

/*
 * Drops the views in one command, because they may depend on each other. No view depends on a key_query: nobody can
 * name its schema. So these are dropped one by one.
 */
static void
drop_views(const List *views)
{
	StringInfoData command;
	ListCell *lc;

	initStringInfo(&command);
	foreach (lc, views)
	{
		char **row = lfirst(lc);

		if (OutboxIsKeyView(atooid(row[1])))
			OutboxDropKeyView(atooid(row[1]));
		else
			appendStringInfo(&command, "%s %s", command.len ? "," : "DROP VIEW", row[0]);
	}
	if (command.len)
		OutboxRunAsCaller(command.data);
}

/* reattach(source): creates the detached views again. Returns their names, also of those that exist already. */
Datum
outbox_reattach(PG_FUNCTION_ARGS)
{
	Oid source;
	char *source_name;
	List *views;
	List *names = NIL;
	ListCell *lc;

	OutboxRequireVersion();
	source = OutboxResolveRelation("source", OutboxRequiredTextArg(fcinfo, 0, "source"));
	source_name = OutboxQualifiedName(source);
	views = load_views(source_name);
	foreach (lc, views)
	{
		OutboxStoredView *view = lfirst(lc);
		char **name = palloc(sizeof(char *));

		*name = view->name;
		names = lappend(names, name);
		if (!view_is_there(view))
			OutboxCreateStoredView(view);
	}
	attach_contracts(source_name, source);
	return_names(fcinfo, names);
	return (Datum) 0;
}

static List *
load_views(const char *source_name)
{
	List *rows = OutboxExecuteRows("SELECT view, owner, role, command, owner_id, role_id FROM outbox_internal.detached_view"
								   " WHERE source = $1"
								   /* without the key queries of contracts that were dropped meanwhile */
								   " AND (NOT starts_with(view, '" OUTBOX_INTERNAL_SCHEMA ".') OR view IN (SELECT detached_view FROM outbox_internal.source WHERE detached_view IS NOT NULL))"
								   " ORDER BY step",
								   1, &source_name);
	List *views = NIL;
	ListCell *lc;

	if (rows == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("nothing is detached for \"%s\"", source_name),
				 errhint("SELECT DISTINCT source FROM outbox.detached_view names the tables whose views are detached.")));
	foreach (lc, rows)
	{
		char **row = lfirst(lc);

		views = OutboxStoredViewAdd(views, row[0], present_name(row[1], row[4]), present_name(row[2], row[5]), row[3]);
	}
	foreach (lc, views)
	{
		OutboxStoredView *view = lfirst(lc);

		OutboxCheckViewOwner(view->name, view->owner);
	}
	return views;
}

/* The present name of a role that may have been renamed meanwhile; raises when it is gone. */
static char *
present_name(const char *role, const char *id)
{
	char *name = OutboxRoleName(role, id);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role \"%s\" does not exist any more", role),
				 errdetail("It owned one of the detached views, or had granted rights on one."),
				 errhint("CREATE ROLE %s with the rights that it had, and try again.", quote_identifier(role))));
	return name;
}

/*
 * Was the view created by hand meanwhile? Raises unless the relation of that name
 * is a view of the same owner: the contract would be evaluated with the rights of
 * another one. Locks the view, so that the contract gets the one that was checked.
 */
static bool
view_is_there(const OutboxStoredView *view)
{
	RangeVar *name = makeRangeVarFromNameList(OutboxQualifiedNameList(view->name));
	Oid relation;
	Oid owner;
	OutboxOwnerScope scope;

	/* as the extension's owner, because the caller cannot name a key_query */
	OutboxOwnerBegin(&scope);
	relation = RangeVarGetRelid(name, AccessShareLock, true);
	OutboxOwnerEnd(&scope);
	if (!OidIsValid(relation))
		return false;
	owner = OutboxRelationOwner(relation);
	if (get_rel_relkind(relation) != RELKIND_VIEW)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s is not a view", view->name),
				 errdetail("It has the name of a detached view, and belongs to role \"%s\".", GetUserNameFromId(owner, false)),
				 errhint("Drop or rename it; outbox.reattach() then creates the view again.")));
	if (owner != get_role_oid(view->owner, false))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the view %s belongs to role \"%s\", but belonged to \"%s\" when it was detached", view->name,
						GetUserNameFromId(owner, false), view->owner),
				 errdetail("A contract is evaluated with the rights of its view's owner."),
				 errhint("ALTER VIEW %s OWNER TO %s; or drop it: outbox.reattach() then creates it as it was.", view->name,
						 quote_identifier(view->owner))));
	return true;
}

/* Gives the contracts their views again, and a source that was created anew. Enabled ones must compile. */
static void
attach_contracts(const char *source_name, Oid source)
{
	const char *args[] = {source_name, psprintf("%u", source)};
	List *contracts = OutboxExecuteRows("UPDATE outbox_internal.contract_version v SET view = to_regclass(v.detached_view), detached_view = NULL"
										" FROM outbox_internal.contract c WHERE c.id = v.contract_id AND to_regclass(v.detached_view) IS NOT NULL"
										" AND (v.detached_view IN (SELECT view FROM outbox_internal.detached_view WHERE source = $1 AND $2 IS NOT NULL)"
										" OR EXISTS (SELECT FROM outbox_internal.source s JOIN outbox_internal.detached_view d ON d.view = s.detached_view"
										" WHERE s.contract_id = c.id AND d.source = $1))"
										" RETURNING c.name",
										lengthof(args), args);
	ListCell *lc;

	(void) OutboxExecute("UPDATE outbox_internal.source s SET key_view = to_regclass(s.detached_view), detached_view = NULL"
						 " WHERE s.detached_view IN (SELECT view FROM outbox_internal.detached_view WHERE source = $1 AND $2 IS NOT NULL)",
						 lengthof(args), args);
	(void) OutboxExecute("UPDATE outbox_internal.source s SET relation = $2::oid FROM outbox_internal.detached_view d"
						 " WHERE d.source = $1 AND s.relation = d.relation AND d.relation <> $2::oid"
						 " AND NOT EXISTS (SELECT FROM pg_class WHERE oid = d.relation)",
						 lengthof(args), args);
	(void) OutboxExecute("DELETE FROM outbox_internal.detached_view WHERE source = $1 AND $2 IS NOT NULL", lengthof(args), args);
	CommandCounterIncrement();
	foreach (lc, contracts)
	{
		char **row = lfirst(lc);
		OutboxContractConfig *config = OutboxContractGet(row[0]);
		ListCell *source;
		ListCell *version;

		if (!config->enabled || get_rel_relkind(config->root) == '\0')
			continue;
		foreach (version, config->versions)
			check_version(lfirst(version));
		foreach (source, config->at_commit ? config->sources : NIL)
			(void) OutboxCompileTouch(config, ((OutboxSourceConfig *) lfirst(source))->relation);
		OutboxCreateTriggersToProve(config);
		foreach (version, config->versions)
		{
			if (((OutboxContractConfig *) lfirst(version))->state == OUTBOX_VERSION_ACTIVE && !((OutboxContractConfig *) lfirst(version))->detached)
				OutboxProveContractKey(lfirst(version));
		}
	}
}

/* Raises when a published version whose view is there does not work. */
static void
check_version(OutboxContractConfig *version)
{
	if (version->state != OUTBOX_VERSION_ACTIVE || version->detached)
		return;
	check_schemas(version);
	OutboxFreeContract(OutboxCompileContract(version, version->root, false));
}

/* Raises when the view does not fit a pinned schema any more, as the first write would find out. */
static void
check_schemas(const OutboxContractConfig *config)
{
	ListCell *lc;

	foreach (lc, config->event_types)
	{
		OutboxEventTypeConfig *type = lfirst(lc);
		int ncolumns;
		OutboxAvroColumn *columns = OutboxContractColumns(config, type, &ncolumns);
		OutboxAvroError mismatch;

		if (type->schema_text == NULL || OutboxAvroCompile(type->schema_text, columns, ncolumns, &mismatch))
			continue;
		ereport(ERROR,
				(errcode(mismatch.sqlerrcode),
				 errmsg("the view \"%s\" does not fit event type \"%s\" any more: %s", get_rel_name(config->view),
						type->name, mismatch.message),
				 mismatch.detail ? errdetail("%s", mismatch.detail) : 0,
				 errhint("Create the view by hand with a cast to the former type, and call outbox.reattach() again. Or drop the contract, call outbox.reattach(), and create the contract again.")));
	}
}

/* Returns the first text of every row as the function's result. */
static void
return_names(FunctionCallInfo fcinfo, const List *names)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell *lc;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	foreach (lc, names)
	{
		char **row = lfirst(lc);
		Datum value = CStringGetTextDatum(row[0]);
		bool isnull = false;

		tuplestore_putvalues(result->setResult, result->setDesc, &value, &isnull);
	}
}
