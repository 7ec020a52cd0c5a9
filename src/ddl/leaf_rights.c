/*-------------------------------------------------------------------------
 *
 * leaf_rights.c
 *	  A role without the right to read outbox.event locks no leaf.
 *
 * The planner locks all partitions of a table that a statement names. PostgreSQL
 * checks rights only when the plan is started. In between the planner may run code
 * of the role that wrote the statement: a constraint of its own table, the default
 * of an argument. So a role without any right could keep leaves locked for as long
 * as such code runs, in ROW EXCLUSIVE with a DELETE. The keeper could not recycle
 * the leaves, and DROP EXTENSION would wait.
 *
 * So the rights are checked here first, when the planner comes to outbox.event
 * itself. The rights of the whole statement count: a view of ours reads
 * outbox.event with its owner's rights, and everybody may name it. The executor
 * makes the same check later, with the same result.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "nodes/pathnodes.h"
#include "optimizer/plancat.h"
#include "optimizer/planner.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "ddl/ddl_private.h"

static OutboxRelationHook next_hook = NULL;

static void meet_relation(OUTBOX_RELATION_HOOK_ARGS);
static bool is_event(Oid relation);
static void check_query(const Query *query);

/* Installs the hook when the library is loaded. */
void
OutboxLeafRightsInit(void)
{
	next_hook = OUTBOX_RELATION_HOOK;
	OUTBOX_RELATION_HOOK = meet_relation;
}

/* The hook is called for every relation that is planned. For most it costs one comparison. */
static void
meet_relation(OUTBOX_RELATION_HOOK_ARGS)
{
	Oid parent = OUTBOX_RELATION_HOOK_PARENT;

	if (OidIsValid(parent) && is_event(parent))
	{
		for (const PlannerInfo *level = root; level; level = level->parent_root)
			check_query(level->parse);
	}
	if (next_hook)
		next_hook(OUTBOX_RELATION_HOOK_CALL);
}

static bool
is_event(Oid relation)
{
	Oid schema = get_namespace_oid(OUTBOX_SCHEMA, true);

	return OidIsValid(schema) && get_relname_relid("event", schema) == relation;
}

static void
check_query(const Query *query)
{
	ListCell *lc;

	foreach (lc, query->rtable)
	{
		RangeTblEntry *entry = lfirst_node(RangeTblEntry, lc);

		if (!OutboxMayRead(query, entry))
			aclcheck_error(ACLCHECK_NO_PRIV, get_relkind_objtype(get_rel_relkind(entry->relid)), get_rel_name(entry->relid));
	}
}
