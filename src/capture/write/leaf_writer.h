/*-------------------------------------------------------------------------
 *
 * leaf_writer.h
 *	  Writes rows into the current leaf, and remembers where they went.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_LEAF_WRITER_H
#define OUTBOX_LEAF_WRITER_H

#include "access/htup.h"
#include "utils/relcache.h"

#define OUTBOX_LEAF_BATCH 512

typedef struct OutboxLeafRow
{
	HeapTupleHeader header;
	uint32 len;
} OutboxLeafRow;

/* The current leaf, opened and locked until the end of the transaction; close it with NoLock. */
extern Relation OutboxLeafOpen(int16 *leaf);

/*
 * Writes at most OUTBOX_LEAF_BATCH rows with the current subtransaction's xid
 * and adds their blocks to the hint runs. Allocates in the current context.
 */
extern void OutboxLeafWrite(Relation rel, const OutboxLeafRow *rows, int n);

/* The next transaction, or another installation, locks its leaf anew. */
extern void OutboxLeafForget(void);

#endif /* OUTBOX_LEAF_WRITER_H */
