/*-------------------------------------------------------------------------
 *
 * code_map_use.c
 *	  A code map that an enabled contract uses cannot be dropped.
 *
 * To change a map it is dropped and created again in one transaction. So only the
 * end of the transaction tells a drop from a change. A constraint trigger of
 * outbox_internal.code_map, deferred to the commit, looks whether the map exists
 * again. If not, it looks for calls of outbox.decode() that name the map by a
 * constant: in the contracts' views, in the views of their key queries, in all
 * views behind these, also detached ones, and in conditions and checks. Calls
 * inside users' functions are not seen, and neither are computed names.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "nodes/nodeFuncs.h"
#include "parser/parser.h"
#include "replication/logicalworker.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/codes/codes.h"
#include "contract/environment/environment.h"

PG_FUNCTION_INFO_V1(outbox_code_map_dropped);

/* A search for calls of decode() with one map, or with any. */
typedef struct MapSearch
{
	const char *map; /* NULL: any */
	List *maps;      /* of String: those that were found when looking for any */
	List *views;     /* that were looked at */
	List *detached;  /* rows (view, command) of those that are away */
	List *names;     /* of String: the detached views that were looked at */
} MapSearch;

/* The trigger is called for every code of a map; the answer is the same as long as nothing was written. */
static struct
{
	LocalTransactionId transaction;
	CommandId command;
	char *map; /* in TopMemoryContext */
} found_unused;

static bool known_unused(const char *map);
static void remember_unused(const char *map);
static void refuse_if_used(const char *map);
static void refuse_if_views_use(MapSearch *search);
static void refuse_if_detached_use(MapSearch *search);
static void refuse_if_texts_use(MapSearch *search);
static bool view_uses(MapSearch *search, Oid view);
static bool query_walker(Node *node, void *context);
static bool text_uses(MapSearch *search, const char *text);
static bool detached_uses(MapSearch *search, const char *view);
static bool raw_walker(Node *node, void *context);
static bool is_sought(MapSearch *search, const char *map);
static bool is_decode_call(const FuncCall *call);
static const char *constant_argument(const List *args, bool raw);
OUTBOX_NORETURN static void refuse(const char *map, const char *contract, const char *user);

/* outbox_internal.code_map_dropped(): AFTER DELETE on outbox_internal.code_map, for each row, at commit. */
Datum
outbox_code_map_dropped(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	char *map;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("outbox_internal.code_map_dropped() was not called as a trigger")));
	/* a subscriber has contracts of its own; what the publisher dropped would stop it */
	if (IsLogicalWorker())
		return PointerGetDatum(NULL);
	map = SPI_getvalue(trigger->tg_trigtuple, RelationGetDescr(trigger->tg_relation), 1);
	if (!known_unused(map))
	{
		refuse_if_used(map);
		remember_unused(map);
	}
	return PointerGetDatum(NULL);
}

/*
 * The maps (of char *) that the contract names by constants in calls of
 * outbox.decode() and that do not exist: every code becomes NULL.
 */
List *
OutboxMissingMaps(const OutboxContractConfig *config)
{
	MapSearch search = {0};
	List *missing = NIL;
	ListCell *lc;

	(void) view_uses(&search, config->view);
	foreach (lc, config->event_types)
	{
		OutboxEventTypeConfig *type = lfirst(lc);
		ListCell *other;

		if (type->condition)
			(void) text_uses(&search, type->condition);
		foreach (other, type->checks)
			(void) text_uses(&search, ((OutboxCheckConfig *) lfirst(other))->expression);
	}
	foreach (lc, config->sources)
		(void) view_uses(&search, ((OutboxSourceConfig *) lfirst(lc))->key_view);
	foreach (lc, search.maps)
	{
		const char *map = strVal(lfirst(lc));

		if (OutboxExecute("SELECT name FROM outbox_internal.code_map WHERE name = $1 LIMIT 1", 1, &map) == NULL)
			missing = lappend(missing, unconstify(char *, map));
	}
	return missing;
}

static bool
known_unused(const char *map)
{
	return found_unused.map && found_unused.transaction == OutboxLocalTransactionId() &&
		found_unused.command == GetCurrentCommandId(false) && strcmp(found_unused.map, map) == 0;
}

static void
remember_unused(const char *map)
{
	char *copy = MemoryContextStrdup(TopMemoryContext, map);

	if (found_unused.map)
		pfree(found_unused.map);
	found_unused.map = copy;
	found_unused.transaction = OutboxLocalTransactionId();
	found_unused.command = GetCurrentCommandId(false);
}

