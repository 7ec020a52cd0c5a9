/*-------------------------------------------------------------------------
 *
 * view.h
 *	  A contract's view as a query tree: expanded, surveyed, followed to its source.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONTRACT_VIEW_VIEW_H
#define OUTBOX_CONTRACT_VIEW_VIEW_H

#include "access/attnum.h"
#include "access/tupdesc.h"
#include "nodes/bitmapset.h"
#include "nodes/nodes.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "nodes/primnodes.h"
#include "parser/parse_node.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"

#include "catalog/outbox_catalog.h"
#include "contract/environment/environment.h"
#include "contract/reach/reach.h"

/* ---- cached_expression.c: Planned expressions over a row, which know when they are out of date. ---- */

extern CachedExpression *OutboxCacheExpression(const void *expressions, MemoryContext context);

/* ---- expression.c: Conditions over a contract's rows, and what expressions may do. ---- */

/* Vars of a parsed condition: the contract row before and after. */
#define OUTBOX_OLD_VARNO 1
#define OUTBOX_NEW_VARNO 2
#define OUTBOX_ROW_VARNO 3 /* checks: the published row */

extern Node *OutboxParseCondition(const char *text, Oid view, const char *owner, bool pinned);
extern Node *OutboxParseCheck(const char *text, Oid view, const char *owner, bool pinned);
extern void OutboxRefuseVolatile(Node *expression, const char *owner);
extern OutboxTraits OutboxExpressionTraits(Node *expression);
extern OutboxTraits OutboxTextTraits(Oid type);

/* ---- key_view.c: The view that a source's key_query is kept as. ---- */

/* What a key_query calls the changed row. */
#define OUTBOX_KEY_ROW_NAME "row"

/* ---- key_view_read.c: read ---- */

typedef struct OutboxKeyView
{
	const char *what; /* for messages: "the key_query of source \"x\"" */
	Oid source;
	Query *query;       /* the LATERAL one: row.<column> is a Var of entry 1 of the query around it */
	ParseState *pstate; /* while its text is parsed, for positions in it */
} OutboxKeyView;

extern Oid OutboxCreateKeyView(const OutboxContractConfig *config, Oid source, const char *text, TupleDesc lookup);
extern void OutboxDropKeyView(Oid view);
extern bool OutboxIsKeyView(Oid view);
extern void OutboxKeyViewsFollowOwner(const OutboxContractConfig *config);
extern void OutboxCheckKeyColumns(const char *what, const List *targets, TupleDesc lookup);
extern OutboxKeyView *OutboxReadKeyView(const OutboxContractConfig *config, const OutboxSourceConfig *source);
extern bool OutboxKeyViewIsPlain(const OutboxKeyView *view);
extern List *OutboxKeyViewExpressions(const OutboxKeyView *view, Oid relation, Bitmapset **reads);
extern Query *OutboxKeyViewQuery(const OutboxKeyView *view, Oid relation, Bitmapset **reads);
extern List *OutboxKeyViewColumns(const OutboxSourceConfig *source, bool *alone);

/* ---- view_expand.c: A contract's view as expressions over the columns of its root table. ---- */

/* The root's number in the Vars of an expansion. */
#define OUTBOX_ROOT_VARNO 1

/* A role reads columns of a relation: from the permission records of views. */
typedef struct OutboxViewAccess
{
	Oid relation;
	Oid role;           /* the owner of the view that reads it */
	Bitmapset *columns; /* attno - FirstLowInvalidHeapAttributeNumber */
} OutboxViewAccess;

typedef struct OutboxViewExpansion
{
	Oid view;
	Oid root;                /* the one table that is read */
	List *columns;           /* of TargetEntry *, one per view column, Vars have OUTBOX_ROOT_VARNO */
	Node *qual;              /* the views' WHERE clauses, ANDed; NULL: none */
	List *relations;         /* OIDs of everything expanded: the views and the root */
	List *access;            /* of OutboxViewAccess * */
	Bitmapset *root_columns; /* root columns that columns or qual read, offset as above */
	char *blocker;           /* why it cannot be evaluated per row (a noun phrase), or NULL */
} OutboxViewExpansion;

extern OutboxViewExpansion *OutboxExpandView(Oid view);
extern void OutboxCheckViewAccess(const List *access, Oid view);

/* ---- partition.c: Partitioned tables as sources. ---- */

