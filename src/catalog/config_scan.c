/*-------------------------------------------------------------------------
 *
 * config_scan.c
 *	  Rows of our own configuration tables, by index, without SPI.
 *
 * The tables are found by name each time, so that a scan follows DROP and
 * CREATE EXTENSION.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

#include "catalog/catalog_private.h"

void
OutboxConfigScanBegin(ConfigScan *scan, const ConfigKey *key, Datum value, Snapshot snapshot)
{
	ScanKeyData condition;

	scan->rel = table_open(OutboxRelationOid(key->table), AccessShareLock);
	ScanKeyInit(&condition, key->column, BTEqualStrategyNumber, key->equal, value);
	if (key->equal == F_TEXTEQ)
		condition.sk_collation = TupleDescAttr(RelationGetDescr(scan->rel), key->column - 1)->attcollation;
	scan->scan = systable_beginscan(scan->rel, OutboxRelationOid(key->index), true, snapshot, 1, &condition);
	scan->tuple = NULL;
}

bool
OutboxConfigScanNext(ConfigScan *scan)
{
	scan->tuple = systable_getnext(scan->scan);
	return HeapTupleIsValid(scan->tuple);
}

void
OutboxConfigScanEnd(ConfigScan *scan)
{
	systable_endscan(scan->scan);
	table_close(scan->rel, AccessShareLock);
}

/* The value of a column. One that the table does not have, because the SQL objects are older than the library, is NULL. */
Datum
OutboxConfigNullable(ConfigScan *scan, AttrNumber column, bool *isnull)
{
	TupleDesc desc = RelationGetDescr(scan->rel);

	*isnull = true;
	return column > desc->natts ? (Datum) 0 : heap_getattr(scan->tuple, column, desc, isnull);
}

/* A column of the row at hand that is declared NOT NULL. */
Datum
OutboxConfigDatum(ConfigScan *scan, AttrNumber column)
{
	bool isnull;
	Datum value = OutboxConfigNullable(scan, column, &isnull);

	if (isnull)
		elog(ERROR, "column %d of \"%s\" is NULL", column, RelationGetRelationName(scan->rel));
	return value;
}

/* An oid of the row at hand; InvalidOid for NULL. */
Oid
OutboxConfigOid(ConfigScan *scan, AttrNumber column)
{
	bool isnull;
	Datum value = OutboxConfigNullable(scan, column, &isnull);

	return isnull ? InvalidOid : DatumGetObjectId(value);
}

/* A boolean of the row at hand; false for NULL. */
bool
OutboxConfigBool(ConfigScan *scan, AttrNumber column)
{
	bool isnull;
	Datum value = OutboxConfigNullable(scan, column, &isnull);

	return !isnull && DatumGetBool(value);
}

bool
OutboxConfigIsNull(ConfigScan *scan, AttrNumber column)
{
	bool isnull;

	(void) OutboxConfigNullable(scan, column, &isnull);
	return isnull;
}

/* A number of the row at hand; `missing` for NULL. */
int32
OutboxConfigInt(ConfigScan *scan, AttrNumber column, int32 missing)
{
	bool isnull;
	Datum value = OutboxConfigNullable(scan, column, &isnull);

	return isnull ? missing : DatumGetInt32(value);
}

/* A text[] of the row at hand as a list of char *; NIL for NULL. */
List *
OutboxConfigNames(ConfigScan *scan, AttrNumber column)
{
	bool isnull;
	Datum value = OutboxConfigNullable(scan, column, &isnull);

	return isnull ? NIL : OutboxNameList(value, "names");
}

/* A text of the row at hand, palloc'd; NULL for NULL. */
char *
OutboxConfigText(ConfigScan *scan, AttrNumber column)
{
	bool isnull;
	Datum value = OutboxConfigNullable(scan, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}
