/*-------------------------------------------------------------------------
 *
 * touch.c
 *	  Which rows of a contract that is evaluated at commit a changed row of
 *	  one of its sources touches.
 *
 * A row of the root touches the contract row of its own lookup columns. A row of a
 * child touches the rows whose keys its key_query returns. An update of columns
 * that neither the view nor the key_query reads touches nothing. Comparing tuples
 * shows that, before anything is evaluated.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "catalog/partition.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/compile/compile_private.h"
#include "contract/environment/environment.h"
#include "contract/keys/keys.h"
#include "contract/view/view.h"

struct OutboxTouch
{
	MemoryContext context;
	List *relations;
	TupleDesc lookup_desc;
	AttrNumber *columns;   /* root: the lookup columns */
	bool *null_is_trouble; /* root: may a row with NULL there be in the view? */
	bool unique;           /* root: every row, in the view or not, has a key of its own */
	bool may_raise;
	const char *name;      /* of the contract */
	OutboxKeyQuery *query; /* child */
	int nread;
	AttrNumber *read;
	Datum *values; /* scratch of one key */
};

static void compile(OutboxTouch *touch, const OutboxContractConfig *config, Oid relation);
static OutboxSourceConfig *find_source(const OutboxContractConfig *config, Oid relation);
static void find_columns(OutboxTouch *touch, Oid root, Oid relation, const List *conditions);
static bool is_unique(Oid root, Oid relation, const List *reads);
static bool is_not_null(Oid relation, AttrNumber attno);
static void note_reads(OutboxTouch *touch, const OutboxViewSurvey *survey, Oid source, Oid relation);
static Bitmapset *read_attributes(const OutboxTouch *touch, const OutboxViewSurvey *survey, Oid source, Relation rel);

/*
 * Compiles what maps the rows of `relation` to lookup keys. `relation` is the root,
 * a child, or a partition of one. The result is in a child of CurrentMemoryContext
 * (OutboxTouchContext()). Raises for a view or key_query that does not fit any
 * more: where an error must not reach a writer, call this in a subtransaction.
 */
OutboxTouch *
OutboxCompileTouch(const OutboxContractConfig *config, Oid relation)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "outbox touch", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	OutboxTouch *touch = palloc0(sizeof(OutboxTouch));
	OutboxEvaluation evaluation;

	MemoryContextCopyAndSetIdentifier(context, config->name);
	touch->context = context;
	OutboxCheckViewThere(config);
	OutboxEvaluationBegin(&evaluation, OutboxRelationOwner(config->view), OUTBOX_COMPILING);
	compile(touch, config, relation);
	OutboxEvaluationEnd(&evaluation);
	MemoryContextSwitchTo(caller);
	return touch;
}

/* The memory context that owns everything of the touch. Its parent is the caller's to change. */
MemoryContext
OutboxTouchContext(const OutboxTouch *touch)
{
	return touch->context;
}

/* The OIDs of the relations whose invalidation outdates the touch. */
const List *
OutboxTouchRelations(const OutboxTouch *touch)
{
	return touch->relations;
}

/* The types (of PlanInvalItem *) whose invalidation outdates the touch. */
const List *
OutboxTouchTypes(const OutboxTouch *touch)
{
	return touch->query ? OutboxKeyQueryTypes(touch->query) : NIL;
}

/* False: a function or domain behind the touch has changed. */
bool
OutboxTouchIsValid(const OutboxTouch *touch)
{
	return touch->query == NULL || OutboxKeyQueryIsValid(touch->query);
}

/*
 * Is a row that is inserted into the relation, the contract's root, always the
 * first one with its key? Not when a partial index proves the key: an inactive row
 * may have the key of an active one. Not either when each partition has an index
 * of its own.
 */
bool
OutboxTouchInsertIsNew(const OutboxTouch *touch)
{
	return touch->query == NULL && touch->unique;
}

