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

#include "ddl/ddl.h"

/* ---- refuse_object.c: Who may lock the extension and those of its objects that are no relations. ---- */

extern void OutboxRefuseStrangersToObjects(const Node *stmt);
extern bool OutboxNamesEventTrigger(const Node *stmt);

/* ---- refuse_relation.c: Relations of ours that a command names: is it refused?. ---- */

/* In place of a right that lets somebody else than the owner run a command. */
#define OUTBOX_OWNER_ONLY 0

extern bool OutboxNamesRelation(const RangeVar *name);
extern bool OutboxNamesMember(const RangeVar *name);
extern Oid OutboxRefuseStrangers(const RangeVar *name, AclMode right);
extern void OutboxRefuseOnLeaves(const RangeVar *name, AclMode right, NodeTag what);
extern void OutboxRefuseChange(const RangeVar *name);

/* ---- renamed_source.c: Sources that get another name, judged when that is committed. ---- */

extern void OutboxNoteRenamedSource(Oid table);
extern bool OutboxHasRenamedSources(void);
extern void OutboxJudgeRenamedSources(void *arg);
extern void OutboxForgetRenamedSources(void);

#endif /* OUTBOX_DDL_DDL_PRIVATE_H */
