/*-------------------------------------------------------------------------
 *
 * config_scan.h
 *	  Rows of our own configuration tables, by index, without SPI.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONFIG_SCAN_H
#define OUTBOX_CONFIG_SCAN_H

#include "access/genam.h"
#include "utils/rel.h"

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

/* A column of the row at hand: one that is declared NOT NULL; an oid, InvalidOid for NULL; a text, NULL for NULL. */
extern Datum OutboxConfigDatum(ConfigScan *scan, AttrNumber column);
extern Oid OutboxConfigOid(ConfigScan *scan, AttrNumber column);
extern char *OutboxConfigText(ConfigScan *scan, AttrNumber column);

#endif /* OUTBOX_CONFIG_SCAN_H */
