/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  The only place that knows PostgreSQL's version differences (15 to 19).
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_COMPAT_H
#define OUTBOX_COMPAT_H

#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "catalog/index.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_namespace.h"
#include "executor/executor.h"
#include "nodes/parsenodes.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/plancat.h"
#include "parser/parse_relation.h"
#include "pgstat.h"
#include "rewrite/rewriteManip.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/guc_tables.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#if PG_VERSION_NUM < 150000
#error "outbox_ext needs PostgreSQL 15 or later"
#endif
#if PG_VERSION_NUM >= 200000
#error "outbox_ext is tested with PostgreSQL 15 to 19; a later version needs a later outbox_ext"
#endif

#if PG_VERSION_NUM >= 160000
#include "utils/guc_hooks.h"
#include "varatt.h"
#endif
#if PG_VERSION_NUM >= 170000
#include "utils/wait_event.h"
#endif
#if PG_VERSION_NUM >= 180000
#include "storage/waiteventset.h"
#endif
#if PG_VERSION_NUM >= 190000
#include "commands/sequence_xlog.h"
#else
#include "commands/sequence.h"
#endif

/* Where a relation is stored: the node was renamed to a locator in 16. */
#if PG_VERSION_NUM >= 160000
typedef RelFileLocator OutboxRelLocator;
#define OutboxRelLocatorOf(rel) ((rel)->rd_locator)
#define OutboxSequenceRecordLocator locator
#else
typedef RelFileNode OutboxRelLocator;
#define OutboxRelLocatorOf(rel) ((rel)->rd_node)
#define OutboxSequenceRecordLocator node
#endif

/* The one relation that an executor without a plan works on; rights are apart from it since 16, pruning since 18. */
static inline void
OutboxInitRangeTable(EState *state, RangeTblEntry *entry)
{
#if PG_VERSION_NUM >= 160000
	List *infos = NIL;

	addRTEPermissionInfo(&infos, entry);
#endif
#if PG_VERSION_NUM >= 180000
	ExecInitRangeTable(state, list_make1(entry), infos, bms_make_singleton(1));
#elif PG_VERSION_NUM >= 160000
	ExecInitRangeTable(state, list_make1(entry), infos);
#else
	ExecInitRangeTable(state, list_make1(entry));
#endif
}

/* The right to VACUUM somebody else's table; there is none until 17. */
#if PG_VERSION_NUM >= 170000
#define OUTBOX_ACL_MAINTAIN ACL_MAINTAIN
#else
#define OUTBOX_ACL_MAINTAIN 0
#endif

/* Marks a function that only raises; PostgreSQL's own marker changed its place in 18. */
#define OUTBOX_NORETURN __attribute__((noreturn))

/* Marks the way from one case of a switch to the next. */
#define OUTBOX_FALLTHROUGH __attribute__((fallthrough))

/* Ignores a signal; handlers got another argument in 19. */
#if PG_VERSION_NUM >= 190000
#define OUTBOX_SIG_IGN PG_SIG_IGN
#else
#define OUTBOX_SIG_IGN SIG_IGN
#endif

/* A relation's storage file number: its node was renamed to a locator in 16. */
static inline Oid
OutboxRelFileNumber(Relation rel)
{
#if PG_VERSION_NUM >= 160000
	return rel->rd_locator.relNumber;
#else
	return rel->rd_node.relNode;
#endif
}

/* New, empty storage for a relation that is locked exclusively; renamed in 16. */
static inline void
OutboxSetNewStorage(Relation rel)
{
#if PG_VERSION_NUM >= 160000
	RelationSetNewRelfilenumber(rel, rel->rd_rel->relpersistence);
#else
	RelationSetNewRelfilenode(rel, rel->rd_rel->relpersistence);
#endif
}

/* Rebuilds the indexes of a relation, and of what it stores out of line; got the statement as an argument in 17. */
static inline void
OutboxRebuildIndexes(Oid relation)
{
	ReindexParams params = {0};

#if PG_VERSION_NUM >= 170000
	reindex_relation(NULL, relation, REINDEX_REL_PROCESS_TOAST, &params);
#else
	reindex_relation(relation, REINDEX_REL_PROCESS_TOAST, &params);
#endif
}

/* The number of this backend's running transaction; moved inside PGPROC in 17. */
static inline LocalTransactionId
OutboxLocalTransactionId(void)
{
#if PG_VERSION_NUM >= 170000
	return MyProc->vxid.lxid;
#else
	return MyProc->lxid;
#endif
}

/*
 * Who reads the relation of a view's range table entry, and which columns:
 * part of the entry until 15, a record of its own since 16.
 */