/* May OutboxTouchKeys() raise? Then the caller guards it. */
bool
OutboxTouchMayRaise(const OutboxTouch *touch)
{
	return touch->query && OutboxKeyQueryMayRaise(touch->query);
}

/* The descriptor of a lookup key: types, lengths and collations of its columns. */
TupleDesc
OutboxTouchLookupDesc(const OutboxTouch *touch)
{
	return touch->lookup_desc;
}

/* Have the rows the same bytes in all columns that the contract or the key_query reads? Never raises. */
bool
OutboxTouchReadsEqual(OutboxTouch *touch, TupleTableSlot *before, TupleTableSlot *after)
{
	return OutboxColumnsEqual(before, after, touch->read, touch->nread);
}

/*
 * Calls `add` for each lookup key of a row. A row of the root has one: its own
 * columns. For a row of a child the key_query is run as the contract's owner, and
 * may raise. Raises program_limit_exceeded for more than max_fanout keys.
 */
void
OutboxTouchKeys(OutboxTouch *touch, TupleTableSlot *row, OutboxTouchCallback add, void *arg)
{
	if (touch->query)
	{
		OutboxRunKeyQuery(touch->query, row, add, arg);
		return;
	}
	for (int i = 0; i < touch->lookup_desc->natts; i++)
	{
		bool isnull;

		touch->values[i] = slot_getattr(row, touch->columns[i], &isnull);
		if (isnull)
			return;
	}
	add(arg, touch->values);
}

/*
 * The name of the lookup column that is NULL in a row of the root, although such a
 * row may be in the view: the row has no key and cannot be published. NULL: there
 * is none. Never raises.
 */
const char *
OutboxTouchMissingColumn(const OutboxTouch *touch, TupleTableSlot *row)
{
	for (int i = 0; touch->query == NULL && i < touch->lookup_desc->natts; i++)
	{
		if (touch->null_is_trouble[i] && slot_attisnull(row, touch->columns[i]))
			return NameStr(TupleDescAttr(touch->lookup_desc, i)->attname);
	}
	return NULL;
}

