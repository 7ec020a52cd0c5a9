/*-------------------------------------------------------------------------
 *
 * leaf_rights.h
 *	  No lock on the leaves of outbox.event for a role that may not read it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_LEAF_RIGHTS_H
#define OUTBOX_LEAF_RIGHTS_H

extern void OutboxLeafRightsInit(void); /* when the library is loaded */

#endif /* OUTBOX_LEAF_RIGHTS_H */
