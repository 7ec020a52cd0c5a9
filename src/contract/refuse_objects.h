/*-------------------------------------------------------------------------
 *
 * refuse_objects.h
 *	  Commands of strangers on our extension, schemas, functions and event
 *	  triggers are refused before they lock anything.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_REFUSE_OBJECTS_H
#define OUTBOX_REFUSE_OBJECTS_H

#include "nodes/nodes.h"

extern void OutboxRefuseOnObjects(const Node *stmt);

#endif /* OUTBOX_REFUSE_OBJECTS_H */
