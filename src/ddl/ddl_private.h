/*-------------------------------------------------------------------------
 *
 * ddl_private.h
 *	  Shared by the files of ddl/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_DDL_DDL_PRIVATE_H
#define OUTBOX_DDL_DDL_PRIVATE_H

#include "nodes/parsenodes.h"

#include "catalog/outbox_catalog.h"
#include "ddl/ddl.h"

/* ---- ddl_judge.c: Is the key of a live contract still proven after DDL on its source? ---- */

/* What a look at a contract's key finds. */
typedef enum OutboxKeyFinding
{
	OUTBOX_KEY_PROVEN,
	OUTBOX_KEY_NOT_PROVEN,
	OUTBOX_KEY_BROKEN,  /* changes become dead letters, which say why; or nothing is captured */
	OUTBOX_KEY_NOT_SEEN /* a lock, memory or another resource was not to be had */
} OutboxKeyFinding;

/* A contract whose source this transaction changes. */
typedef struct OutboxWatchedContract
{
	int32 id; /* 0: nobody could look at it */
	char *name;
	Oid source;
	OutboxKeyFinding before; /* such commands: PROVEN once it was */
} OutboxWatchedContract;

extern void OutboxWatchPartition(const OutboxContractConfig *config);
extern OutboxKeyFinding OutboxLookAtKey(const char *name, int32 *id);
extern void OutboxJudgeContract(const OutboxWatchedContract *watched);
extern void OutboxJudgeAllContracts(void *arg);
extern void OutboxLogDdlTrouble(const ErrorData *error);

/* ---- refuse_object.c: Who may lock the extension, and its objects that are no relations. ---- */

extern void OutboxRefuseStrangersToObjects(const Node *stmt);
extern bool OutboxNamesEventTrigger(const Node *stmt);

/* ---- refuse_relation.c: Is a command on one of our relations refused? ---- */

/* The right to pass where only the owner may run the command. */
#define OUTBOX_OWNER_ONLY 0

extern bool OutboxNamesRelation(const RangeVar *name);
extern bool OutboxNamesMember(const RangeVar *name);
extern Oid OutboxRefuseStrangers(const RangeVar *name, AclMode right);
extern void OutboxRefuseOnLeaves(const RangeVar *name, AclMode right, NodeTag what);
extern void OutboxRefuseChange(const RangeVar *name);

#endif /* OUTBOX_DDL_DDL_PRIVATE_H */
