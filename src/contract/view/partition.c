/*-------------------------------------------------------------------------
 *
 * partition.c
 *	  Partitioned tables as sources.
 *
 * PostgreSQL copies a row trigger of a partitioned table to every partition, also
 * to later ones. The copies fire with the partition's own tuples, so a contract is
 * compiled once per partition. A copy is traced back to the trigger that enable()
 * created: a trigger of that name that somebody creates on another table makes no
 * events.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "executor/tuptable.h"
#include "optimizer/optimizer.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/view/view_private.h"

/* The column of outbox_internal.source. */
#define SOURCE_RELATION 2

static Oid former_parent(Relation inherits, Oid relation);
static CommandId lives_until(HeapTupleHeader header);
static bool parent_trigger(Relation triggers, Oid *trigger, Oid *relation);

/*
 * The relation that a trigger was created on. For a row trigger that PostgreSQL
 * copied to a partition it is the partitioned table. No relation is locked or
 * opened.
 */
Oid
OutboxTriggerTable(Oid trigger, Oid relation)
{
	Relation triggers;

	if (!get_rel_relispartition(relation))
		return relation;
	triggers = table_open(TriggerRelationId, AccessShareLock);
	while (parent_trigger(triggers, &trigger, &relation))
		;
	table_close(triggers, AccessShareLock);
	return relation;
}

/*
 * Does the trigger, or the one that it was copied from, depend on the extension?
 * Then enable() or the table's owner has created it: a role with the right TRIGGER
 * alone cannot make a trigger depend on anything. Locks nothing.
 */
bool
OutboxTriggerIsOurs(Oid trigger, Oid relation)
{
	Relation triggers = table_open(TriggerRelationId, AccessShareLock);

	while (get_rel_relispartition(relation) && parent_trigger(triggers, &trigger, &relation))
		;
	table_close(triggers, AccessShareLock);
	return list_member_oid(getAutoExtensionsOfObject(TriggerRelationId, trigger), OutboxExtensionOid(true));
}

/* Goes from a copied trigger to its original, one partition level up. False: it is no copy. */
static bool
parent_trigger(Relation triggers, Oid *trigger, Oid *relation)
{
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	Oid parent = InvalidOid;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(*trigger));
	scan = systable_beginscan(triggers, TriggerOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);

		*relation = form->tgrelid;
		parent = form->tgparentid;
	}
	systable_endscan(scan);
	if (!OidIsValid(parent))
		return false;
	*trigger = parent;
	return true;
}

/* Is the relation the root, or a partition of it at any depth? Takes no lock. */
bool
OutboxIsWithin(Oid relation, Oid root)
{
	return relation == root ||
		(get_rel_relispartition(relation) && list_member_oid(get_partition_ancestors(relation), root));
}

/* Is the relation one of the contract's sources, or a partition of one? Takes no lock. */
bool
OutboxIsWithinSource(const OutboxContractConfig *config, Oid relation)
{
	ListCell *lc;

	foreach (lc, config->sources)
	{
		if (OutboxIsWithin(relation, ((OutboxSourceConfig *) lfirst(lc))->relation))
			return true;
	}
	return false;
}

/* Is the relation a source of any contract, or a partition of one? */
bool
OutboxIsWithinAnySource(Oid relation)
{
	ListCell *lc;

	foreach (lc, OutboxAllSources())
	{
		if (OutboxIsWithin(relation, lfirst_oid(lc)))
			return true;
	}
	return false;
}

/* The OIDs of the sources of all contracts, read with a new snapshot. */
List *
OutboxAllSources(void)
{
	Relation rel = table_open(OutboxRelationOid("source"), AccessShareLock);
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	List *sources = NIL;
	HeapTuple tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool isnull;

		sources = lappend_oid(sources, DatumGetObjectId(heap_getattr(tuple, SOURCE_RELATION, RelationGetDescr(rel), &isnull)));
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	return sources;
}

/*
 * The partitioned tables above a table that this transaction has dropped or
 * detached, the nearest first. NIL: it was no partition.
 */
List *
OutboxFormerAncestors(Oid relation)
{
	Relation inherits = table_open(InheritsRelationId, AccessShareLock);
	List *ancestors = NIL;

	while (OidIsValid(relation = former_parent(inherits, relation)))
	{
		if (list_member_oid(ancestors, relation))
			break;
		ancestors = lappend_oid(ancestors, relation);
	}
	table_close(inherits, AccessShareLock);
	return ancestors;
}

