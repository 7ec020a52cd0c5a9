/*-------------------------------------------------------------------------
 *
 * temp_last.h
 *	  Temporary objects of a session hide nothing from code behind a contract.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_TEMP_LAST_H
#define OUTBOX_TEMP_LAST_H

extern void OutboxTempLastInit(void); /* when the library is loaded */

#endif /* OUTBOX_TEMP_LAST_H */
