/*-------------------------------------------------------------------------
 *
 * sequence.c
 *	  Numbers from our sequences, without the session noticing.
 *
 * nextval() makes the sequence the one that lastval() reports: an application
 * that inserts a row and asks for lastval(), as many old ones do, would get
 * the number of our event or dead letter.  It also refuses in a transaction
 * that was set read only before its deferred triggers ran, and hands out
 * cached numbers when somebody altered the sequence, which breaks the order
 * of events.  So the page is advanced here, with the same WAL record and under
 * the same lock as commands/sequence.c does it: always by one, never cached.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xloginsert.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/rel.h"
#include "utils/resowner.h"

#include "catalog/catalog_private.h"
#include "compat.h"

/* Numbers that one WAL record covers: lost by a crash, and 100 bytes of WAL per so many events. */
#define LOG_AHEAD 128

static Buffer pin_page(OutboxSequence *sequence);

/*
 * Finds the sequence's storage; with lock, also locks it until the end of the
 * transaction and assigns its xid: once before the first number.  To be repeated
 * when the transaction may have altered the sequence itself.
 */
void
OutboxSequenceBind(OutboxSequence *sequence, Oid relid, bool lock)
{
	Relation rel;

	if (lock)
	{
		ResourceOwner owner = CurrentResourceOwner;

		/* a number that is logged is flushed by the commit of a transaction with an xid */
		(void) GetTopTransactionId();
		CurrentResourceOwner = TopTransactionResourceOwner;
		LockRelationOid(relid, RowExclusiveLock);
		CurrentResourceOwner = owner;
	}
	rel = relation_open(relid, NoLock);
	sequence->relid = relid;
	sequence->locator = OutboxRelLocatorOf(rel);
	sequence->needs_wal = RelationNeedsWAL(rel);
	relation_close(rel, NoLock);
}

static Buffer
pin_page(OutboxSequence *sequence)
{
	Relation rel;

	if (BufferIsValid(sequence->buffer) &&
		ReadRecentBuffer(sequence->locator, MAIN_FORKNUM, 0, sequence->buffer))
		return sequence->buffer;
	rel = relation_open(sequence->relid, NoLock);
	sequence->buffer = ReadBuffer(rel, 0);
	relation_close(rel, NoLock);
	return sequence->buffer;
}

/*
 * Logs the state as it will be LOG_AHEAD numbers later; a crash continues
 * there.  In a critical section, the page locked and marked dirty.
 */
static void
log_ahead(const OutboxSequence *sequence, Page page, HeapTupleHeader tuple, Size len, int64 last)
{
	Form_pg_sequence_data data = (Form_pg_sequence_data) ((char *) tuple + tuple->t_hoff);
	xl_seq_rec record;
	XLogRecPtr recptr;

	data->last_value = last;
	data->is_called = true;
	data->log_cnt = 0;

	record.OutboxSequenceRecordLocator = sequence->locator;
	XLogBeginInsert();
	XLogRegisterBuffer(0, sequence->buffer, REGBUF_WILL_INIT);
	XLogRegisterData((char *) &record, sizeof(record));
	XLogRegisterData((char *) tuple, len);
	recptr = XLogInsert(RM_SEQ_ID, XLOG_SEQ_LOG);
	PageSetLSN(page, recptr);
}

/* The next number; the sequence is bound and locked. */
int64
OutboxSequenceNext(OutboxSequence *sequence)
{
	Buffer buffer = pin_page(sequence);
	Page page = BufferGetPage(buffer);
	ItemId item;
	HeapTupleHeader tuple;
	Form_pg_sequence_data data;
	int64 result;
	int64 logged;

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	item = PageGetItemId(page, FirstOffsetNumber);
	tuple = (HeapTupleHeader) PageGetItem(page, item);
	data = (Form_pg_sequence_data) ((char *) tuple + tuple->t_hoff);

	result = data->is_called ? data->last_value + 1 : data->last_value;
	logged = data->log_cnt - 1;

	START_CRIT_SECTION();
	MarkBufferDirty(buffer);
	/* the first change after a checkpoint is logged, or replay from there would not see it */
	if (!data->is_called || logged < 0 || PageGetLSN(page) <= GetRedoRecPtr())
	{
		logged = LOG_AHEAD;
		if (sequence->needs_wal)
			log_ahead(sequence, page, tuple, ItemIdGetLength(item), result + LOG_AHEAD);
	}
	data->last_value = result;
	data->is_called = true;
	data->log_cnt = logged;
	END_CRIT_SECTION();

	UnlockReleaseBuffer(buffer);
	return result;
}

/* The number before the one that comes next; needs no right on the sequence. */
int64
OutboxSequenceLast(Oid relid)
{
	Relation rel = relation_open(relid, AccessShareLock);
	Buffer buffer = ReadBuffer(rel, 0);
	Page page = BufferGetPage(buffer);
	HeapTupleHeader tuple;
	Form_pg_sequence_data data;
	int64 result;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	tuple = (HeapTupleHeader) PageGetItem(page, PageGetItemId(page, FirstOffsetNumber));
	data = (Form_pg_sequence_data) ((char *) tuple + tuple->t_hoff);
	result = data->is_called ? data->last_value : data->last_value - 1;
	UnlockReleaseBuffer(buffer);
	relation_close(rel, AccessShareLock);
	return result;
}