static inline void
OutboxGetSelectAccess(Query *query, RangeTblEntry *rte, Oid *role, Bitmapset **columns)
{
#if PG_VERSION_NUM >= 160000
	RTEPermissionInfo *info = getRTEPermissionInfo(query->rteperminfos, rte);

	*role = info->checkAsUser;
	*columns = info->selectedCols;
#else
	*role = rte->checkAsUser;
	*columns = rte->selectedCols;
#endif
}

/* Gives a query what the parser has noted that it reads; where rights are kept: as above. */
static inline void
OutboxTakePermissions(Query *query, ParseState *pstate)
{
#if PG_VERSION_NUM >= 160000
	query->rteperminfos = pstate->p_rteperminfos;
#endif
}

/* A query that locks rows needs no right to change them; where rights are kept: as above. */
static inline void
OutboxForgetLockAccess(Query *query)
{
	ListCell *lc;

#if PG_VERSION_NUM >= 160000
	foreach (lc, query->rteperminfos)
		lfirst_node(RTEPermissionInfo, lc)->requiredPerms &= ~ACL_SELECT_FOR_UPDATE;
#else
	foreach (lc, query->rtable)
		lfirst_node(RangeTblEntry, lc)->requiredPerms &= ~ACL_SELECT_FOR_UPDATE;
#endif
}

/* "schema.name" as a list; got an error context argument in 16. */
static inline List *
OutboxQualifiedNameList(const char *name)
{
#if PG_VERSION_NUM >= 160000
	return stringToQualifiedNameList(name, NULL);
#else
	return stringToQualifiedNameList(name);
#endif
}

/* Substitutes a subquery's target list for the Vars that refer to it. */
static inline Node *
OutboxReplaceVars(Node *node, int varno, RangeTblEntry *rte, List *columns)
{
#if PG_VERSION_NUM >= 180000
	return ReplaceVarsFromTargetList(node, varno, 0, rte, columns, 0, REPLACEVARS_REPORT_ERROR, 0, NULL);
#else
	return ReplaceVarsFromTargetList(node, varno, 0, rte, columns, REPLACEVARS_REPORT_ERROR, 0, NULL);
#endif
}

/*
 * An expression of a query's own level in terms of its base columns: merged
 * columns of joins replaced, and since 18 those of GROUP BY. On a copy.
 */
static inline Node *
OutboxFlattenVars(Query *query, Node *node)
{
	node = (Node *) copyObjectImpl(node);
#if PG_VERSION_NUM >= 180000
	if (query->hasGroupRTE)
		node = flatten_group_exprs(NULL, query, node);
#endif
#if PG_VERSION_NUM >= 160000
	return flatten_join_alias_vars(NULL, query, node);
#else
	return flatten_join_alias_vars(query, node);
#endif
}

/* What the entry for GROUP BY stands for, which a query has since 18. */
static inline List *
OutboxGroupExpressions(const RangeTblEntry *rte)
{
#if PG_VERSION_NUM >= 180000
	if (rte->rtekind == RTE_GROUP)
		return rte->groupexprs;
#endif
	return NIL;
}

/* Is it a generated column without storage? They exist since 18. */
static inline bool
OutboxAttributeIsVirtual(Oid relation, AttrNumber attno)
{
#if PG_VERSION_NUM >= 180000
	HeapTuple tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation), Int16GetDatum(attno));
	bool result = false;

	if (HeapTupleIsValid(tuple))
	{
		result = ((Form_pg_attribute) GETSTRUCT(tuple))->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL;
		ReleaseSysCache(tuple);
	}
	return result;
#else
	return false;
#endif
}

/*
 * Is it one of SQL/JSON's constructors and queries, and which values does it make json of? Constructors exist since
 * 16, queries since 17.
 */
static inline bool
OutboxIsJsonExpression(Node *node, List **values)
{
	*values = NIL;
#if PG_VERSION_NUM >= 170000
	if (IsA(node, JsonExpr))
		return true;
#endif
#if PG_VERSION_NUM >= 160000
	if (IsA(node, JsonConstructorExpr))
	{
		*values = ((JsonConstructorExpr *) node)->args;
		return true;
	}
	return IsA(node, JsonValueExpr);
#else
	return false;
#endif
}

/* Functions that read a text as a value of the type that another text names; since 16. */
#if PG_VERSION_NUM >= 160000
#define OUTBOX_INPUT_BY_NAME F_PG_INPUT_IS_VALID, F_PG_INPUT_ERROR_INFO
#else
#define OUTBOX_INPUT_BY_NAME InvalidOid
#endif

