/*-------------------------------------------------------------------------
 *
 * outbox_catalog.h
 *	  Our tables and functions: lookups, rows as structs, arguments, statements.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CATALOG_H
#define OUTBOX_CATALOG_H

#include "fmgr.h"
#include "nodes/pg_list.h"
#include "storage/buf.h"
#include "utils/relcache.h"

#include "compat.h"

/* ---- contract_config.c: the configuration of a contract as plain structs ---- */

/* The trigger that watches a source is this prefix and the contract's name. */
#define OUTBOX_TRIGGER_PREFIX "!outbox_"
#define OUTBOX_TRUNCATE_TRIGGER_PREFIX "!outbox!"
#define OUTBOX_MAX_CONTRACT_NAME 55

typedef enum OutboxEmit
{
	OUTBOX_EMIT_CREATED,
	OUTBOX_EMIT_CHANGED,
	OUTBOX_EMIT_DELETED,
	OUTBOX_EMIT_ALWAYS
} OutboxEmit;

typedef enum OutboxTombstone
{
	OUTBOX_TOMBSTONE_NONE,
	OUTBOX_TOMBSTONE_AFTER,
	OUTBOX_TOMBSTONE_INSTEAD
} OutboxTombstone;

typedef struct OutboxCheckConfig
{
	int32 id;
	char *name;
	char *expression;
} OutboxCheckConfig;

typedef struct OutboxEventTypeConfig
{
	int32 id;
	char *name;
	OutboxEmit emit;
	char *condition; /* NULL: always true */
	List *previous;  /* of char *: contract columns */
	List *headers;   /* the same */
	bool actor;      /* messages say who made the change */
	char *topic;
	char *ce_type;
	char *own_topic; /* these two without what the version adds */
	char *own_ce_type;
	OutboxTombstone tombstone;
	List *checks;      /* of OutboxCheckConfig *, in creation order */
	bool omitted;      /* the version of the contract does not have it */
	int32 schema_id;   /* 0: not pinned yet */
	char *schema_text; /* NULL: not pinned yet */
} OutboxEventTypeConfig;

/* A table whose changes touch rows of the contract. */
typedef struct OutboxSourceConfig
{
	Oid relation;
	bool is_root;
	Oid key_view;     /* of a child: its key_query (row -> lookup keys); gone while detached */
	int32 max_fanout; /* lookup keys that one row of it may touch */
} OutboxSourceConfig;

typedef enum OutboxVersionState
{
	OUTBOX_VERSION_DRAFT,
	OUTBOX_VERSION_ACTIVE
} OutboxVersionState;

/*
 * A contract as one of its versions has it. The versions of a contract differ in
 * their view and what follows from it, and have the rest in common.
 */
typedef struct OutboxContractConfig
{
	int32 id;
	char *name;
	char *aggregate_type;
	List *key; /* of char *, as the next two */
	List *aggregate_id;
	List *required;
	char *name_space;
	char *ce_space; /* of the contract: first part of the default ce_type */
	bool at_commit;
	bool abort_on_invalid;
	bool reject_truncate; /* and other commands that make rows appear or vanish without triggers */
	char *compatibility;  /* level at which schemas are compared; NULL: older SQL objects */
	bool enabled;
	bool restoring; /* a restore has brought it, but not our sequences yet, which come after all rows */
	List *versions; /* of OutboxContractConfig *, this one among them: the active ones by line, then a draft */
	int32 version;  /* its number */
	OutboxVersionState state;
	int32 line;        /* the version that opened its topics: itself, or the one that it took the place of */
	char *suffix;      /* of its topics; NULL: none */
	char *sunset;      /* RFC 3339; NULL: none */
	Oid view;          /* gone while detached */
	bool detached;     /* by outbox.detach() */
	char *owner;       /* of the view when it was enabled last; NULL: never */
	char *owner_id;    /* see view_owner.c */
	Oid root;          /* the root source */
	List *root_key;    /* of char *: the root's columns behind the key */
	List *sources;     /* of OutboxSourceConfig *, the root first */
	List *event_types; /* of OutboxEventTypeConfig *, in creation order */
} OutboxContractConfig;

