/*-------------------------------------------------------------------------
 *
 * key_sort.h
 *	  The distinct keys of a key log, in the order of their first record.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_KEY_SORT_H
#define OUTBOX_KEY_SORT_H

#include "capture/commit/key_log.h"
#include "capture/commit/key_queue.h"

typedef struct OutboxKeySort OutboxKeySort;

/* Reads the log from that position on; sorts within work_mem, twice. Ended by OutboxKeySortEnd, or an abort. */
extern OutboxKeySort *OutboxKeySortStart(OutboxKeyLog *log, uint64 from, OutboxQueuedContract **contracts);

/* The next record; NULL at the end. Stays until the next call. */
extern const OutboxKeyRecord *OutboxKeySortNext(OutboxKeySort *sort);

extern void OutboxKeySortEnd(OutboxKeySort *sort);

#endif /* OUTBOX_KEY_SORT_H */
