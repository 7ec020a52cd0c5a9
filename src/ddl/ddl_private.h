/*-------------------------------------------------------------------------
 *
 * ddl_private.h
 *	  Shared by the files of ddl/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_DDL_DDL_PRIVATE_H
#define OUTBOX_DDL_DDL_PRIVATE_H

#include "fmgr.h"
#include "nodes/parsenodes.h"

#include "catalog/outbox_catalog.h"
#include "ddl/ddl.h"

/* ---- detach_sql.c: Views step aside. ---- */

extern void OutboxReturnViewNames(FunctionCallInfo fcinfo, const List *names);

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