/* Does the function read json as a value of an argument's type, which it does not return? Since 17. */
#if PG_VERSION_NUM >= 170000
#define OutboxReadsIntoArgument(function) ((function) == F_JSONB_POPULATE_RECORD_VALID)
#else
#define OutboxReadsIntoArgument(function) false
#endif

/* What the server calls for a new configuration of text search; renamed in 16. */
#if PG_VERSION_NUM >= 160000
#define OutboxAssignTextSearch assign_default_text_search_config
#else
#define OutboxAssignTextSearch assign_TSCurrentConfig
#endif

/* A setting's record, or NULL; looked up by name since 16. */
static inline struct config_generic *
OutboxFindSetting(const char *name)
{
#if PG_VERSION_NUM >= 160000
	return find_option(name, false, true, DEBUG1);
#else
	struct config_generic **all = get_guc_variables();

	for (int i = 0; i < GetNumConfigOptions(); i++)
	{
		if (pg_strcasecmp(all[i]->name, name) == 0)
			return all[i];
	}
	return NULL;
#endif
}

/* The variable behind a setting; the record's parts were put together another way in 19. */
static inline const void *
OutboxSettingVariable(const struct config_generic *record)
{
#if PG_VERSION_NUM >= 190000
	switch (record->vartype)
	{
		case PGC_BOOL:
			return record->_bool.variable;
		case PGC_INT:
			return record->_int.variable;
		case PGC_REAL:
			return record->_real.variable;
		case PGC_STRING:
			return record->_string.variable;
		case PGC_ENUM:
			return record->_enum.variable;
	}
#else
	switch (record->vartype)
	{
		case PGC_BOOL:
			return ((const struct config_bool *) record)->variable;
		case PGC_INT:
			return ((const struct config_int *) record)->variable;
		case PGC_REAL:
			return ((const struct config_real *) record)->variable;
		case PGC_STRING:
			return ((const struct config_string *) record)->variable;
		case PGC_ENUM:
			return ((const struct config_enum *) record)->variable;
	}
#endif
	return NULL;
}

/* The same of a setting that is a text; and its value, which is in the memory of settings, with something behind it. */
static inline GucStringCheckHook *
OutboxTextSettingCheckHook(struct config_generic *record)
{
#if PG_VERSION_NUM >= 190000
	return &record->_string.check_hook;
#else
	return &((struct config_string *) record)->check_hook;
#endif
}

static inline bool
OutboxAppendToSetting(char **value, const char *tail)
{
	Size length = strlen(*value);
	Size size = length + strlen(tail) + 1;
#if PG_VERSION_NUM >= 160000
	char *longer = guc_realloc(LOG, *value, size);
#else
	char *longer = realloc(*value, size);
#endif

	if (longer == NULL)
		return false;
	memcpy(longer + length, tail, size - length);
	*value = longer;
	return true;
}

/* Where the setting of a whole number keeps who checks new values of it. */
static inline GucIntCheckHook *
OutboxSettingCheckHook(struct config_generic *record)
{
#if PG_VERSION_NUM >= 190000
	return &record->_int.check_hook;
#else
	return &((struct config_int *) record)->check_hook;
#endif
}

/* The oldest xid whose commit status may be asked for; hold XactTruncationLock. */
static inline TransactionId
OutboxOldestClogXid(void)
{
#if PG_VERSION_NUM >= 170000
	return TransamVariables->oldestClogXid;
#else
	return ShmemVariableCache->oldestClogXid;
#endif
}

/* A wait event set that its creator frees; it belongs to no transaction. */
static inline WaitEventSet *
OutboxCreateWaitEventSet(int nevents)
{
#if PG_VERSION_NUM >= 170000
	return CreateWaitEventSet(NULL, nevents);
#else
	return CreateWaitEventSet(TopMemoryContext, nevents);
#endif
}

/* This backend's place among the server's processes, below MaxBackends; has a variable of its own since 17. */
static inline int
OutboxMyProcNumber(void)
{
#if PG_VERSION_NUM >= 170000
	return MyProcNumber;
#else
	return MyProc->pgprocno;
#endif
}

/* Timeouts that end what a session does while it runs; a transaction as a whole has one since 17. */
#if PG_VERSION_NUM >= 170000
#define OUTBOX_SESSION_TIMERS STATEMENT_TIMEOUT, TRANSACTION_TIMEOUT
#else
#define OUTBOX_SESSION_TIMERS STATEMENT_TIMEOUT
#endif

