/*-------------------------------------------------------------------------
 *
 * index_hint.c
 *	  Which indexes a contract's query would need.
 *
 * The query's own equalities show by which columns a table is joined
 * (join_column.c). Each column is tried: the query is planned as if the column
 * had an index. The hint asks for the indexes with which the table is not scanned
 * any more, so that the query is accepted once they exist.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "catalog/outbox_catalog.h"
#include "contract/plan/plan_private.h"
#include "util/util.h"

/* What was found out for the hint. */
typedef struct IndexSearch
{
	const Query *query;
	const char *text;
	List *trials;  /* of OutboxTrialIndex *, those that help */
	List *scanned; /* tables that are scanned in spite of them */
	StringInfoData hint;
} IndexSearch;

static char *table_names(const List *relations);
static void search_indexes(IndexSearch *search, Oid relation);
static bool one_index_helps(IndexSearch *search, Oid relation, const List *columns);
static bool all_indexes_help(IndexSearch *search, Oid relation, const List *columns);
static List *scanned_with(IndexSearch *search, List *trials);
static void say_remedy(IndexSearch *search, Oid relation, const List *columns);
static bool has_index(const OutboxJoinColumn *column);
static char *index_column(const OutboxTrialIndex *trial);

/*
 * Raises the error that the query would scan these tables: OIDs, as of
 * OutboxScannedTables(). The hint names the indexes with which it would not, or
 * says what else helps. `subject` says whose query it is, for the message.
 */
void
OutboxRefuseScans(const Query *query, const char *text, const char *subject, List *scanned)
{
	IndexSearch search = {.query = query, .text = text, .scanned = scanned};
	List *tables = NIL;
	ListCell *lc;

	initStringInfo(&search.hint);
	foreach (lc, scanned)
		tables = list_append_unique_oid(tables, lfirst_oid(lc));
	foreach (lc, tables)
		search_indexes(&search, lfirst_oid(lc));
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s would scan %s for every change", subject, table_names(tables)),
			 errdetail("Each table behind it must be found through an index, however small it is today."),
			 errhint("%s", search.hint.data),
			 list_length(tables) == 1 ? err_generic_string(PG_DIAG_TABLE_NAME, get_rel_name(linitial_oid(tables))) : 0));
}

static char *
table_names(const List *relations)
{
	StringInfoData names;
	ListCell *lc;

	initStringInfo(&names);
	foreach (lc, relations)
		appendStringInfo(&names, "%s\"%s\"", names.len ? ", " : "", get_rel_name(lfirst_oid(lc)));
	return names.data;
}

/* Appends to the hint what helps against scans of this table. */
static void
search_indexes(IndexSearch *search, Oid relation)
{
	List *columns = OutboxJoinColumns(search->query, relation);
	bool helped = false;

	if (search->hint.len && list_member_oid(search->scanned, relation))
		appendStringInfoChar(&search->hint, ' ');
	while (list_member_oid(search->scanned, relation))
	{
		if (helped)
			appendStringInfoChar(&search->hint, ' ');
		helped = one_index_helps(search, relation, columns) || all_indexes_help(search, relation, columns);
		if (!helped)
		{
			say_remedy(search, relation, columns);
			break;
		}
	}
}

/* Tries one index. The hint names all columns of the same reading of the table that help as much as the first. */
static bool
one_index_helps(IndexSearch *search, Oid relation, const List *columns)
{
	int before = list_length(search->scanned);
	List *trials = search->trials;
	const RangeTblEntry *reading = NULL;
	StringInfoData names;
	ListCell *lc;

	initStringInfo(&names);
	foreach (lc, columns)
	{
		OutboxJoinColumn *column = lfirst(lc);
		List *more = lappend(list_copy(trials), &column->index);
		List *scanned;

		if (reading && column->reading != reading)
			continue;
		scanned = scanned_with(search, more);
		if (list_length(scanned) >= before)
			continue;
		reading = column->reading;
		if (names.len == 0)
		{
			search->trials = more;
			search->scanned = scanned;
		}
		appendStringInfo(&names, "%s%s", names.len ? ", " : "", index_column(&column->index));
	}
	if (names.len)
		appendStringInfo(&search->hint, "CREATE INDEX ON %s (%s);", OutboxQualifiedName(relation), names.data);
	return names.len > 0;
}

