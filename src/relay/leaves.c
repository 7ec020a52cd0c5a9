/*-------------------------------------------------------------------------
 *
 * leaves.c
 *	  The partitions of outbox.event as the reader opens them.
 *
 * A hint and a tuple id mean something only as long as the leaf keeps its
 * storage. VACUUM FULL, CLUSTER and ALTER TABLE give it a new one; a reader
 * that did not notice would look at blocks that hold other rows, or at none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_inherits.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "relay/leaves.h"

static Oid known_storage(const OutboxLeaf *leaves, int n, Oid relid);

void
OutboxLeavesLoad(OutboxLeaves *leaves)
{
	List *relids = find_inheritance_children(OutboxRelationOid("event"), NoLock);
	int nknown = leaves->n;
	OutboxLeaf *known = palloc(sizeof(OutboxLeaf) * Max(nknown, 1));
	ListCell *lc;

	if (list_length(relids) > OUTBOX_MAX_LEAVES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("outbox.event has too many leaves"),
				 errdetail("It has %d, a relay reads at most %d.", list_length(relids), OUTBOX_MAX_LEAVES),
				 errhint("Shorten the retention or enlarge the leaves.")));

	memcpy(known, leaves->leaf, sizeof(OutboxLeaf) * nknown);
	leaves->n = 0;
	foreach (lc, relids)
	{
		OutboxLeaf *leaf = &leaves->leaf[leaves->n++];

		leaf->relid = lfirst_oid(lc);
		leaf->relfilenumber = known_storage(known, nknown, leaf->relid);
		leaf->relation = NULL;
	}
	pfree(known);
	list_free(relids);
}

/* The catalog returns leaves in the order of their ids, so equal lists are equal element by element. */
bool
OutboxLeavesComplete(const OutboxLeaves *leaves)
{
	List *relids = find_inheritance_children(OutboxRelationOid("event"), NoLock);
	bool same = list_length(relids) == leaves->n;

	for (int i = 0; same && i < leaves->n; i++)
		same = list_nth_oid(relids, i) == leaves->leaf[i].relid;
	list_free(relids);
	return same;
}

static Oid
known_storage(const OutboxLeaf *leaves, int n, Oid relid)
{
	for (int i = 0; i < n; i++)
	{
		if (leaves[i].relid == relid)
			return leaves[i].relfilenumber;
	}
	return InvalidOid;
}

OutboxLeavesResult
OutboxLeavesOpen(OutboxLeaves *leaves)
{
	OutboxLeavesResult result = OUTBOX_LEAVES_SAME;

	for (int i = 0; i < leaves->n; i++)
	{
		OutboxLeaf *leaf = &leaves->leaf[i];
		Oid relfilenumber;

		leaf->relation = try_table_open(leaf->relid, AccessShareLock);
		if (leaf->relation == NULL)
			return OUTBOX_LEAVES_GONE;
		if (RelationGetNumberOfAttributes(leaf->relation) < Natts_event)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table \"%s\" has %d columns, but this version of outbox_ext expects %d",
							RelationGetRelationName(leaf->relation),
							RelationGetNumberOfAttributes(leaf->relation), Natts_event),
					 errhint("Run ALTER EXTENSION outbox_ext UPDATE.")));
		relfilenumber = OutboxRelFileNumber(leaf->relation);
		if (relfilenumber != leaf->relfilenumber)
		{
			leaf->relfilenumber = relfilenumber;
			result = OUTBOX_LEAVES_MOVED;
		}
	}
	return result;
}

void
OutboxLeavesClose(OutboxLeaves *leaves, bool aborted)
{
	for (int i = 0; i < leaves->n; i++)
	{
		OutboxLeaf *leaf = &leaves->leaf[i];

		if (leaf->relation != NULL && !aborted)
			table_close(leaf->relation, NoLock);
		leaf->relation = NULL;
	}
}

int
OutboxLeavesFind(const OutboxLeaves *leaves, Oid relfilenumber)
{
	for (int i = 0; i < leaves->n; i++)
	{
		if (leaves->leaf[i].relfilenumber == relfilenumber)
			return i;
	}
	return -1;
}
