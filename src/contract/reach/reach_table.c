/*-------------------------------------------------------------------------
 *
 * reach_table.c
 *	  Which functions planning evaluates of a table that a query reads.
 *
 * The planner simplifies the expressions of indexes, checks, partition keys and
 * statistics, and so runs functions in them, even if the query does not use these.
 * The expressions are read from the catalog as they are stored: opening the tables
 * would lock them, and would simplify the expressions, too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/indexing.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_partitioned_table.h"
#include "catalog/pg_statistic_ext.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "compat.h"
#include "contract/reach/reach_private.h"

/* The place in a catalog of a table's expressions. */
typedef struct StoredExpressions
{
	Oid catalog;
	Oid index;
	AttrNumber table;          /* the column with the table's oid */
	AttrNumber expressions[2]; /* columns with node trees; 0: none */
	AttrNumber classes;        /* a column with operator classes; 0: none */
} StoredExpressions;

static const StoredExpressions stored[] = {
	{IndexRelationId, IndexIndrelidIndexId, Anum_pg_index_indrelid, {Anum_pg_index_indexprs, Anum_pg_index_indpred}, Anum_pg_index_indclass},
	{ConstraintRelationId, ConstraintRelidTypidNameIndexId, Anum_pg_constraint_conrelid, {Anum_pg_constraint_conbin}, 0},
	{PartitionedRelationId, PartitionedRelidIndexId, Anum_pg_partitioned_table_partrelid, {Anum_pg_partitioned_table_partexprs}, Anum_pg_partitioned_table_partclass},
	{StatisticExtRelationId, StatisticExtRelidIndexId, Anum_pg_statistic_ext_stxrelid, {Anum_pg_statistic_ext_stxexprs}, 0},
	{AttrDefaultRelationId, AttrDefaultIndexId, Anum_pg_attrdef_adrelid, {Anum_pg_attrdef_adbin}, 0},
};

static bool reach_stored(OutboxReach *reach, const StoredExpressions *where, Oid table);
static bool reach_tuple(OutboxReach *reach, const StoredExpressions *where, Relation catalog, HeapTuple tuple);
static bool reach_classes(OutboxReach *reach, const oidvector *classes);

bool
OutboxReachTable(OutboxReach *reach, Oid table)
{
	List *tables = list_make1_oid(table);
	ListCell *lc;

	if (table < FirstUnpinnedObjectId)
		return false;
	if (has_subclass(table))
		tables = find_all_inheritors(table, NoLock, NULL);
	foreach (lc, tables)
	{
		for (int i = 0; i < lengthof(stored); i++)
		{
			if (reach_stored(reach, &stored[i], lfirst_oid(lc)))
				return true;
		}
	}
	list_free(tables);
	return false;
}

static bool
reach_stored(OutboxReach *reach, const StoredExpressions *where, Oid table)
{
	Relation catalog = table_open(where->catalog, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	bool result = false;

	ScanKeyInit(&key, where->table, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
	scan = systable_beginscan(catalog, where->index, true, NULL, 1, &key);
	while (!result && HeapTupleIsValid(tuple = systable_getnext(scan)))
		result = reach_tuple(reach, where, catalog, tuple);
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

static bool
reach_tuple(OutboxReach *reach, const StoredExpressions *where, Relation catalog, HeapTuple tuple)
{
	Datum value;
	bool isnull;

	/* other defaults are evaluated when somebody writes */
	if (where->catalog == AttrDefaultRelationId)
	{
		Form_pg_attrdef column = (Form_pg_attrdef) GETSTRUCT(tuple);

		if (!OutboxAttributeIsVirtual(column->adrelid, column->adnum))
			return false;
	}
	for (int i = 0; i < lengthof(where->expressions); i++)
	{
		if (where->expressions[i] == 0)
			continue;
		value = heap_getattr(tuple, where->expressions[i], RelationGetDescr(catalog), &isnull);
		if (!isnull && OutboxReachInside(reach, stringToNode(TextDatumGetCString(value))))
			return true;
	}
	if (where->classes == 0)
		return false;
	value = heap_getattr(tuple, where->classes, RelationGetDescr(catalog), &isnull);
	return !isnull && reach_classes(reach, (oidvector *) DatumGetPointer(value));
}

static bool
reach_classes(OutboxReach *reach, const oidvector *classes)
{
	for (int i = 0; i < classes->dim1; i++)
	{
		if (classes->values[i] >= FirstUnpinnedObjectId && OutboxReachFamily(reach, get_opclass_family(classes->values[i])))
			return true;
	}
	return false;
}
