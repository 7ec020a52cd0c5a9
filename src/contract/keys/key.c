/*-------------------------------------------------------------------------
 *
 * key.c
 *	  Proving that a contract's key is unique.
 *
 * A key is accepted when its expressions read all columns of a unique index. The
 * index must be valid and immediate. Its columns must not be NULL in the view, or
 * it must have NULLS NOT DISTINCT. A partial index is enough when all rows of the
 * view are in it. Order per key rests on the index: writers of one key queue on
 * one entry of it.
 *
 * An expression such as btrim(cust_no) may map two rows to one key. That is
 * accepted, because legacy keys are padded that way; derived_key.c makes an advice
 * of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/keys/keys_private.h"
#include "contract/plan/plan.h"
#include "contract/view/view.h"
#include "util/util.h"

static OutboxIndexVerdict judge_root(Relation root, const OutboxKeyFacts *facts, List **columns);
static OutboxIndexVerdict judge_table(Relation table, const OutboxKeyFacts *facts, List **columns);
static OutboxIndexVerdict judge_partitions(Relation root, const OutboxKeyFacts *facts, List **columns);
static List *key_reads(const OutboxViewExpansion *expansion, const List *key);
static bool holds_all_rows(Relation table, Relation index, const OutboxKeyFacts *facts);

/*
 * The columns (of char *) of a unique index of the root that the expressions of the
 * contract's key columns read completely. Raises an error that says what is missing
 * when there is none.
 */
List *
OutboxProveKey(const OutboxViewExpansion *expansion, const List *key)
{
	return OutboxProveUnique(expansion->root, key_reads(expansion, key), OutboxConditionList(expansion->qual), key);
}

/*
 * As OutboxProveKey(), for a key that reads these columns (of char *) of the root,
 * in a view whose rows fulfil these conditions (root_condition.c).
 */
List *
OutboxProveUnique(Oid root_oid, const List *reads, const List *conditions, const List *key)
{
	OutboxKeyFacts facts = {.root = root_oid, .reads = reads, .conditions = conditions};
	Relation root = relation_open(root_oid, AccessShareLock);
	List *columns;
	OutboxIndexVerdict verdict = judge_root(root, &facts, &columns);

	if (verdict != INDEX_PROVES)
		OutboxReportUnproven(root, verdict, key, columns);
	relation_close(root, NoLock);
	return columns;
}

/* Do these columns (of char *) of the root contain all columns of an index that proves a key? Never raises for a missing one. */
bool
OutboxIsUnique(Oid root_oid, const List *reads, const List *conditions)
{
	OutboxKeyFacts facts = {.root = root_oid, .reads = reads, .conditions = conditions};
	Relation root = relation_open(root_oid, AccessShareLock);
	List *columns;
	bool unique = judge_root(root, &facts, &columns) == INDEX_PROVES;

	relation_close(root, NoLock);
	return unique;
}

/* Do these columns tell all rows of the table apart, in the view or not? The table is the root, or a partition of it. */
bool
OutboxIsUniqueTable(Oid table_oid, const List *reads)
{
	OutboxKeyFacts facts = {.root = table_oid, .reads = reads};
	Relation table = relation_open(table_oid, AccessShareLock);
	List *columns;
	bool unique = judge_table(table, &facts, &columns) == INDEX_PROVES;

	relation_close(table, NoLock);
	return unique;
}

/*
 * Which rows of a table (the root, or a partition of it) have a proven key? The
 * condition of the partial index that proves the key, over entry 1 as the table;
 * NIL: all rows have. `reads` and `conditions` are as for OutboxProveUnique().
 */
List *
OutboxKeyPredicate(Oid table_oid, Oid root, const List *reads, const List *conditions)
{
	OutboxKeyFacts facts = {.root = root, .reads = reads, .conditions = conditions};
	Relation table = relation_open(table_oid, AccessShareLock);
	List *predicate = NIL;
	ListCell *lc;

	foreach (lc, RelationGetIndexList(table))
	{
		Relation index = index_open(lfirst_oid(lc), AccessShareLock);
		List *columns = NIL;

		if (predicate == NIL && OutboxJudgeIndex(table, index, &facts, &columns) == INDEX_PROVES)
			(void) OutboxIndexPredicate(index, &predicate);
		index_close(index, AccessShareLock);
	}
	relation_close(table, AccessShareLock);
	return predicate;
}

