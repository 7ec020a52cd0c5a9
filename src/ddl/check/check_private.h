/*-------------------------------------------------------------------------
 *
 * check_private.h
 *	  Shared by the files of ddl/check/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_DDL_CHECK_CHECK_PRIVATE_H
#define OUTBOX_DDL_CHECK_CHECK_PRIVATE_H

#include "catalog/objectaddress.h"
#include "nodes/parsenodes.h"

#include "catalog/outbox_catalog.h"
#include "ddl/check/check.h"
#include "util/util.h"

/* ---- targets.c: Which objects a command changes, by its parse tree. ---- */

typedef struct OutboxDdlTargets
{
	List *objects;     /* of ObjectAddress *, without columns */
	List *names;       /* of char *: by which a condition or a check may name them */
	const char *first; /* the name of the first one, for messages */
	bool all;          /* any contract may be concerned */
	Oid renamed;       /* the relation that gets another name or schema */
} OutboxDdlTargets;

extern bool OutboxMayHaveTargets(const Node *parsetree);
extern void OutboxFindTargets(const Node *parsetree, OutboxDdlTargets *targets);

/* ---- live_contracts.c: What live contracts rest on, as far as their configuration says. ---- */

/* A contract that is enabled and not detached. In memory of the cache: valid until the next call. */
typedef struct OutboxLiveContract
{
	int32 id;
	char *name;
	List *views;     /* OIDs: those of its versions, and its key queries */
	List *relations; /* OIDs: its sources, the root first */
	char *texts;     /* its conditions and checks, in one text */
} OutboxLiveContract;

extern const List *OutboxLiveContracts(void);
extern uint64 OutboxLiveRevision(void);
extern bool OutboxLiveIsStill(uint64 revision);

/* ---- concern.c: Which live contracts a command may concern. ---- */

extern List *OutboxConcernedContracts(const OutboxDdlTargets *targets);

/* ---- look.c: What is wrong with a contract now. ---- */

/* What a contract must have to stay as it was. */
typedef enum OutboxAspect
{
	OUTBOX_ASPECT_KEY,   /* no two rows have one key */
	OUTBOX_ASPECT_WORKS, /* view, conditions, checks and key queries compile, with the rights of the view's owner */
	OUTBOX_ASPECT_FILLS, /* the view fills the pinned schemas */
	OUTBOX_ASPECT_READS, /* consumers could read what the view would pin now */
	OUTBOX_ASPECTS
} OutboxAspect;

typedef enum OutboxAspectState
{
	OUTBOX_ASPECT_MOOT,   /* there is nothing to judge */
	OUTBOX_ASPECT_UNSEEN, /* a lock, memory, time or another resource was not to be had */
	OUTBOX_ASPECT_FAULT,
	OUTBOX_ASPECT_FINE
} OutboxAspectState;

typedef struct OutboxContractLook
{
	const char *name;
	OutboxContractConfig *config; /* NULL: there is no live contract, or nobody could look */
	bool gone;                    /* its view, its source or a key_query is not there */
	OutboxAspectState states[OUTBOX_ASPECTS];
	ErrorData *errors[OUTBOX_ASPECTS]; /* of FAULT and UNSEEN */
} OutboxContractLook;

extern void OutboxLookAtContract(OutboxContractLook *look);

/* ---- renamed.c: Sources that get another name, and tables that take their place. ---- */

extern void OutboxNoteRenamed(Oid table);
extern bool OutboxHasRenamed(void);
extern void OutboxJudgeRenamed(void);
extern void OutboxForgetRenamed(void);

/* ---- bounds.c: How long the check may take, and wait. ---- */

extern bool OutboxCheckBegin(void);
extern void OutboxCheckEnd(void);
extern void OutboxCheckTransactionEnded(void);
extern ErrorData *OutboxCheckBriefly(OutboxGuardedStep step, void *arg);

/* ---- gone.c: Views, sources and key queries of contracts that were dropped. ---- */

/* What a relation was called before the first command that may concern its contract. */
typedef struct OutboxFormerName
{
	Oid relation;
	char *schema;
	char *name;
} OutboxFormerName;

extern List *OutboxFormerNames(const List *relations);
extern bool OutboxFollowView(const OutboxContractConfig *config, const List *names);
extern ErrorData *OutboxGoneError(const OutboxContractConfig *config, const List *names);

/* ---- judge.c: Is a contract still what it was before the migration? ---- */

/* A contract that this transaction may break. */
typedef struct OutboxWatchedContract
{
	int32 id; /* 0: nobody could look at it */
	char *name;
	Oid source;
	const char *command;                      /* the first one that concerns it: its tag */
	char *object;                             /* and what that one names; or NULL */
	List *names;                              /* of OutboxFormerName *: its views and sources */
	bool gone;                                /* so it was before: its view, a source or a key_query */
	OutboxAspectState before[OUTBOX_ASPECTS]; /* such commands: FINE once it was */
} OutboxWatchedContract;

extern void OutboxJudgeContracts(const List *watched);

/* ---- trouble.c: What the check could not do, and what it only tells. ---- */

extern void OutboxTellTrouble(const char *command, const char *contract, const ErrorData *error);
extern void OutboxKeepTroubles(void);
extern void OutboxForgetTroubles(void);
extern void OutboxTellVerdict(const OutboxWatchedContract *watched, const ErrorData *verdict);
extern void OutboxMarkUnseen(const OutboxWatchedContract *watched, const char *why);

#endif /* OUTBOX_DDL_CHECK_CHECK_PRIVATE_H */
