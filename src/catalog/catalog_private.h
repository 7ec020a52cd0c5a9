/*-------------------------------------------------------------------------
 *
 * catalog_private.h
 *	  Shared by the files of catalog/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CATALOG_CATALOG_PRIVATE_H
#define OUTBOX_CATALOG_CATALOG_PRIVATE_H

#include "access/genam.h"
#include "utils/rel.h"

#include "catalog/outbox_catalog.h"

/* ---- arguments.c: arguments of the SQL functions, and lists of names ---- */

extern List *OutboxNameList(Datum array, const char *argument);

/* ---- config_scan.c: rows of our own configuration tables, by index, without SPI ---- */

/* By what a table is scanned: the leading column of an index. */
typedef struct ConfigKey
{
	const char *table;
	const char *index;
	AttrNumber column;
	RegProcedure equal; /* of the column's type */
} ConfigKey;

/* A scan of one of our tables; it ends with OutboxConfigScanEnd. */
typedef struct ConfigScan
{
	Relation rel;
	SysScanDesc scan;
	HeapTuple tuple;
} ConfigScan;

extern void OutboxConfigScanBegin(ConfigScan *scan, const ConfigKey *key, Datum value, Snapshot snapshot);
extern bool OutboxConfigScanNext(ConfigScan *scan);
extern void OutboxConfigScanEnd(ConfigScan *scan);
extern Datum OutboxConfigDatum(ConfigScan *scan, AttrNumber column);
extern Oid OutboxConfigOid(ConfigScan *scan, AttrNumber column);
extern bool OutboxConfigBool(ConfigScan *scan, AttrNumber column);
extern List *OutboxConfigNames(ConfigScan *scan, AttrNumber column);
extern char *OutboxConfigText(ConfigScan *scan, AttrNumber column);
extern Datum OutboxConfigNullable(ConfigScan *scan, AttrNumber column, bool *isnull);
extern bool OutboxConfigIsNull(ConfigScan *scan, AttrNumber column);
extern int32 OutboxConfigInt(ConfigScan *scan, AttrNumber column, int32 missing);
extern List *OutboxConfigNames(ConfigScan *scan, AttrNumber column);

/* ---- event_type_config.c: the event types of a version of a contract as plain structs ---- */

extern void OutboxEventTypesLoad(OutboxContractConfig *config, Snapshot snapshot);

/* ---- sequence.c: numbers from our sequences, without the session noticing ---- */

extern int64 OutboxSequenceLast(Oid relid);

#endif /* OUTBOX_CATALOG_CATALOG_PRIVATE_H */
