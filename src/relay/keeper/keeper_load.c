/*-------------------------------------------------------------------------
 *
 * keeper_load.c
 *	  What outbox_internal.leaf says, read by the keeper and stored for the others.
 *
 * The store comes before anything else that the keeper does: a leaf that it
 * then finds closing is not what the writers' atomic names, even if the
 * process that switched it ended between its commit and its store.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"


#include "compat.h"
#include "guc.h"
#include "relay/keeper/keeper_private.h"
#include "shared/outbox_shared.h"
#include "util/util.h"

static const char *const state_names[] = {"empty", "current", "closing", "frozen", "acked", "retained"};

static void take_row(OutboxKeeper *keeper, const OutboxRows *rows, uint64 i, OutboxLeafSummary *summary);
static OutboxLeafState parse_state(const char *name);

/* Reads the leaves and stores their summary in shared memory. Raises when no leaf is current. */
void
OutboxKeeperLoad(OutboxKeeper *keeper)
{
	static const char query[] =
		"SELECT l.leaf, l.relation::oid, l.state, l.leaf_generation,"
		" coalesce(CASE WHEN l.state IN ('current', 'closing') THEN outbox_internal.leaf_bytes(l.relation) ELSE l.bytes END, 0),"
		" l.events IS NOT NULL,"
		" l.state = 'current' AND l.opened_at < clock_timestamp() - make_interval(secs => $1) AND outbox_internal.leaf_bytes(l.relation) > 0,"
		" l.state = 'frozen' AND k.passed,"
		" l.state = 'retained' AND $2 >= 0 AND l.acked_at < clock_timestamp() - make_interval(secs => $2) AND k.passed,"
		" l.republished > 0,"
		" pg_snapshot_xmax(l.frozen_snapshot)"
		" FROM outbox_internal.leaf l LEFT JOIN LATERAL"
		" (SELECT count(*) > 0 AND bool_and(s.passed) AS passed FROM outbox_internal.leaf_sink s WHERE s.leaf = l.leaf) k"
		" ON l.state = 'frozen' OR (l.state = 'retained' AND $2 >= 0 AND l.acked_at < clock_timestamp() - make_interval(secs => $2))"
		" ORDER BY l.opened_at NULLS FIRST, l.leaf";
	OutboxOwnerScope scope;
	OutboxLeafSummary summary = {.changed = keeper->changed};
	OutboxRows rows;

	OutboxKeeperBegin(&scope);
	rows = OutboxRun(query, OUTBOX_ARGS(OUTBOX_FLOAT8(outbox_leaf_age), OUTBOX_FLOAT8(outbox_retention)));
	keeper->leaves = MemoryContextAlloc(keeper->context, sizeof(OutboxKeptLeaf) * Max(rows.n, 1));
	keeper->n = 0;
	keeper->backlog = 0;
	for (uint64 i = 0; i < rows.n; i++)
		take_row(keeper, &rows, i, &summary);
	if (summary.current == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("outbox.leaf has no row in state \"current\""),
				 errhint("Restore the row: exactly one leaf is current.")));
	OutboxKeeperSubtractPassed(keeper, &summary);
	OutboxStoreLeaves(&summary);
	keeper->changed = false;
	OutboxKeeperEnd(&scope);
}

static void
take_row(OutboxKeeper *keeper, const OutboxRows *rows, uint64 i, OutboxLeafSummary *summary)
{
	OutboxKeptLeaf *leaf = &keeper->leaves[keeper->n++];

	*leaf = (OutboxKeptLeaf){
		.number = (int16) OutboxRowInt(rows, i, 1, 0),
		.relid = (Oid) OutboxRowInt(rows, i, 2, InvalidOid),
		.state = parse_state(OutboxRowText(rows, i, 3)),
		.leaf_generation = OutboxRowInt(rows, i, 4, 0),
		.bytes = OutboxRowInt(rows, i, 5, 0),
		.counted = OutboxRowBool(rows, i, 6),
		.old = OutboxRowBool(rows, i, 7),
		/* null in states in which they say nothing */
		.passed = OutboxRowBool(rows, i, 8),
		.due = OutboxRowBool(rows, i, 9),
		.suspected = OutboxRowBool(rows, i, 10),
	};

	switch (leaf->state)
	{
		case OUTBOX_LEAF_CURRENT:
			summary->current = leaf->number;
			keeper->backlog += leaf->bytes;
			break;
		case OUTBOX_LEAF_FROZEN:
			summary->freeze_xmax = Max(summary->freeze_xmax, (uint64) OutboxRowInt(rows, i, 11, 0));
			/* every sink has it: it is no backlog, only not counted yet */
			if (leaf->passed)
				break;
			OUTBOX_FALLTHROUGH;
		case OUTBOX_LEAF_CLOSING:
			summary->closed_bytes += leaf->bytes;
			keeper->backlog += leaf->bytes;
			break;
		default:
			break;
	}
}

static OutboxLeafState
parse_state(const char *name)
{
	for (int i = 0; i < lengthof(state_names); i++)
	{
		if (strcmp(name, state_names[i]) == 0)
			return (OutboxLeafState) i;
	}
	elog(ERROR, "unknown state of a leaf: \"%s\"", name);
}
