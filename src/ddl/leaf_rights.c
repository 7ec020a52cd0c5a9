/*-------------------------------------------------------------------------
 *
 * leaf_rights.c
 *	  No lock on the leaves of outbox.event for a role that may not read it.
 *
 * The planner locks all partitions of a table that a statement names. Rights
 * are asked for when the plan is started. In between the planner may run code
 * of whoever wrote the statement: a constraint of a table of his own, the
 * default of an argument. So a role without any right could keep leaves
 * locked, ROW EXCLUSIVE for a DELETE, for as long as such code runs: the keeper
 * could not recycle them, and DROP EXTENSION would wait.
 *
 * So the rights are asked for here first, when the planner comes to
 * outbox.event itself. Those of the statement around it count, too: a view of
 * ours reads outbox.event with its owner's rights, and may be named by
 * everybody. It is the question that the executor asks later, with the same
 * answer.
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

/* when the library is loaded */
void
OutboxLeafRightsInit(void)
{
	next_hook = OUTBOX_RELATION_HOOK;
	OUTBOX_RELATION_HOOK = meet_relation;
}

/* Called for every relation of every statement that is planned: it costs a comparison, but for parents of others. */
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
