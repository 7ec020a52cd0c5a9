/*-------------------------------------------------------------------------
 *
 * ddl.h
 *	  What happens below a contract: DDL watched, refused, followed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_DDL_DDL_H
#define OUTBOX_DDL_DDL_H

/* ---- leaf_rights.c: No lock on the leaves of outbox.event for a role that may not read it. ---- */

extern void OutboxLeafRightsInit(void);

/* ---- refuse_ddl.c: Commands on our own relations that are refused before they lock anything. ---- */

extern void OutboxRefuseDdlInit(void);

#endif /* OUTBOX_DDL_DDL_H */