/* The number of a named wait event; before 17 every extension waits as "Extension". */
static inline uint32
OutboxWaitEvent(const char *name)
{
#if PG_VERSION_NUM >= 170000
	return WaitEventExtensionNew(name);
#else
	return PG_WAIT_EXTENSION;
#endif
}

/* The arguments of ExecutorCheckPerms_hook: permissions became a list of their own in 16. */
#if PG_VERSION_NUM >= 160000
#define OUTBOX_CHECK_PERMS_ARGS List *range_table, List *permissions, bool raise
#define OUTBOX_CHECK_PERMS_CALL range_table, permissions, raise
#else
#define OUTBOX_CHECK_PERMS_ARGS List *range_table, bool raise
#define OUTBOX_CHECK_PERMS_CALL range_table, raise
#endif

/* Runs a query to its end, or for so many rows; 18 dropped the promise to run it only once. */
#if PG_VERSION_NUM >= 180000
#define OutboxExecutorRunRows(query, count) ExecutorRun(query, ForwardScanDirection, count)
#else
#define OutboxExecutorRunRows(query, count) ExecutorRun(query, ForwardScanDirection, count, true)
#endif
#define OutboxExecutorRun(query) OutboxExecutorRunRows(query, 0)

/*
 * Plans a query; EXPLAIN became an argument of the planner in 19. `Planner` is the plain function, `PlanQuery` the
 * one that a statement goes through.
 */
#if PG_VERSION_NUM >= 190000
#define OutboxPlanner(query, text, options) planner(query, text, options, NULL, NULL)
#define OutboxPlanQuery(query, text, params) pg_plan_query(query, text, 0, params, NULL)
#else
#define OutboxPlanner(query, text, options) planner(query, text, options, NULL)
#define OutboxPlanQuery(query, text, params) pg_plan_query(query, text, 0, params)
#endif

/* Does the plan write rows of tables? Which ones is a set since 19. */
static inline bool
OutboxPlanWrites(const PlannedStmt *statement)
{
#if PG_VERSION_NUM >= 190000
	return !bms_is_empty(statement->resultRelationRelids);
#else
	return statement->resultRelations != NIL;
#endif
}

/* Where PL/pgSQL keeps of which row of pg_proc it compiled a function: that is shared with functions in SQL since 18. */
#if PG_VERSION_NUM >= 180000
#define OUTBOX_PLPGSQL_VERSION(function) (&(function)->cfunc)
#else
#define OUTBOX_PLPGSQL_VERSION(function) (function)
#endif

/* The arguments of planner_hook. */
#if PG_VERSION_NUM >= 190000
#define OUTBOX_PLANNER_HOOK_ARGS Query *query, const char *text, int cursor_options, ParamListInfo params, ExplainState *explain
#else
#define OUTBOX_PLANNER_HOOK_ARGS Query *query, const char *text, int cursor_options, ParamListInfo params
#endif

/*
 * The hook that may change what the planner knows of a relation. In 19 it sees every entry of the range table, before
 * that only relations, and only when their sizes are looked up. `Table` is the one that is scanned itself, if any,
 * `Parent` the one whose children are.
 */
#if PG_VERSION_NUM >= 190000
typedef build_simple_rel_hook_type OutboxRelationHook;
#define OUTBOX_RELATION_HOOK build_simple_rel_hook
#define OUTBOX_RELATION_HOOK_ARGS PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte
#define OUTBOX_RELATION_HOOK_CALL root, rel, rte
#define OUTBOX_RELATION_HOOK_TABLE (rte->rtekind == RTE_RELATION && !rte->inh ? rte->relid : InvalidOid)
#define OUTBOX_RELATION_HOOK_PARENT (rte->rtekind == RTE_RELATION && rte->inh ? rte->relid : InvalidOid)
#else
typedef get_relation_info_hook_type OutboxRelationHook;
#define OUTBOX_RELATION_HOOK get_relation_info_hook
#define OUTBOX_RELATION_HOOK_ARGS PlannerInfo *root, Oid relation, bool is_parent, RelOptInfo *rel
#define OUTBOX_RELATION_HOOK_CALL root, relation, is_parent, rel
#define OUTBOX_RELATION_HOOK_TABLE (is_parent ? InvalidOid : relation)
#define OUTBOX_RELATION_HOOK_PARENT (is_parent ? relation : InvalidOid)
#endif

/*
 * Has the role all rights that a statement needs on one entry of its range table? What is no relation needs none.
 * Since 16 they stand in a list beside it, which the server asserts to fit.
 */
