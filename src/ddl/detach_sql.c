/*-------------------------------------------------------------------------
 *
 * detach_sql.c
 *	  outbox.detach(): views step aside.
 *
 * A contract's view blocks DDL on the columns that it reads, on purpose. During a
 * vendor's upgrade it has to go for a while. Before the view is dropped, the
 * commands that create it again are stored in outbox_internal.detached_view, with
 * its options, comments and grants, and so are those of every view that depends on
 * it. The contracts stay as they are; capture records gaps for them meanwhile.
 * reattach_sql.c brings the views back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/api/api.h"
#include "contract/environment/environment.h"
#include "contract/view/view.h"
#include "ddl/ddl_private.h"
#include "letters/letters.h"
#include "util/util.h"

PG_FUNCTION_INFO_V1(outbox_detach);

static List *views_to_drop(Oid source, const char *source_name);
static void lock_relations(const char *views);
static void keep_commands(const char *source_name, Oid source, const char *views);
static void mark_detached(Oid source, const char *views);
static void drop_views(const List *views);

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
	OutboxReturnViewNames(fcinfo, views);
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

/* Returns the first text of every row as the function's result. */
void
OutboxReturnViewNames(FunctionCallInfo fcinfo, const List *names)
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