static void
refuse_if_used(const char *map)
{
	MapSearch search = {.map = map};

	if (OutboxExecute("SELECT name FROM outbox_internal.code_map WHERE name = $1 LIMIT 1", 1, &map))
		return;
	refuse_if_views_use(&search);
	refuse_if_detached_use(&search);
	refuse_if_texts_use(&search);
}

static void
refuse_if_views_use(MapSearch *search)
{
	List *rows;
	ListCell *lc;

	rows = OutboxExecuteRows("SELECT c.name, v.view::oid, format('view \"%s\", or one behind it,', k.relname)"
							 " FROM outbox_internal.contract c JOIN outbox_internal.contract_version v ON v.contract_id = c.id"
							 " LEFT JOIN pg_class k ON k.oid = v.view WHERE c.enabled AND v.state <> 'retired'"
							 " UNION ALL SELECT c.name, s.key_view::oid, format('key_query of source \"%s\", or a view behind it,', s.relation)"
							 " FROM outbox_internal.contract c JOIN outbox_internal.source s ON s.contract_id = c.id"
							 " WHERE c.enabled AND s.key_view IS NOT NULL",
							 0, NULL);
	foreach (lc, rows)
	{
		char **row = lfirst(lc);

		search->views = NIL;
		if (view_uses(search, atooid(row[1])))
			refuse(search->map, row[0], row[2]);
	}
}

/* Searches the detached views of contracts, in the commands that create them again. */
static void
refuse_if_detached_use(MapSearch *search)
{
	List *rows = OutboxExecuteRows("SELECT c.name, v.detached_view FROM outbox_internal.contract c"
								   " JOIN (SELECT contract_id, detached_view FROM outbox_internal.contract_version WHERE state <> 'retired'"
								   " UNION ALL SELECT contract_id, detached_view FROM outbox_internal.source) v"
								   " ON v.contract_id = c.id WHERE c.enabled AND v.detached_view IS NOT NULL ORDER BY c.id, v.detached_view",
								   0, NULL);
	ListCell *lc;

	search->detached = OutboxExecuteRows("SELECT view, command FROM outbox_internal.detached_view WHERE command LIKE 'CREATE VIEW %'", 0, NULL);
	foreach (lc, rows)
	{
		char **row = lfirst(lc);

		search->names = NIL;
		if (detached_uses(search, row[1]))
			refuse(search->map, row[0], psprintf("detached view \"%s\", or one behind it,", row[1]));
	}
	search->detached = NIL;
}

/* Searches the conditions and checks of contracts. */
static void
refuse_if_texts_use(MapSearch *search)
{
	List *rows;
	ListCell *lc;

	rows = OutboxExecuteRows("SELECT c.name, t.what, t.expression FROM outbox_internal.contract c CROSS JOIN LATERAL ("
							 "SELECT format('condition of event type \"%s\"', e.name), e.condition FROM outbox_internal.event_type e"
							 " WHERE e.contract_id = c.id AND e.condition IS NOT NULL"
							 " UNION ALL SELECT format('check \"%s\" of event type \"%s\"', r.name, e.name), r.expression"
							 " FROM outbox_internal.check_rule r JOIN outbox_internal.event_type e ON e.id = r.event_type_id WHERE e.contract_id = c.id"
							 ") t (what, expression)"
							 " WHERE c.enabled ORDER BY c.id, t.what",
							 0, NULL);
	foreach (lc, rows)
	{
		char **row = lfirst(lc);

		if (text_uses(search, row[2]))
			refuse(search->map, row[0], row[1]);
	}
}

/* Does the view, or a view behind it, call decode() with the map? A view that does not exist any more does not. */
static bool
view_uses(MapSearch *search, Oid view)
{
	Relation rel;
	bool uses = false;

	if (list_member_oid(search->views, view))
		return false;
	search->views = lappend_oid(search->views, view);
	rel = try_relation_open(view, AccessShareLock);
	if (rel == NULL)
		return false;
	if (rel->rd_rel->relkind == RELKIND_VIEW)
		uses = query_walker((Node *) get_view_query(rel), search);
	relation_close(rel, NoLock);
	return uses;
}

static bool
query_walker(Node *node, void *context)
{
	MapSearch *search = context;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		ListCell *lc;

		foreach (lc, ((Query *) node)->rtable)
		{
			RangeTblEntry *entry = lfirst_node(RangeTblEntry, lc);

			if (entry->rtekind == RTE_RELATION && entry->relkind == RELKIND_VIEW && view_uses(search, entry->relid))
				return true;
		}
		return query_tree_walker((Query *) node, query_walker, context, 0);
	}
	if (IsA(node, FuncExpr) && OutboxIsDecode(((FuncExpr *) node)->funcid))
	{
		if (is_sought(search, constant_argument(((FuncExpr *) node)->args, false)))
			return true;
	}
	return expression_tree_walker(node, query_walker, context);
}

