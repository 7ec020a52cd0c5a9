/*-------------------------------------------------------------------------
 *
 * reattach_sql.c
 *	  outbox.reattach(): the views that stepped aside come back.
 *
 * They are created by the commands that outbox.detach() stored (detach_sql.c),
 * unless somebody created them by hand meanwhile. The contracts get their views
 * again, and those that are enabled must compile.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "catalog/outbox_catalog.h"
#include "contract/api/api.h"
#include "contract/compile/compile.h"
#include "contract/environment/environment.h"
#include "contract/prove/prove.h"
#include "contract/view/view.h"
#include "ddl/ddl_private.h"
#include "util/util.h"

PG_FUNCTION_INFO_V1(outbox_reattach);

static char *present_name(const char *role, const char *id);
static bool view_is_there(const OutboxStoredView *view);
static List *load_views(const char *source_name);
static void attach_contracts(const char *source_name, Oid source);
static void check_version(OutboxContractConfig *version);
static void check_schemas(const OutboxContractConfig *config);

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
	OutboxReturnViewNames(fcinfo, names);
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