/* Tries indexes on all columns together: each side of an OR takes an index of its own. */
static bool
all_indexes_help(IndexSearch *search, Oid relation, const List *columns)
{
	List *trials = list_copy(search->trials);
	List *scanned;
	bool first = true;
	ListCell *lc;

	foreach (lc, columns)
		trials = lappend(trials, &((OutboxJoinColumn *) lfirst(lc))->index);
	scanned = scanned_with(search, trials);
	if (list_length(scanned) >= list_length(search->scanned))
		return false;
	search->trials = trials;
	search->scanned = scanned;
	foreach (lc, columns)
	{
		if (!has_index(lfirst(lc)))
		{
			appendStringInfo(&search->hint, "%sCREATE INDEX ON %s (%s);", first ? "" : " ", OutboxQualifiedName(relation), index_column(lfirst(lc)));
			first = false;
		}
	}
	return true;
}

/* The tables that the query would scan if these indexes existed. */
static List *
scanned_with(IndexSearch *search, List *trials)
{
	OutboxPlannerWorld world = {.join_limit = "8", .no_statistics = true, .trial_indexes = trials};

	return OutboxScannedTables(OutboxPlanInWorld(copyObject(unconstify(Query *, search->query)), search->text, 0, &world), trials);
}

/* Where no index helps, the query has to be written in another way. */
static void
say_remedy(IndexSearch *search, Oid relation, const List *columns)
{
	const char *table = get_rel_name(relation);
	OutboxJoinColumn *column = columns ? linitial(columns) : NULL;
	char *name = column ? index_column(&column->index) : NULL;

	if (column == NULL || column->place == OUTBOX_PLACE_OR)
		appendStringInfo(&search->hint, "Join \"%s\" by equality with columns of the source, or of tables that are found by them; each side of an OR must do so.", table);
	else if (column->place == OUTBOX_PLACE_IN)
		appendStringInfo(&search->hint, "Write EXISTS or NOT EXISTS in place of IN or NOT IN, with the comparison of (%s) in the WHERE clause of the subquery that reads \"%s\".", name, table);
	else
		appendStringInfo(&search->hint, "The key does not reach \"%s\": put the condition on (%s) into the WHERE clause of the subquery that reads it, and make that subquery LATERAL.", table, name);
	if (column && column->place != OUTBOX_PLACE_OR && !has_index(column))
		appendStringInfo(&search->hint, " CREATE INDEX ON %s (%s);", OutboxQualifiedName(relation), name);
}

/* Is there a valid index without a condition that begins with the column? */
static bool
has_index(const OutboxJoinColumn *column)
{
	Relation rel = relation_open(column->index.relation, AccessShareLock);
	Node *expression = column->index.expression;
	bool found = false;
	ListCell *lc;

	foreach (lc, RelationGetIndexList(rel))
	{
		Relation index = index_open(lfirst_oid(lc), AccessShareLock);
		AttrNumber first = index->rd_index->indkey.values[0];

		List *expressions;

		if (index->rd_index->indisvalid && heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL))
			found |= first == 0 ? OutboxIndexExpressions(index, &expressions) && equal(linitial(expressions), expression)
								: IsA(expression, Var) && ((Var *) expression)->varattno == first;
		index_close(index, AccessShareLock);
	}
	relation_close(rel, AccessShareLock);
	return found;
}

/* The text of a column in CREATE INDEX. */
static char *
index_column(const OutboxTrialIndex *trial)
{
	char *text = deparse_expression(trial->expression, deparse_context_for(get_rel_name(trial->relation), trial->relation), false, false);

	/* an operator comes with its own parentheses */
	if (!IsA(trial->expression, Var) && !IsA(trial->expression, OpExpr))
		text = psprintf("(%s)", text);
	if (trial->collation == exprCollation(trial->expression))
		return text;
	return psprintf("%s COLLATE %s", text, generate_collation_name(trial->collation));
}