/* Does a text call decode() with the map? It is an expression of a user, or CREATE VIEW with all names outside pg_catalog qualified. */
static bool
text_uses(MapSearch *search, const char *text)
{
	bool creates_view = strncmp(text, "CREATE VIEW ", strlen("CREATE VIEW ")) == 0;
	OutboxEvaluation evaluation;
	List *statements;
	ListCell *lc;

	/* the session's settings must not change how string literals are read */
	OutboxEvaluationBegin(&evaluation, GetUserId(), OUTBOX_COMPILING);
	statements = raw_parser(text, creates_view ? RAW_PARSE_DEFAULT : RAW_PARSE_PLPGSQL_EXPR);
	OutboxEvaluationEnd(&evaluation);
	foreach (lc, statements)
	{
		Node *statement = lfirst_node(RawStmt, lc)->stmt;

		if (raw_walker(creates_view ? castNode(ViewStmt, statement)->query : statement, search))
			return true;
	}
	return false;
}

static bool
detached_uses(MapSearch *search, const char *view)
{
	ListCell *lc;

	if (list_member(search->names, makeString(unconstify(char *, view))))
		return false;
	search->names = lappend(search->names, makeString(pstrdup(view)));
	foreach (lc, search->detached)
	{
		char **row = lfirst(lc);

		if (strcmp(row[0], view) == 0 && text_uses(search, row[1]))
			return true;
	}
	return false;
}

static bool
raw_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeVar) && ((RangeVar *) node)->schemaname &&
		detached_uses(context, quote_qualified_identifier(((RangeVar *) node)->schemaname, ((RangeVar *) node)->relname)))
		return true;
	if (IsA(node, FuncCall) && is_decode_call((FuncCall *) node))
	{
		if (is_sought(context, constant_argument(((FuncCall *) node)->args, true)))
			return true;
	}
	return raw_expression_tree_walker(node, raw_walker, context);
}

/* Notes a call of decode(). True, which ends the search, when it names the map that is searched. */
static bool
is_sought(MapSearch *search, const char *map)
{
	if (map == NULL || search->map)
		return map && strcmp(map, search->map) == 0;
	if (!list_member(search->maps, makeString(unconstify(char *, map))))
		search->maps = lappend(search->maps, makeString(pstrdup(map)));
	return false;
}

static bool
is_decode_call(const FuncCall *call)
{
	return list_length(call->funcname) == 2 && strcmp(strVal(linitial(call->funcname)), OUTBOX_SCHEMA) == 0 &&
		strcmp(strVal(lsecond(call->funcname)), "decode") == 0;
}

/* The argument `map`, given first or by name, when it is a constant; otherwise NULL. */
static const char *
constant_argument(const List *args, bool raw)
{
	Node *map = args ? linitial(args) : NULL;
	ListCell *lc;

	foreach (lc, args)
	{
		if (IsA(lfirst(lc), NamedArgExpr) && strcmp(lfirst_node(NamedArgExpr, lc)->name, "map") == 0)
			map = lfirst(lc);
	}
	if (map && IsA(map, NamedArgExpr))
		map = (Node *) ((NamedArgExpr *) map)->arg;
	if (raw)
	{
		while (map && IsA(map, TypeCast))
			map = ((TypeCast *) map)->arg;
		if (map && IsA(map, A_Const) && !((A_Const *) map)->isnull && IsA(&((A_Const *) map)->val, String))
			return strVal(&((A_Const *) map)->val);
		return NULL;
	}
	while (map && IsA(map, RelabelType))
		map = (Node *) ((RelabelType *) map)->arg;
	if (map && IsA(map, Const) && !((Const *) map)->constisnull &&
		(((Const *) map)->consttype == TEXTOID || ((Const *) map)->consttype == VARCHAROID))
		return TextDatumGetCString(((Const *) map)->constvalue);
	return NULL;
}

static void
refuse(const char *map, const char *contract, const char *user)
{
	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("cannot drop code map \"%s\" because contract \"%s\" uses it", map, contract),
			 errdetail("The %s calls outbox.decode() with it.", user),
			 errhint("To change the map, create it again in the same transaction. To do without it, remove the call, "
					 "or disable or drop the contract.")));
}
