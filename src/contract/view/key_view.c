/*-------------------------------------------------------------------------
 *
 * key_view.c
 *	  A key_query is kept as a view of the contract view's owner.
 *
 * The view joins the source, as "row", with the query that add_source() got:
 *
 *	  SELECT q.* FROM public.ordr_ln AS "row", LATERAL (SELECT "row".ordr_no) AS q
 *
 * Nobody selects from it; capture takes the query out of it (key_view_read.c).
 * As a view, it follows whatever is renamed, stops the DROP of what it reads,
 * is dumped and restored, and changes its owner with REASSIGN OWNED, all by
 * PostgreSQL itself. Its name says whose it is, because it is what an error of
 * such a DROP names.
 *
 * It is in our own schema, which its owner has no right on, and it is no member
 * of the extension, or pg_dump would leave it out. So it is defined here from
 * the analysed query, rather than by a command: the owner's rights parse the
 * text, which may run code of the owner, and ours create the relation.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/comment.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "commands/tablecmds.h"
#include "commands/view.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/environment/environment.h"
#include "contract/view/view_private.h"
#include "util/util.h"

/* What the names of these views end with, and maybe a number. */
#define LABEL "key_query"

static char *choose_name(const OutboxContractConfig *config, Oid source);
static Oid define_view(const char *name, Oid owner, Query *query);

/*
 * Makes the view of a key_query, and raises, pointing into the text, for what
 * does not parse or gives other columns than those of the lookup. What the
 * query may do is for the compilation to judge. The caller has locked the
 * source.
 */
Oid
OutboxCreateKeyView(const OutboxContractConfig *config, Oid source, const char *text, TupleDesc lookup)
{
	Oid owner = OutboxRelationOwner(config->view);
	OutboxEvaluation evaluation;
	Query *query;
	Oid view;

	OutboxEvaluationBegin(&evaluation, owner, OUTBOX_COMPILING);
	query = OutboxParseKeyQuery(config, source, text, lookup);
	view = define_view(choose_name(config, source), owner, query);
	OutboxEvaluationEnd(&evaluation);
	CreateComments(view, RelationRelationId, 0,
				   psprintf("key_query of source %s of contract \"%s\": which rows of the contract a changed row touches. outbox.detach() lets it step aside, outbox.drop_contract() drops it",
							OutboxQualifiedName(source), config->name));
	return view;
}

/* Makes such a view again, from its own query; with the rights of its owner. */
Oid
OutboxRestoreKeyView(const char *name, Oid owner, Query *query)
{
	return define_view(name, owner, query);
}

/* Raises when something depends on it. Locks it, which nobody has locked for long. */
void
OutboxDropKeyView(Oid view)
{
	ObjectAddress address;

	/* performDeletion() does not look again after its wait for the lock: another session may have dropped the view */
	LockRelationOid(view, AccessExclusiveLock);
	if (!OutboxIsKeyView(view))
		return;
	ObjectAddressSet(address, RelationRelationId, view);
	performDeletion(&address, DROP_RESTRICT, 0);
	CommandCounterIncrement();
}

/* Is this such a view, and there? The columns of our tables that say so can be written to by superusers. */
bool
OutboxIsKeyView(Oid view)
{
	Oid schema = get_namespace_oid(OUTBOX_INTERNAL_SCHEMA, true);

	return OidIsValid(view) && get_rel_relkind(view) == RELKIND_VIEW && OidIsValid(schema) &&
		get_rel_namespace(view) == schema && !OidIsValid(getExtensionOfObject(RelationRelationId, view));
}

/* What enable() agrees to of the contract's view it agrees to of its key queries. Asks for no rights. */
void
OutboxKeyViewsFollowOwner(const OutboxContractConfig *config)
{
	Oid owner = OutboxRelationOwner(config->view);
	ListCell *lc;

	foreach (lc, config->sources)
	{
		Oid view = ((OutboxSourceConfig *) lfirst(lc))->key_view;

		if (!OutboxIsKeyView(view) || OutboxRelationOwner(view) == owner)
			continue;
		/* as for what belongs to a table: the rights were asked for with the contract's view */
		ATExecChangeOwner(view, owner, true, AccessExclusiveLock);
		CommandCounterIncrement();
	}
}

/* As PostgreSQL names indexes: contract_source_key_query. A view of that name that a restore has left over makes room. */
static char *
choose_name(const OutboxContractConfig *config, Oid source)
{
	Oid schema = get_namespace_oid(OUTBOX_INTERNAL_SCHEMA, false);
	char *table = get_rel_name(source);
	Oid left = get_relname_relid(makeObjectName(config->name, table, LABEL), schema);
	const char *args[] = {psprintf("%u", left)};

	if (OutboxIsKeyView(left) &&
		OutboxExecute("SELECT 1 FROM outbox_internal.source WHERE key_view = $1::oid", lengthof(args), args) == NULL)
		OutboxDropKeyView(left);
	return ChooseRelationName(config->name, table, LABEL, schema, false);
}

/* The relation is made with our rights, its rule with those of its owner, who is the present user. */
static Oid
define_view(const char *name, Oid owner, Query *query)
{
	CreateStmt *stmt = makeNode(CreateStmt);
	OutboxOwnerScope scope;
	ObjectAddress view;
	ListCell *lc;

	stmt->relation = makeRangeVar(OUTBOX_INTERNAL_SCHEMA, pstrdup(name), -1);
	stmt->oncommit = ONCOMMIT_NOOP;
	foreach (lc, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);
		Node *column = (Node *) entry->expr;

		if (!entry->resjunk)
			stmt->tableElts = lappend(stmt->tableElts, makeColumnDef(entry->resname, exprType(column), exprTypmod(column), exprCollation(column)));
	}
	OutboxOwnerBegin(&scope);
	view = DefineRelation(stmt, RELKIND_VIEW, owner, NULL, NULL);
	CommandCounterIncrement();
	OutboxOwnerEnd(&scope);
	StoreViewQuery(view.objectId, query, false);
	CommandCounterIncrement();
	return view.objectId;
}