extern OutboxContractConfig *OutboxContractLoad(const char *name);
extern OutboxContractConfig *OutboxContractGet(const char *name);
extern OutboxContractConfig *OutboxContractArg(FunctionCallInfo fcinfo, int arg, const char *argument);
extern char *OutboxEventTypeContract(const char *event_type);
extern OutboxContractConfig *OutboxContractOfEventType(const char *event_type);
extern OutboxContractConfig *OutboxContractVersion(const OutboxContractConfig *config, int32 version);
extern OutboxContractConfig *OutboxContractVersionGet(const OutboxContractConfig *config, int32 version);
extern OutboxContractConfig *OutboxContractDraft(const OutboxContractConfig *config);
extern OutboxContractConfig *OutboxContractLine(const OutboxContractConfig *config, int32 line);
extern OutboxContractConfig *OutboxContractAfter(const OutboxContractConfig *config, int32 line);
extern OutboxEventTypeConfig *OutboxContractEventType(const OutboxContractConfig *config, const char *name);
extern OutboxSourceConfig *OutboxContractSource(const OutboxContractConfig *config, Oid relation);
extern const char *OutboxEmitName(OutboxEmit emit);
extern const char *OutboxTombstoneName(OutboxTombstone tombstone);

/* ---- arguments.c: arguments of the SQL functions, and lists of names ---- */

extern void OutboxRequireArg(FunctionCallInfo fcinfo, int arg, const char *argument);
extern char *OutboxTextArg(FunctionCallInfo fcinfo, int arg);
extern char *OutboxRequiredTextArg(FunctionCallInfo fcinfo, int arg, const char *argument);
extern bool OutboxOrReplaceArg(FunctionCallInfo fcinfo);
extern bool OutboxNameListMember(const List *names, const char *name);
extern List *OutboxNameListArg(FunctionCallInfo fcinfo, int arg, const char *argument);
extern char *OutboxNamesToArray(const List *names);
extern void OutboxCheckName(const char *kind, const char *name, int max_bytes);
extern Oid OutboxFindRelation(const char *argument, const char *name);
extern Oid OutboxResolveRelation(const char *argument, const char *name);

/* ---- outbox_catalog.c: our own tables: names, object ids, attribute numbers ---- */

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

/* Our own commands are on their way: refuse_ddl() lets them pass. Set around them, back also on error. */
extern bool OutboxOwnDdl;

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

extern bool OutboxIsDecode(Oid function);
extern Oid OutboxExtensionOid(bool missing_ok);
extern Oid OutboxOwner(void);
extern Oid OutboxInstallation(void);
extern Oid OutboxSchemaOid(void);
extern Oid OutboxEventOid(void);
extern Oid OutboxRelationOid(const char *relname);
extern bool OutboxHasTable(const char *relname);
extern bool OutboxIsIndexOfScript(Oid index);
extern Oid OutboxRelationOwner(Oid relation);
extern Relation OutboxOpenWithoutWait(Oid relation);
extern bool OutboxLockWithoutWait(const List *relations);
extern void OutboxRequireVersion(void);
extern void OutboxApiBegin(OutboxOwnerScope *scope);
extern void OutboxOwnerEnd(const OutboxOwnerScope *scope);

/* ---- sequence.c: numbers from our sequences, without the session noticing ---- */

/* A sequence as this backend knows it; starts zeroed, lives in static memory. */
typedef struct OutboxSequence
{
	Oid relid;
	OutboxRelLocator locator;
	bool needs_wal;
	Buffer buffer; /* where its page was last; only a guess */
} OutboxSequence;

extern void OutboxSequenceBind(OutboxSequence *sequence, Oid relid, bool lock);
extern int64 OutboxSequenceNext(OutboxSequence *sequence);

/* ---- statement.c: statements of SQL on our own tables ---- */

extern char *OutboxExecute(const char *query, int nargs, const char *const *args);
extern List *OutboxExecuteRows(const char *query, int nargs, const char *const *args);
extern List *OutboxReadRowsNow(const char *query, int nargs, const char *const *args);

#endif /* OUTBOX_CATALOG_H */
