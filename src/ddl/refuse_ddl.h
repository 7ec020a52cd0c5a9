/*-------------------------------------------------------------------------
 *
 * refuse_ddl.h
 *	  Commands on our own relations that are refused before they lock anything.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_REFUSE_DDL_H
#define OUTBOX_REFUSE_DDL_H

extern void OutboxRefuseDdlInit(void); /* when the library is loaded */

#endif /* OUTBOX_REFUSE_DDL_H */
