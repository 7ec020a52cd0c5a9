/*-------------------------------------------------------------------------
 *
 * view_survey.c
 *	  Everything a query reads, through views over views.
 *
 * A change of any relation behind its view outdates a contract that joins. Such a
 * contract is read with the rights of the views' owners, and skips updates of
 * columns that it does not read. All of this follows from the views' own range
 * tables and permission records. They are walked here, before the rewriter merges
 * them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteHandler.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/codes/codes.h"
#include "contract/view/view_private.h"

typedef struct SurveyContext
{
	OutboxViewSurvey *survey;
	Oid view; /* the one whose query is walked; InvalidOid: a query that is no view's */
} SurveyContext;

static void check_readable(Oid relation, const char *subject);
static void survey_view(SurveyContext *context, Relation rel);
static bool survey_walker(Node *node, void *arg);
static void survey_query(SurveyContext *context, Query *query);
static void survey_relation(SurveyContext *context, Query *query, RangeTblEntry *rte);
static bool reads_by_itself(Oid function, void *arg);
static void refuse(const char *subject, const char *what, const char *name, const char *hint);

/* A copy of the view's query as it was written. Keeps a lock where that takes no waiting, and waits for nobody. */
Query *
OutboxViewQuery(Oid view)
{
	Relation rel = OutboxOpenWithoutWait(view);
	Query *query = copyObject(get_view_query(rel));

	relation_close(rel, NoLock);
	return query;
}

/* A copy of the view's query with all views in it expanded. Locks the relations that it reads, and may wait for them. */
Query *
OutboxRewrittenView(Oid view)
{
	Relation rel = relation_open(view, AccessShareLock);
	Query *query = copyObject(get_view_query(rel));

	relation_close(rel, NoLock);
	AcquireRewriteLocks(query, true, false);
	return linitial_node(Query, QueryRewrite(query));
}

/*
 * Surveys a view. Where that takes no waiting, the relations that it reads are
 * locked in AccessShareLock until the end of the transaction. Raises, naming the
 * construct and the remedy, for constructs that must not be read at commit: foreign
 * and temporary tables, views with security_invoker, row locks, samples.
 */
OutboxViewSurvey *
OutboxSurveyView(Oid view)
{
	OutboxViewSurvey *survey = palloc0(sizeof(OutboxViewSurvey));
	SurveyContext context = {.survey = survey};
	Relation rel = OutboxOpenWithoutWait(view);

	if (rel->rd_rel->relkind != RELKIND_VIEW)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a view", RelationGetRelationName(rel)),
				 errhint("A contract is a view: CREATE VIEW it in canonical names and types first.")));
	survey->subject = psprintf("the view \"%s\"", RelationGetRelationName(rel));
	survey_view(&context, rel);
	relation_close(rel, NoLock);
	return survey;
}

/* Surveys an analysed query that is not a view's, in the same way. The caller has set survey->subject. */
void
OutboxSurveyQuery(OutboxViewSurvey *survey, Query *query)
{
	SurveyContext context = {.survey = survey};

	survey_query(&context, query);
}

/*
 * The columns of a relation that the query reads: attno -
 * FirstLowInvalidHeapAttributeNumber. A member for attribute 0 means all columns.
 */
Bitmapset *
OutboxSurveyColumns(const OutboxViewSurvey *survey, Oid relation)
{
	Bitmapset *columns = NULL;
	ListCell *lc;

	foreach (lc, survey->access)
	{
		OutboxViewAccess *access = lfirst(lc);

		if (access->relation == relation)
			columns = bms_add_members(columns, access->columns);
	}
	return columns;
}

/* Raises for a table of a kind that must not be read, or with such a table as partition. */
static void
check_readable(Oid relation, const char *subject)
{
	ListCell *lc;

	foreach (lc, find_all_inheritors(relation, NoLock, NULL))
	{
		Oid table = lfirst_oid(lc);

		if (get_rel_relkind(table) == RELKIND_FOREIGN_TABLE)
			refuse(subject, "the foreign table", get_rel_name(table),
				   "Copy what the contract needs into an ordinary table; another server must not decide whether a transaction commits.");
		if (get_rel_persistence(table) == RELPERSISTENCE_TEMP)
			refuse(subject, "the temporary table", get_rel_name(table),
				   "Use a permanent table; other sessions have no such table.");
	}
}

static void
survey_view(SurveyContext *context, Relation rel)
{
	SurveyContext inner = {.survey = context->survey, .view = RelationGetRelid(rel)};

	check_stack_depth();
	context->survey->relations = list_append_unique_oid(context->survey->relations, RelationGetRelid(rel));
	if (RelationHasSecurityInvoker(rel))
		refuse(context->survey->subject, "the security_invoker view", RelationGetRelationName(rel),
			   "ALTER VIEW it RESET (security_invoker): a contract is read with the rights of the views' owners, whoever writes.");
	survey_query(&inner, copyObject(get_view_query(rel)));
}

static bool
survey_walker(Node *node, void *arg)
{
	SurveyContext *context = arg;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		survey_query(context, (Query *) node);
		return false;
	}
	(void) check_functions_in_node(node, reads_by_itself, context->survey);
	return expression_tree_walker(node, survey_walker, arg);
}

static void
survey_query(SurveyContext *context, Query *query)
{
	ListCell *lc;

	if (query->rowMarks)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s must not lock rows", context->survey->subject),
				 errhint("Leave the locking clause out.")));
	foreach (lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		/* until PostgreSQL 15 a view's query carries two entries for the view itself */
		if (rte->rtekind == RTE_RELATION && rte->relid != context->view)
			survey_relation(context, query, rte);
	}
	(void) query_tree_walker(query, survey_walker, context, 0);
}

static void
survey_relation(SurveyContext *context, Query *query, RangeTblEntry *rte)
{
	OutboxViewSurvey *survey = context->survey;
	OutboxViewAccess *access = palloc0(sizeof(OutboxViewAccess));
	Relation rel = OutboxOpenWithoutWait(rte->relid);

	access->relation = rte->relid;
	OutboxGetSelectAccess(query, rte, &access->role, &access->columns);
	if (!OidIsValid(access->role))
		access->role = GetUserId();
	survey->access = lappend(survey->access, access);
	if (rte->tablesample)
		refuse(survey->subject, "a sample of", RelationGetRelationName(rel), "Leave TABLESAMPLE out.");
	if (rel->rd_rel->relkind == RELKIND_VIEW)
		survey_view(context, rel);
	else
	{
		check_readable(rte->relid, survey->subject);
		survey->relations = list_append_unique_oid(survey->relations, rte->relid);
	}
	relation_close(rel, NoLock);
}

/* May the function read tables? Functions in SQL or a procedural language may, unless they are declared immutable. */
static bool
reads_by_itself(Oid function, void *arg)
{
	OutboxViewSurvey *survey = arg;
	HeapTuple tuple;
	Form_pg_proc form;

	if (function < FirstNormalObjectId || survey->reader || OutboxIsDecode(function))
		return false;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	form = (Form_pg_proc) GETSTRUCT(tuple);
	if (form->prolang != INTERNALlanguageId && form->prolang != ClanguageId &&
		form->provolatile != PROVOLATILE_IMMUTABLE)
		survey->reader = pstrdup(NameStr(form->proname));
	ReleaseSysCache(tuple);
	return false;
}

static void
refuse(const char *subject, const char *what, const char *name, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s must not read %s \"%s\"", subject, what, name),
			 errhint("%s", hint)));
}
