/*-------------------------------------------------------------------------
 *
 * ddl.h
 *	  DDL on the sources and on our own objects: watched, refused, followed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_DDL_DDL_H
#define OUTBOX_DDL_DDL_H

/* ---- leaf_rights.c: A role without the right to read outbox.event locks no leaf. ---- */

extern void OutboxLeafRightsInit(void);

/* ---- refuse_ddl.c: Commands on our own relations that are refused before they lock anything. ---- */

extern void OutboxRefuseDdlInit(void);

#endif /* OUTBOX_DDL_DDL_H */
