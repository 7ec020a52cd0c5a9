/*-------------------------------------------------------------------------
 *
 * key.c
 *	  Proving that a contract's key is unique.
 *
 * A key is accepted when the source columns that its expressions read contain
 * all columns of a valid, immediate, non-partial unique index over NOT NULL
 * columns. Order per key rests on it: writers of one key then queue on one
 * row. An expression such as btrim(cust_no) may map two rows to one key; that
 * is accepted, because legacy keys are padded that way, and derived_key.c makes
 * an advice of it.
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
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "catalog/contract_config.h"
#include "contract/key.h"
#include "contract/partition.h"

/* How close an index came, for the message. */
typedef enum IndexVerdict
{
	INDEX_UNSUITABLE,  /* not unique, partial, deferrable, invalid, over expressions */
	INDEX_NOT_COVERED, /* has columns that the key does not read */
	INDEX_NULLABLE,    /* covered, but a column may be NULL */
	INDEX_PROVES
} IndexVerdict;

static IndexVerdict judge_root(Relation root, const List *reads, List **columns);
static IndexVerdict judge_table(Relation table, const List *reads, List **columns);
static IndexVerdict judge_partitions(Relation root, const List *reads, List **columns);
static List *key_reads(const OutboxViewExpansion *expansion, const List *key);
static IndexVerdict judge_index(Relation table, Relation index, const List *reads, List **columns);
static void report_unproven(Relation root, IndexVerdict best, const List *key, const List *nullable);

List *
OutboxProveKey(const OutboxViewExpansion *expansion, const List *key)
{
	return OutboxProveUnique(expansion->root, key_reads(expansion, key), key);
}

List *
OutboxProveUnique(Oid root_oid, const List *reads, const List *key)
{
	Relation root = relation_open(root_oid, AccessShareLock);
	List *columns;
	IndexVerdict verdict = judge_root(root, reads, &columns);

	if (verdict != INDEX_PROVES)
		report_unproven(root, verdict, key, columns);
	relation_close(root, NoLock);
	return columns;
}

bool
OutboxIsUnique(Oid root_oid, const List *reads)
{
	Relation root = relation_open(root_oid, AccessShareLock);
	List *columns;
	bool unique = judge_root(root, reads, &columns) == INDEX_PROVES;

	relation_close(root, NoLock);
	return unique;
}

static IndexVerdict
judge_root(Relation root, const List *reads, List **columns)
{
	IndexVerdict verdict = judge_table(root, reads, columns);

	if (verdict != INDEX_PROVES && root->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		verdict = judge_partitions(root, reads, columns);
	return verdict;
}

/* The table's best index. *columns as of judge_index. */
static IndexVerdict
judge_table(Relation table, const List *reads, List **columns)
{
	IndexVerdict best = INDEX_UNSUITABLE;
	ListCell *lc;

	*columns = NIL;
	foreach (lc, RelationGetIndexList(table))
	{
		Relation index = index_open(lfirst_oid(lc), AccessShareLock);
		List *found = NIL;
		IndexVerdict verdict = judge_index(table, index, reads, &found);

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
 * A unique index of a partitioned table always has the partition key in it. A
 * key that is to stay the same when its row moves is proven by an index of
 * every partition instead; that no two partitions have the same key is then
 * the application's word.
 */
static IndexVerdict
judge_partitions(Relation root, const List *reads, List **columns)
{
	IndexVerdict worst = INDEX_PROVES;
	List *partitions = OutboxSourceTables(RelationGetRelid(root));
	ListCell *lc;

	*columns = NIL;
	if (partitions == NIL)
		return INDEX_UNSUITABLE;
	foreach (lc, partitions)
	{
		Relation partition = relation_open(lfirst_oid(lc), AccessShareLock);
		List *found;
		IndexVerdict verdict = judge_table(partition, reads, &found);

		relation_close(partition, NoLock);
		if (verdict < worst || *columns == NIL)
			*columns = found;
		worst = Min(worst, verdict);
	}
	return worst;
}

void
OutboxCheckKey(const OutboxViewExpansion *expansion, const List *key, const List *root_key)
{
	OutboxCheckKeyReads(expansion->view, expansion->root, list_length(key_reads(expansion, key)), root_key);
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
				 errhint("Restore the key's columns in the view, or drop the contract and create it again with another key.")));
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

/* *columns: all of the index's columns when it proves, the nullable ones when it would. */
static IndexVerdict
judge_index(Relation table, Relation index, const List *reads, List **columns)
{
	Form_pg_index form = index->rd_index;
	List *nullable = NIL;

	if (!form->indisunique || !form->indimmediate || !form->indisvalid || !form->indisready ||
		RelationGetIndexPredicate(index) != NIL || RelationGetIndexExpressions(index) != NIL)
		return INDEX_UNSUITABLE;
	for (int i = 0; i < form->indnkeyatts; i++)
	{
		AttrNumber attno = form->indkey.values[i];
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(table), attno - 1);
		char *name = pstrdup(NameStr(attribute->attname));

		if (!OutboxNameListMember(reads, name))
			return INDEX_NOT_COVERED;
		*columns = lappend(*columns, name);
		if (!attribute->attnotnull)
			nullable = lappend(nullable, name);
	}
	if (nullable == NIL)
		return INDEX_PROVES;
	*columns = nullable;
	return INDEX_NULLABLE;
}

static void
report_unproven(Relation root, IndexVerdict best, const List *key, const List *nullable)
{
	StringInfoData names;
	ListCell *lc;

	initStringInfo(&names);
	foreach (lc, key)
		appendStringInfo(&names, "%s%s", names.len ? ", " : "", (char *) lfirst(lc));
	if (best == INDEX_NULLABLE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("the key (%s) is not proven unique: column \"%s\" of \"%s\" may be NULL",
						names.data, (char *) linitial(nullable), RelationGetRelationName(root)),
				 errdetail("A unique index allows any number of NULLs."),
				 errhint("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL, or choose another key.",
						 quote_identifier(RelationGetRelationName(root)),
						 quote_identifier(linitial(nullable)))));
	if (root->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("the key (%s) is not proven unique", names.data),
				 errdetail("The source columns behind it contain no unique index of \"%s\", nor one of each of its partitions, that is valid, not deferrable, not partial and over plain columns.",
						   RelationGetRelationName(root)),
				 errhint("Add the partition key to the view and the key; or, for a key that a row keeps when it moves to another partition, create a unique index over the key on every partition.")));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
			 errmsg("the key (%s) is not proven unique", names.data),
			 errdetail("The source columns behind it contain no unique index of \"%s\" that is valid, not deferrable, not partial and over plain columns.",
					   RelationGetRelationName(root)),
			 errhint("Add the missing key columns to the view and the key, or create a unique index on the source.")));
}
