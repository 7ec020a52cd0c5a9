/*-------------------------------------------------------------------------
 *
 * contract_config.h
 *	  The configuration of a contract as plain structs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONTRACT_CONFIG_H
#define OUTBOX_CONTRACT_CONFIG_H

#include "nodes/pg_list.h"

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
	char *topic;
	char *ce_type;
	OutboxTombstone tombstone;
	List *checks;      /* of OutboxCheckConfig *, in creation order */
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

typedef struct OutboxContractConfig
{
	int32 id;
	char *name;
	char *aggregate_type;
	List *key; /* of char *, as the next two */
	List *aggregate_id;
	List *required;
	char *name_space;
	bool at_commit;
	bool abort_on_invalid;
	bool reject_truncate; /* and whatever else makes rows appear or vanish without triggers */
	bool enabled;
	bool restoring;    /* a restore has brought it, but not our sequences yet, which come after all rows */
	int32 version;     /* of the contract's newest version */
	Oid view;          /* gone while detached */
	bool detached;     /* by outbox.detach() */
	char *owner;       /* of the view when it was enabled last; NULL: never */
	char *owner_id;    /* see view_owner.c */
	Oid root;          /* the root source */
	List *root_key;    /* of char *: the root's columns behind the key */
	List *sources;     /* of OutboxSourceConfig *, the root first */
	List *event_types; /* of OutboxEventTypeConfig *, in creation order */
} OutboxContractConfig;

/*
 * Reads a contract's configuration with a fresh snapshot: a REPEATABLE READ
 * writer whose snapshot is older than the contract must still see it.
 * NULL when there is none. Allocates in CurrentMemoryContext; no SPI.
 */
extern OutboxContractConfig *OutboxContractLoad(const char *name);

/* The same for API functions: raises with a hint when there is none. */
extern OutboxContractConfig *OutboxContractGet(const char *name);

/* The event type of that name, or NULL. */
extern OutboxEventTypeConfig *OutboxContractEventType(const OutboxContractConfig *config, const char *name);

/* The source that a relation is, or NULL. */
extern OutboxSourceConfig *OutboxContractSource(const OutboxContractConfig *config, Oid relation);

extern const char *OutboxEmitName(OutboxEmit emit);

/* Is this a member of a list of names? */
extern bool OutboxNameListMember(const List *names, const char *name);

/* A text[] without NULLs as a list of char *; raises, naming `argument`, for anything else. */
extern List *OutboxNameList(Datum array, const char *argument);

#endif /* OUTBOX_CONTRACT_CONFIG_H */