static inline bool
OutboxMayRead(const Query *query, const RangeTblEntry *entry)
{
#if PG_VERSION_NUM >= 160000
	RangeTblEntry alone = *entry;

	if (entry->perminfoindex == 0)
		return true;
	alone.perminfoindex = 1;
	return ExecCheckPermissions(list_make1(&alone), list_make1(list_nth(query->rteperminfos, entry->perminfoindex - 1)), false);
#else
	return entry->rtekind != RTE_RELATION || entry->requiredPerms == 0 || ExecCheckRTPerms(list_make1(unconstify(RangeTblEntry *, entry)), false);
#endif
}

/* Scans a whole table; got flags in 19. */
static inline TableScanDesc
OutboxBeginScan(Relation rel, Snapshot snapshot)
{
#if PG_VERSION_NUM >= 190000
	return table_beginscan(rel, snapshot, 0, NULL, SO_NONE);
#else
	return table_beginscan(rel, snapshot, 0, NULL);
#endif
}

/* To be called when all columns of a new descriptor are described; 19 computes there where they are. */
static inline void
OutboxFinishTupleDesc(TupleDesc desc)
{
#if PG_VERSION_NUM >= 190000
	TupleDescFinalize(desc);
#endif
}

/*
 * A copy of the first natts columns, palloc'd. Since 18 the place of a column depends on the number of columns, so a copy
 * cannot be cut afterwards.
 */
static inline TupleDesc
OutboxTruncatedTupleDesc(TupleDesc desc, int natts)
{
#if PG_VERSION_NUM >= 180000
	return CreateTupleDescTruncatedCopy(desc, natts);
#else
	TupleDesc copy = CreateTupleDescCopy(desc);

	copy->natts = natts;
	return copy;
#endif
}

/* jsonb being built, and its value when it is whole; the server keeps both in one structure since 19. */
#if PG_VERSION_NUM >= 190000
typedef JsonbInState OutboxJsonbState;
#else
typedef struct OutboxJsonbState
{
	JsonbValue *result;
	JsonbParseState *parse;
} OutboxJsonbState;
#endif

static inline void
OutboxPushJsonb(OutboxJsonbState *state, JsonbIteratorToken token, JsonbValue *value)
{
#if PG_VERSION_NUM >= 190000
	pushJsonbValue(state, token, value);
#else
	state->result = pushJsonbValue(&state->parse, token, value);
#endif
}

/* Says of a column whether its whole row may be missing, as below an outer join; Vars know it since 16. */
static inline void
OutboxSetRowMayBeMissing(Var *var, bool missing)
{
#if PG_VERSION_NUM >= 160000
	var->varnullingrels = missing ? bms_make_singleton(1) : NULL;
#endif
}

/* A collation that compares bytes and is always there. "POSIX" is the second of them, whose symbol went with 18. */
static inline bool
OutboxIsCCollation(Oid collation)
{
#ifndef POSIX_COLLATION_OID
#define POSIX_COLLATION_OID 951
#endif
	return collation == C_COLLATION_OID || collation == POSIX_COLLATION_OID;
}

/* The index of the primary key, of one that is not deferrable; got the question about that in 18. */
static inline Oid
OutboxPrimaryKeyIndex(Relation rel)
{
#if PG_VERSION_NUM >= 180000
	return RelationGetPrimaryKeyIndex(rel, false);
#else
	return RelationGetPrimaryKeyIndex(rel);
#endif
}

/* Was the relation's storage replaced by this transaction? Renamed in 16. */
static inline bool
OutboxRelationRewritten(Relation rel)
{
#if PG_VERSION_NUM >= 160000
	return rel->rd_newRelfilelocatorSubid != InvalidSubTransactionId ||
		rel->rd_firstRelfilelocatorSubid != InvalidSubTransactionId;
#else
	return rel->rd_newRelfilenodeSubid != InvalidSubTransactionId ||
		rel->rd_firstRelfilenodeSubid != InvalidSubTransactionId;
#endif
}

/* May the role create something in the schema? Rights are asked by kind of object up to 15. */
static inline bool
OutboxMayCreateIn(Oid schema, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(NamespaceRelationId, schema, role, ACL_CREATE) == ACLCHECK_OK &&
		object_aclcheck(NamespaceRelationId, schema, role, ACL_USAGE) == ACLCHECK_OK;
#else
	return pg_namespace_aclcheck(schema, role, ACL_CREATE) == ACLCHECK_OK &&
		pg_namespace_aclcheck(schema, role, ACL_USAGE) == ACLCHECK_OK;
#endif
}

/* pg_database.datconnlimit of a database whose removal was interrupted; named since 15.4. */
#define OUTBOX_DATCONNLIMIT_INVALID (-2)

#endif /* OUTBOX_COMPAT_H */
