/*-------------------------------------------------------------------------
 *
 * refuse_relation.h
 *	  Relations of ours that a command names: is it refused?
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_REFUSE_RELATION_H
#define OUTBOX_REFUSE_RELATION_H

#include "nodes/parsenodes.h"

/* In place of a right that lets somebody else than the owner run a command. */
#define OUTBOX_OWNER_ONLY 0

/* Is it in one of our schemas? And is it the extension's? A name may be NULL, here and below. */
extern bool OutboxNamesRelation(const RangeVar *name);
extern bool OutboxNamesMember(const RangeVar *name);

/*
 * The relation if it is in one of our schemas, or InvalidOid. Raises what
 * PostgreSQL would raise after it had the lock, when the role has neither the
 * owner's rights nor this one.
 */
extern Oid OutboxRefuseStrangers(const RangeVar *name, AclMode right);

/* Then raises for rules on a relation of ours, and for indexes and triggers where capture writes past them. */
extern void OutboxRefuseOnLeaves(const RangeVar *name, AclMode right, NodeTag what);

/* Then raises for whatever is a relation of ours. */
extern void OutboxRefuseChange(const RangeVar *name);

#endif /* OUTBOX_REFUSE_RELATION_H */