static void
compile(OutboxTouch *touch, const OutboxContractConfig *config, Oid relation)
{
	OutboxSourceConfig *source = find_source(config, relation);
	MemoryContext scratch = AllocSetContextCreate(touch->context, "outbox touch analysis", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(scratch);
	OutboxViewSurvey *survey = OutboxSurveyView(config->view);
	List *conditions;
	List *columns = OutboxLookupColumns(config, &conditions);

	MemoryContextSwitchTo(caller);
	touch->lookup_desc = OutboxLookupDesc(config->root, columns);
	touch->values = palloc0(sizeof(Datum) * touch->lookup_desc->natts);
	touch->relations = list_copy(survey->relations);
	touch->relations = list_append_unique_oid(touch->relations, relation);
	if (get_rel_relispartition(relation))
		touch->relations = list_concat_unique_oid(touch->relations, get_partition_ancestors(relation));
	touch->relations = list_append_unique_oid(touch->relations, OutboxRelationOid("contract"));
	if (source->is_root)
		find_columns(touch, config->root, relation, conditions);
	else
	{
		touch->query = OutboxCompileKeyQuery(config, source, relation, touch->lookup_desc, survey->access);
		touch->relations = list_concat_unique_oid(touch->relations, OutboxKeyQueryRelations(touch->query));
	}
	note_reads(touch, survey, source->relation, relation);
	MemoryContextDelete(scratch);
}

/* The source that the relation is, or is a partition of. */
static OutboxSourceConfig *
find_source(const OutboxContractConfig *config, Oid relation)
{
	ListCell *lc;

	foreach (lc, config->sources)
	{
		OutboxSourceConfig *source = lfirst(lc);

		if (OutboxIsWithin(relation, source->relation))
			return source;
	}
	elog(ERROR, "relation %u is no source of contract \"%s\"", relation, config->name);
}

/* Finds the lookup columns in the relation. By name, because a partition numbers its columns in its own way. */
static void
find_columns(OutboxTouch *touch, Oid root, Oid relation, const List *conditions)
{
	List *reads = NIL;

	touch->columns = palloc0(sizeof(AttrNumber) * touch->lookup_desc->natts);
	touch->null_is_trouble = palloc0(sizeof(bool) * touch->lookup_desc->natts);
	for (int i = 0; i < touch->lookup_desc->natts; i++)
	{
		const char *name = NameStr(TupleDescAttr(touch->lookup_desc, i)->attname);

		reads = lappend(reads, pstrdup(name));
		touch->columns[i] = get_attnum(relation, name);
		touch->null_is_trouble[i] = !is_not_null(relation, touch->columns[i]) &&
			!OutboxExcludesNull(root, get_attnum(root, name), conditions);
	}
	touch->unique = is_unique(root, relation, reads);
}

/*
 * Has every row of the root a key of its own? Unique within one partition is not
 * enough: the row may have been in another one, from which the transaction deletes
 * it later. Does not wait for somebody who alters the partitioned table: the answer
 * is then no, which costs a read of the row before.
 */
static bool
is_unique(Oid root, Oid relation, const List *reads)
{
	bool unique;

	if (relation == root)
		return OutboxIsUniqueTable(root, reads);
	if (!ConditionalLockRelationOid(root, AccessShareLock))
		return false;
	unique = OutboxIsUniqueTable(root, reads);
	UnlockRelationOid(root, AccessShareLock);
	return unique;
}

static bool
is_not_null(Oid relation, AttrNumber attno)
{
	HeapTuple tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation), Int16GetDatum(attno));
	bool result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for attribute %d of relation %u", attno, relation);
	result = ((Form_pg_attribute) GETSTRUCT(tuple))->attnotnull;
	ReleaseSysCache(tuple);
	return result;
}

static void
note_reads(OutboxTouch *touch, const OutboxViewSurvey *survey, Oid source, Oid relation)
{
	Relation rel = relation_open(relation, AccessShareLock);
	Bitmapset *attributes = read_attributes(touch, survey, source, rel);
	int attribute = -1;

	touch->read = palloc0(sizeof(AttrNumber) * (bms_num_members(attributes) + 1));
	while ((attribute = bms_next_member(attributes, attribute)) >= 0)
	{
		touch->read[touch->nread++] = attribute;
	}
	relation_close(rel, NoLock);
}

/*
 * The attribute numbers of the relation that the view reads. All of them when the
 * view reads a whole row, a system column or a column without storage, or calls a
 * function that may read the source by itself.
 */
static Bitmapset *
read_attributes(const OutboxTouch *touch, const OutboxViewSurvey *survey, Oid source, Relation rel)
{
	Bitmapset *columns = OutboxSurveyColumns(survey, source);
	Bitmapset *attributes = NULL;
	bool all = survey->reader != NULL;
	int column = -1;

	while ((column = bms_next_member(columns, column)) >= 0)
	{
		AttrNumber attno = column + FirstLowInvalidHeapAttributeNumber;

		if (attno <= 0 || OutboxAttributeIsVirtual(source, attno))
			all |= attno != TableOidAttributeNumber;
		else
			attributes = bms_add_member(attributes, get_attnum(RelationGetRelid(rel), get_attname(source, attno, false)));
	}
	column = -1;
	while (touch->query && (column = bms_next_member(OutboxKeyQueryReads(touch->query), column)) >= 0)
		attributes = bms_add_member(attributes, column + FirstLowInvalidHeapAttributeNumber);
	for (int i = 0; all && i < RelationGetNumberOfAttributes(rel); i++)
	{
		if (!TupleDescAttr(RelationGetDescr(rel), i)->attisdropped)
			attributes = bms_add_member(attributes, i + 1);
	}
	return attributes;
}
