/*-------------------------------------------------------------------------
 *
 * outbox_catalog.h
 *	  Our own tables: names, object ids, attribute numbers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CATALOG_H
#define OUTBOX_CATALOG_H

#include "nodes/pg_list.h"
#include "utils/relcache.h"

/*
 * What users call and read is in one schema, our tables in another one, in
 * which nobody has USAGE: who can name a table can lock it without any right
 * on it (PREPARE), or make others wait for a lock (CREATE RULE).
 */
#define OUTBOX_SCHEMA "outbox"
#define OUTBOX_INTERNAL_SCHEMA "outbox_internal"

/* Attribute numbers of outbox.event and its leaves (sql/10_catalog.sql). */
enum OutboxEventAttribute
{
	Anum_event_seq = 1,
	Anum_event_xid,
	Anum_event_occurred_at,
	Anum_event_id,
	Anum_event_schema_id,
	Anum_event_leaf,
	Anum_event_flags,
	Anum_event_aggregatetype,
	Anum_event_aggregateid,
	Anum_event_type,
	Anum_event_payload,
	Anum_event_tracingspancontext,
	Anum_event_headers
};
#define Natts_event Anum_event_headers

/* Attribute numbers of outbox_internal.leaf that are read without a query. */
enum OutboxLeafAttribute
{
	Anum_leaf_leaf = 1,
	Anum_leaf_relation,
	Anum_leaf_state,
	Anum_leaf_leaf_generation,
	Anum_leaf_changed_at,
	Anum_leaf_opened_at,
	Anum_leaf_frozen_snapshot,
	Anum_leaf_bytes
};

/* outbox.event.flags */
#define OUTBOX_EVENT_SUPERSEDED 0x0001 /* NEW was already updated again by the same transaction */
#define OUTBOX_EVENT_REDRIVEN 0x0002
#define OUTBOX_EVENT_LATE 0x0004
#define OUTBOX_EVENT_TOMBSTONE_AFTER 0x0008 /* a null value follows the event */
#define OUTBOX_EVENT_TOMBSTONE_ONLY 0x0010  /* the event is published as a null value */
#define OUTBOX_EVENT_TOMBSTONES (OUTBOX_EVENT_TOMBSTONE_AFTER | OUTBOX_EVENT_TOMBSTONE_ONLY)

/* Is this function outbox.decode()? It neither raises nor depends on settings. */
extern bool OutboxIsDecode(Oid function);

/*
 * All of these look in the system catalogs (a cached syscache probe) and so
 * need a transaction. They follow DROP and CREATE EXTENSION: nothing is
 * remembered beyond the syscache.
 */
extern Oid OutboxExtensionOid(bool missing_ok);
extern Oid OutboxOwner(void);                      /* owner of the extension: reads and writes our tables */
extern Oid OutboxInstallation(void);               /* oid of outbox_internal.event_seq: changes when the extension is created anew; InvalidOid: not there */
extern Oid OutboxSchemaOid(void);                  /* of functions and views; raises when it is not there */
extern Oid OutboxEventOid(void);                   /* outbox.event, the parent of the leaves; raises when it is not there */
extern Oid OutboxRelationOid(const char *relname); /* of our tables, indexes, sequences; raises when it is not there */
extern Oid OutboxRelationOwner(Oid relation);      /* raises when it is not there */

/* Our own commands are on their way: refuse_ddl() lets them pass. Set around them, back also on error. */
extern bool OutboxOwnDdl;

/*
 * Opens a relation to look at its definition, in AccessShareLock when that is
 * free and without a lock when it is not: a writer must not queue behind DDL on
 * a view or table that its own statement does not touch. Whoever keeps what he
 * saw listens for invalidations. Raises when it is not there; relation_close()
 * with NoLock.
 */
extern Relation OutboxOpenWithoutWait(Oid relation);

/* AccessShareLock on all, or false at the first that is not to be had at once; what was taken stays. */
extern bool OutboxLockWithoutWait(const List *relations);

/*
 * Raises object_not_in_prerequisite_state when the extension's version in this
 * database is not that of the library. The first step of every function that
 * users call to read or change configuration; never of capture, which must go on.
 */
extern void OutboxRequireVersion(void);

/*
 * Runs as the extension's owner with search_path = pg_catalog, pg_temp until
 * OutboxOwnerEnd; for SPI on our tables. An error in between restores both by
 * itself at transaction (or subtransaction) abort.
 */
typedef struct OutboxOwnerScope
{
	Oid user;
	int sec_context;
	int guc_nest_level;
} OutboxOwnerScope;
extern void OutboxOwnerBegin(OutboxOwnerScope *scope);

/* The same for functions that users call: raises when the library and the SQL objects are of different versions. */
extern void OutboxApiBegin(OutboxOwnerScope *scope);
extern void OutboxOwnerEnd(const OutboxOwnerScope *scope);

#endif /* OUTBOX_CATALOG_H */
