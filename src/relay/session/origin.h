/*-------------------------------------------------------------------------
 *
 * origin.h
 *	  The name by which consumers know this database.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_ORIGIN_H
#define OUTBOX_ORIGIN_H

#include "utils/palloc.h"

/* In a transaction of its own, which also fixes the name where it is void. Allocated in the context. */
extern char *OutboxOriginName(MemoryContext context);

#endif /* OUTBOX_ORIGIN_H */
