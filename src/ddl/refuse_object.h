/*-------------------------------------------------------------------------
 *
 * refuse_object.h
 *	  Who may lock the extension and those of its objects that are no relations.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_REFUSE_OBJECT_H
#define OUTBOX_REFUSE_OBJECT_H

#include "nodes/parsenodes.h"

/* Raises insufficient_privilege if the command names the extension or an object of it, and the role does not own that. */
extern void OutboxRefuseStrangersToObjects(const Node *stmt);

/* Is this a command on an event trigger, for which no event trigger is called? */
extern bool OutboxNamesEventTrigger(const Node *stmt);

#endif /* OUTBOX_REFUSE_OBJECT_H */
