/*-------------------------------------------------------------------------
 *
 * partition.h
 *	  Partitioned tables as sources.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_PARTITION_H
#define OUTBOX_PARTITION_H

#include "nodes/pg_list.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"

#include "catalog/contract_config.h"
#include "contract/view/view_expand.h"

/*
 * The relation whose trigger this is: of a row trigger that PostgreSQL copied
 * to a partition, the partitioned table that it was created on. No relation is
 * locked or opened.
 */
extern Oid OutboxTriggerTable(Oid trigger, Oid relation);

/*
 * Does it depend on the extension, itself or where it was copied from? Then enable() has created it, or the table's
 * owner may as well have: a role with the right TRIGGER alone cannot make a trigger depend on anything.
 */
extern bool OutboxTriggerIsOurs(Oid trigger, Oid relation);

/* Is the relation that root, or a partition of it at whatever depth? */
extern bool OutboxIsWithin(Oid relation, Oid root);

/* Is it one of the contract's sources, or a partition of one? */
extern bool OutboxIsWithinSource(const OutboxContractConfig *config, Oid relation);

/* The sources of all contracts, read with a snapshot taken now. */
extern List *OutboxAllSources(void);

/* Is it a source of any contract, or a partition of one? */
extern bool OutboxIsWithinAnySource(Oid relation);

/*
 * Whose partition was a table that this transaction has dropped or detached?
 * The partitioned tables, the nearest first; NIL: it was none.
 */
extern List *OutboxFormerAncestors(Oid relation);

/*
 * The tables that hold the rows of a source: its partitions that are no
 * partitioned tables themselves, or the source alone. Takes no locks.
 */
extern List *OutboxSourceTables(Oid source);

/* Changes an expansion over the root into one over a partition, whose columns may have other numbers. */
extern void OutboxExpansionToPartition(OutboxViewExpansion *expansion, Oid partition);

/* Does the table hold a row? Foreign tables count as if they did. */
extern bool OutboxTableHasRows(Oid table);

#endif /* OUTBOX_PARTITION_H */