/*
 * The parent that a relation has, or had last in this transaction. Rows that the
 * transaction has deleted stay in pg_inherits until it ends.
 */
static Oid
former_parent(Relation inherits, Oid relation)
{
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	Oid parent = InvalidOid;
	CommandId last = InvalidCommandId;

	ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relation));
	scan = systable_beginscan(inherits, InheritsRelidSeqnoIndexId, true, SnapshotAny, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		CommandId until = lives_until(tuple->t_data);

		if (until == FirstCommandId || (last != InvalidCommandId && until < last))
			continue;
		parent = ((Form_pg_inherits) GETSTRUCT(tuple))->inhparent;
		last = until;
	}
	systable_endscan(scan);
	return parent;
}

/* The command of this transaction that deleted a row; FirstCommandId: it was never there, or went before. */
static CommandId
lives_until(HeapTupleHeader header)
{
	TransactionId inserted = HeapTupleHeaderGetXmin(header);
	TransactionId deleted;

	if (!HeapTupleHeaderXminFrozen(header) && !TransactionIdIsCurrentTransactionId(inserted) && !TransactionIdDidCommit(inserted))
		return FirstCommandId;
	if ((header->t_infomask & HEAP_XMAX_INVALID) || HEAP_XMAX_IS_LOCKED_ONLY(header->t_infomask))
		return InvalidCommandId - 1;
	deleted = HeapTupleHeaderGetUpdateXid(header);
	if (TransactionIdIsCurrentTransactionId(deleted))
		return HeapTupleHeaderGetCmax(header) + 1;
	return TransactionIdDidCommit(deleted) ? FirstCommandId : InvalidCommandId - 1;
}

/*
 * The tables that hold the rows of a source: its partitions that are not
 * partitioned themselves, or the source alone. Takes no lock.
 */
List *
OutboxSourceTables(Oid source)
{
	List *tables = NIL;
	ListCell *lc;

	if (get_rel_relkind(source) != RELKIND_PARTITIONED_TABLE)
		return list_make1_oid(source);
	foreach (lc, find_all_inheritors(source, NoLock, NULL))
	{
		if (get_rel_relkind(lfirst_oid(lc)) != RELKIND_PARTITIONED_TABLE)
			tables = lappend_oid(tables, lfirst_oid(lc));
	}
	return tables;
}

/* Changes an expansion over the root into one over a partition, whose columns may have other numbers. */
void
OutboxExpansionToPartition(OutboxViewExpansion *expansion, Oid partition)
{
	Relation root = OutboxOpenWithoutWait(expansion->root);
	Relation rel = relation_open(partition, AccessShareLock);
	ListCell *lc;

	expansion->columns = map_partition_varattnos(expansion->columns, OUTBOX_ROOT_VARNO, rel, root);
	if (expansion->qual)
		expansion->qual = linitial(map_partition_varattnos(list_make1(expansion->qual), OUTBOX_ROOT_VARNO, rel, root));
	relation_close(rel, NoLock);
	relation_close(root, NoLock);

	expansion->root_columns = NULL;
	pull_varattnos((Node *) expansion->columns, OUTBOX_ROOT_VARNO, &expansion->root_columns);
	pull_varattnos(expansion->qual, OUTBOX_ROOT_VARNO, &expansion->root_columns);
	/* a change at any level may change the partition's columns, or its parent */
	foreach (lc, get_partition_ancestors(partition))
		expansion->relations = list_append_unique_oid(expansion->relations, lfirst_oid(lc));
	expansion->relations = list_append_unique_oid(expansion->relations, partition);
}

/* Does the table hold a row? A foreign table counts as one that does. */
bool
OutboxTableHasRows(Oid table)
{
	Relation rel;
	Snapshot snapshot;
	TableScanDesc scan;
	TupleTableSlot *slot;
	bool found;

	if (get_rel_relkind(table) != RELKIND_RELATION)
		return true;
	rel = table_open(table, AccessShareLock);
	/* the transaction's own snapshot may be older than the rows */
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	slot = table_slot_create(rel, NULL);
	scan = OutboxBeginScan(rel, snapshot);
	found = table_scan_getnextslot(scan, ForwardScanDirection, slot);
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
	return found;
}