extern Oid OutboxTriggerTable(Oid trigger, Oid relation);
extern bool OutboxTriggerIsOurs(Oid trigger, Oid relation);
extern bool OutboxIsWithin(Oid relation, Oid root);
extern bool OutboxIsWithinSource(const OutboxContractConfig *config, Oid relation);
extern List *OutboxAllSources(void);
extern bool OutboxIsWithinAnySource(Oid relation);
extern List *OutboxFormerAncestors(Oid relation);
extern List *OutboxSourceTables(Oid source);
extern void OutboxExpansionToPartition(OutboxViewExpansion *expansion, Oid partition);
extern bool OutboxTableHasRows(Oid table);

/* ---- root_condition.c: The conditions of a view on the rows of its root. ---- */

extern List *OutboxRootConditions(const List *levels);
extern List *OutboxConditionList(Node *qual);
extern bool OutboxExcludesNull(Oid root, AttrNumber column, const List *conditions);

/* ---- root_path.c: Where in a view's query tree the rows of its root come from. ---- */

/* One query between the view and its root, and which of its range table entries leads on. */
typedef struct OutboxRootLevel
{
	Query *query;
	int varno;
} OutboxRootLevel;

typedef struct OutboxRootPath
{
	List *levels; /* of OutboxRootLevel *, the view's own query first */
	List *lookup; /* of Var *: the root's columns behind the key, in key order */
} OutboxRootPath;

extern OutboxRootPath *OutboxFindRoot(const OutboxContractConfig *config, Query *query);
extern List *OutboxRootKey(const OutboxContractConfig *config, Query *query, List **levels);
extern Node *OutboxBaseExpression(Query *query, Node *node, RangeTblEntry **rte, int *varno);

/* ---- push_lookup.c: A condition on the root's rows, put where the view reads them. ---- */

extern void OutboxPushLookup(const OutboxContractConfig *config, const OutboxRootPath *path, Oid **array_types);

/* ---- row_types.c: The types behind a contract's columns and expressions. ---- */

/* Types whose changes outdate what was proven about them. Begin with zeros. All lists are in the current memory context. */
typedef struct OutboxRowTypes
{
	List *types;     /* OIDs of those that were looked at */
	List *objects;   /* of PlanInvalItem *: types */
	List *relations; /* OIDs, behind composite types */
} OutboxRowTypes;

extern void OutboxAddRowTypes(OutboxRowTypes *types, TupleDesc desc);
extern void OutboxAddExpressionTypes(OutboxRowTypes *types, Node *expression);

/* ---- sql_function.c: Functions in SQL that the planner does not replace by their bodies. ---- */

extern Oid OutboxFindSqlFunction(Node *planned);
extern char *OutboxInlineHint(Oid function);

/* ---- stored_view.c: Creating a dropped view again as it was. ---- */

/* The commands of outbox_internal.view_commands() for a view that was dropped. */
typedef struct OutboxStoredView
{
	char *name; /* qualified and quoted */
	char *owner;
	List *commands;      /* CREATE VIEW first */
	bool replaces;       /* the view exists and keeps its grants */
	const char *running; /* the command that is being run */
} OutboxStoredView;

extern List *OutboxStoredViewAdd(List *views, char *name, char *owner, char *role, char *command);
extern void OutboxCheckViewOwner(const char *view, const char *owner);
extern void OutboxCreateStoredView(OutboxStoredView *view);
extern void OutboxCommandScopeBegin(OutboxEvaluation *scope, Oid role);
extern void OutboxCommandScopeEnd(const OutboxEvaluation *scope);
extern void OutboxRunAsCaller(const char *command);

/* ---- view_owner.c: Whose rights a contract is evaluated with: the owner of its view. ---- */

extern char *OutboxRoleId(Oid role);
extern char *OutboxRoleName(const char *name, const char *id);
extern bool OutboxViewOwnerChanged(const OutboxContractConfig *config);
extern void OutboxCheckViewOwnerUnchanged(const OutboxContractConfig *config);

/* ---- view_survey.c: Everything a query reads, through views over views. ---- */

typedef struct OutboxViewSurvey
{
	const char *subject; /* whose query it is, for messages: "the view \"x\"" */
	List *relations;     /* OIDs of all tables and views, in the order met */
	List *access;        /* of OutboxViewAccess * */
	char *reader;        /* a function that may read tables by itself, or NULL */
} OutboxViewSurvey;

extern Query *OutboxViewQuery(Oid view);
extern Query *OutboxRewrittenView(Oid view);
extern OutboxViewSurvey *OutboxSurveyView(Oid view);
extern void OutboxSurveyQuery(OutboxViewSurvey *survey, Query *query);
extern Bitmapset *OutboxSurveyColumns(const OutboxViewSurvey *survey, Oid relation);

#endif /* OUTBOX_CONTRACT_VIEW_VIEW_H */
