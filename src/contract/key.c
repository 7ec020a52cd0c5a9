/*-------------------------------------------------------------------------
 *
 * key.c
 *	  Proving that a contract's key is unique.
 *
 * A key is accepted when the source columns that its expressions read contain
 * all columns of a valid, immediate, non-partial unique index over NOT NULL
 * columns. Order per key rests on it: writers of one key then queue on one
 * row. An expression such as btrim(cust_no) may map two rows to one key; that
 * is accepted, because legacy keys are padded that way.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "catalog/pg_index.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "contract/key.h"

/* How close an index came, for the message. */
typedef enum IndexVerdict
{
	INDEX_UNSUITABLE,			/* not unique, partial, deferrable, invalid, over expressions */
	INDEX_NOT_COVERED,			/* has columns that the key does not read */
	INDEX_NULLABLE,				/* covered, but a column may be NULL */
	INDEX_PROVES
} IndexVerdict;

static Bitmapset *key_reads(const OutboxViewExpansion *expansion, const List *key);
static IndexVerdict judge_index(Relation root, Relation index, Bitmapset *reads, List **columns);
static void report_unproven(Relation root, IndexVerdict best, const List *key, const List *nullable);

List *
OutboxProveKey(const OutboxViewExpansion *expansion, const List *key)
{
	Bitmapset  *reads = key_reads(expansion, key);
	Relation	root = relation_open(expansion->root, AccessShareLock);
	IndexVerdict best = INDEX_UNSUITABLE;
	List	   *nullable = NIL;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(root))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		List	   *columns = NIL;
		IndexVerdict verdict = judge_index(root, index, reads, &columns);

		index_close(index, NoLock);
		if (verdict == INDEX_PROVES)
		{
			relation_close(root, NoLock);
			return columns;
		}
		if (verdict == INDEX_NULLABLE)
			nullable = columns;
		best = Max(best, verdict);
	}
	report_unproven(root, best, key, nullable);
	return NIL;
}

void
OutboxCheckKey(const OutboxViewExpansion *expansion, const List *key, const List *root_key)
{
	if (bms_num_members(key_reads(expansion, key)) < list_length(root_key))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("the key of the view \"%s\" is not unique any more", get_rel_name(expansion->view)),
				 errdetail("It was proven by %d columns of \"%s\", and the view was replaced by one whose key reads fewer.",
						   list_length(root_key), get_rel_name(expansion->root)),
				 errhint("Restore the key's columns in the view, or drop the contract and create it again with another key.")));
}

/* The root's columns that the key's expressions read, offset as pull_varattnos has them. */
static Bitmapset *
key_reads(const OutboxViewExpansion *expansion, const List *key)
{
	Bitmapset  *reads = NULL;
	ListCell   *lc;

	foreach(lc, expansion->columns)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);
		ListCell   *name;

		foreach(name, key)
		{
			if (strcmp(entry->resname, lfirst(name)) == 0)
				pull_varattnos((Node *) entry->expr, 1, &reads);
		}
	}
	return reads;
}

/* *columns: all of the index's columns when it proves, the nullable ones when it would. */
static IndexVerdict
judge_index(Relation root, Relation index, Bitmapset *reads, List **columns)
{
	Form_pg_index form = index->rd_index;
	List	   *nullable = NIL;

	if (!form->indisunique || !form->indimmediate || !form->indisvalid || !form->indisready ||
		RelationGetIndexPredicate(index) != NIL || RelationGetIndexExpressions(index) != NIL)
		return INDEX_UNSUITABLE;
	for (int i = 0; i < form->indnkeyatts; i++)
	{
		AttrNumber	attno = form->indkey.values[i];
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(root), attno - 1);
		char	   *name = pstrdup(NameStr(attribute->attname));

		if (!bms_is_member(attno - FirstLowInvalidHeapAttributeNumber, reads))
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
	ListCell   *lc;

	initStringInfo(&names);
	foreach(lc, key)
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
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
			 errmsg("the key (%s) is not proven unique", names.data),
			 errdetail("The source columns behind it contain no unique index of \"%s\" that is valid, not deferrable, not partial and over plain columns.",
					   RelationGetRelationName(root)),
			 errhint("Add the missing key columns to the view and the key, or create a unique index on the source.")));
}