static OutboxIndexVerdict
judge_root(Relation root, const OutboxKeyFacts *facts, List **columns)
{
	OutboxIndexVerdict verdict = judge_table(root, facts, columns);

	if (verdict != INDEX_PROVES && root->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		verdict = judge_partitions(root, facts, columns);
	return verdict;
}

/* The verdict on the table's best index. *columns is as in OutboxJudgeIndex(). */
static OutboxIndexVerdict
judge_table(Relation table, const OutboxKeyFacts *facts, List **columns)
{
	OutboxIndexVerdict best = INDEX_UNSUITABLE;
	ListCell *lc;

	*columns = NIL;
	foreach (lc, RelationGetIndexList(table))
	{
		Relation index = index_open(lfirst_oid(lc), AccessShareLock);
		List *found = NIL;
		OutboxIndexVerdict verdict = OutboxJudgeIndex(table, index, facts, &found);

		index_close(index, NoLock);
		if (verdict > best)
		{
			best = verdict;
			*columns = found;
		}
	}
	return best;
}

/*
 * The verdict on indexes of the partitions, the worst of all. A unique index of a
 * partitioned table always contains the partition key. A key that must stay the
 * same when its row moves is proven by an index of every partition instead. Then
 * the application guarantees that no two partitions have the same key.
 */
static OutboxIndexVerdict
judge_partitions(Relation root, const OutboxKeyFacts *facts, List **columns)
{
	OutboxIndexVerdict worst = INDEX_PROVES;
	List *partitions = OutboxSourceTables(RelationGetRelid(root));
	ListCell *lc;

	*columns = NIL;
	if (partitions == NIL)
		return INDEX_UNSUITABLE;
	foreach (lc, partitions)
	{
		Relation partition = relation_open(lfirst_oid(lc), AccessShareLock);
		List *found;
		OutboxIndexVerdict verdict = judge_table(partition, facts, &found);

		relation_close(partition, NoLock);
		if (verdict < worst || *columns == NIL)
			*columns = found;
		worst = Min(worst, verdict);
	}
	return worst;
}

/*
 * Raises when the key reads fewer columns of the root than those that once proved
 * it, or when the view has rows now that the partial index behind the key does not
 * hold. Names are not compared: columns may be renamed under the view. `table` is
 * the root, or the partition whose rows are mapped; the caller writes or reads it,
 * so its indexes are locked without a wait. That the index itself is there is
 * judged when it goes (ddl/check/watch.c).
 */
void
OutboxCheckKey(const OutboxViewExpansion *expansion, Oid table_oid, const List *key, const List *root_key)
{
	OutboxKeyFacts facts = {.root = expansion->root, .reads = key_reads(expansion, key), .conditions = OutboxConditionList(expansion->qual)};
	Relation table;
	List *columns;
	OutboxIndexVerdict verdict;

	OutboxCheckKeyReads(expansion->view, expansion->root, list_length(facts.reads), root_key);
	table = relation_open(table_oid, AccessShareLock);
	verdict = judge_table(table, &facts, &columns);
	relation_close(table, NoLock);
	if (verdict == INDEX_PARTIAL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("the key of the view \"%s\" is not unique any more", get_rel_name(expansion->view)),
				 errdetail("The view was replaced by one that may have rows outside of the partial unique index of \"%s\" over %s.",
						   get_rel_name(table_oid), OutboxKeyNames(columns)),
				 errhint("Restore the condition of the index in the view's WHERE clause, or drop the contract and create it again in one transaction, with another key.")));
}

void
OutboxCheckKeyReads(Oid view, Oid root, int nreads, const List *root_key)
{
	if (nreads < list_length(root_key))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("the key of the view \"%s\" is not unique any more", get_rel_name(view)),
				 errdetail("It was proven by %d columns of \"%s\", and the view was replaced by one whose key reads fewer.",
						   list_length(root_key), get_rel_name(root)),
				 errhint("Restore the key's columns in the view, or drop the contract and create it again in one transaction, with another key.")));
}

/* Names of the root's columns that the key's expressions read. */
static List *
key_reads(const OutboxViewExpansion *expansion, const List *key)
{
	Bitmapset *attributes = NULL;
	List *names = NIL;
	int attribute = -1;
	ListCell *lc;

	foreach (lc, expansion->columns)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);
		ListCell *name;

		foreach (name, key)
		{
			if (strcmp(entry->resname, lfirst(name)) == 0)
				pull_varattnos((Node *) entry->expr, OUTBOX_ROOT_VARNO, &attributes);
		}
	}
	while ((attribute = bms_next_member(attributes, attribute)) >= 0)
		names = lappend(names, get_attname(expansion->root, attribute + FirstLowInvalidHeapAttributeNumber, false));
	return names;
}

/* Judges an index. *columns: all of its columns when it proves the key or is partial; the nullable ones when only they prevent a proof. */
OutboxIndexVerdict
OutboxJudgeIndex(Relation table, Relation index, const OutboxKeyFacts *facts, List **columns)
{
	Form_pg_index form = index->rd_index;
	List *nullable = NIL;

	if (!form->indisunique || !form->indimmediate || !form->indisvalid || !form->indisready ||
		OutboxIndexHasExpressions(index))
		return INDEX_UNSUITABLE;
	for (int i = 0; i < form->indnkeyatts; i++)
	{
		AttrNumber attno = form->indkey.values[i];
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(table), attno - 1);
		char *name = pstrdup(NameStr(attribute->attname));

		if (!OutboxNameListMember(facts->reads, name))
			return INDEX_NOT_COVERED;
		*columns = lappend(*columns, name);
		if (!attribute->attnotnull && !form->indnullsnotdistinct &&
			!OutboxExcludesNull(facts->root, get_attnum(facts->root, name), facts->conditions))
			nullable = lappend(nullable, name);
	}
	if (!holds_all_rows(table, index, facts))
		return INDEX_PARTIAL;
	if (nullable == NIL)
		return INDEX_PROVES;
	*columns = nullable;
	return INDEX_NULLABLE;
}

/* Are all rows of the view that are in the table in the index, too? */
static bool
holds_all_rows(Relation table, Relation index, const OutboxKeyFacts *facts)
{
	List *conditions = (List *) facts->conditions;
	List *predicate;

	if (!OutboxIndexPredicate(index, &predicate))
		return false;
	if (predicate == NIL)
		return true;
	if (RelationGetRelid(table) != facts->root)
		conditions = (List *) OutboxExpressionOfTable((Node *) conditions, facts->root, RelationGetRelid(table));
	return predicate_implied_by(predicate, conditions, false);
}
