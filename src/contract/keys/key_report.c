/*-------------------------------------------------------------------------
 *
 * key_report.c
 *	  A key is not proven: what is missing, in words that can be followed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "compat.h"
#include "contract/keys/keys_private.h"
#include "contract/plan/plan.h"
#include "util/util.h"

static char *partial_hint(Relation root, const List *columns);
OUTBOX_NORETURN static void report_nullable(Relation root, const char *key, const List *columns);

/*
 * Raises: why the key is not proven, and what is missing. `nullable`: the columns of the index that came closest; the
 * partial one's, when that did.
 */
void
OutboxReportUnproven(Relation root, OutboxIndexVerdict best, const List *key, const List *nullable)
{
	const char *names = OutboxKeyNames(key);

	if (best == INDEX_NULLABLE)
		report_nullable(root, names, nullable);
	if (best == INDEX_PARTIAL && partial_hint(root, nullable))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("the key (%s) is not proven unique", names),
				 errdetail("The view may have rows that are not in the partial unique index of \"%s\" over these columns.", RelationGetRelationName(root)),
				 errhint("Let the view have the condition of the index: WHERE %s.", partial_hint(root, nullable))));
	if (root->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("the key (%s) is not proven unique", names),
				 errdetail("The source columns behind it contain no unique index of \"%s\", nor one of each of its partitions, that is valid, not deferrable and over plain columns.",
						   RelationGetRelationName(root)),
				 errhint("Add the partition key to the view and the key; or, for a key that a row keeps when it moves to another partition, create a unique index over the key, whose columns are NOT NULL, on every partition.")));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
			 errmsg("the key (%s) is not proven unique", names),
			 errdetail("The source columns behind it contain no unique index of \"%s\" that is valid, not deferrable and over plain columns.",
					   RelationGetRelationName(root)),
			 errhint("Add the missing key columns to the view and the key, or create a unique index on the source, over columns that are NOT NULL.")));
}

/* The condition of a partial index over these columns, as text for the view's WHERE clause. */
static char *
partial_hint(Relation root, const List *columns)
{
	ListCell *lc;

	foreach (lc, RelationGetIndexList(root))
	{
		Relation index = index_open(lfirst_oid(lc), AccessShareLock);
		OutboxKeyFacts facts = {.root = RelationGetRelid(root), .reads = columns};
		List *found = NIL;
		List *predicate = NIL;
		bool partial = OutboxJudgeIndex(root, index, &facts, &found) == INDEX_PARTIAL && OutboxIndexPredicate(index, &predicate);

		index_close(index, AccessShareLock);
		if (partial)
			return deparse_expression((Node *) make_ands_explicit(predicate), deparse_context_for(RelationGetRelationName(root), RelationGetRelid(root)), false, false);
	}
	return NULL;
}

/* a, b, c */
char *
OutboxKeyNames(const List *names)
{
	StringInfoData out;
	ListCell *lc;

	initStringInfo(&out);
	foreach (lc, names)
		appendStringInfo(&out, "%s%s", out.len ? ", " : "", (char *) lfirst(lc));
	return out.data;
}

static void
report_nullable(Relation root, const char *key, const List *columns)
{
	StringInfoData names;
	StringInfoData actions;
	ListCell *lc;

	initStringInfo(&names);
	initStringInfo(&actions);
	foreach (lc, columns)
	{
		appendStringInfo(&names, "%s\"%s\"", names.len ? ", " : "", (char *) lfirst(lc));
		appendStringInfo(&actions, "%sALTER COLUMN %s SET NOT NULL", actions.len ? ", " : "", quote_identifier(lfirst(lc)));
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
			 errmsg_plural("the key (%s) is not proven unique: column %s of \"%s\" may be NULL",
						   "the key (%s) is not proven unique: columns %s of \"%s\" may be NULL",
						   list_length(columns), key, names.data, RelationGetRelationName(root)),
			 errdetail("A unique index allows any number of NULLs."),
			 errhint("ALTER TABLE %s %s; Or leave rows with NULL out of the view, or create the unique index with NULLS NOT DISTINCT.",
					 OutboxQualifiedName(RelationGetRelid(root)), actions.data)));
}
