/*-------------------------------------------------------------------------
 *
 * key_log.c
 *	  A stack of records that goes to a temporary file when it grows large.
 *
 * Records of a subtransaction always stand behind those of the levels around
 * it, so a rollback cuts the end off, in the file too: what was written beyond
 * is overwritten later. The file belongs to the top transaction, because a
 * savepoint's rollback must not take it along.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "capture/key_log.h"

#define INITIAL_CAPACITY 8192

static void spill(OutboxKeyLog *log);
static void seek(OutboxKeyLog *log, uint64 position);
static void read_exactly(OutboxKeyLog *log, void *out, Size size);

uint64
OutboxKeyLogEnd(const OutboxKeyLog *log)
{
	return log->base + log->used;
}

OutboxKeyRecord *
OutboxKeyLogReserve(OutboxKeyLog *log, Size size, bool *spilled)
{
	Size needed;

	*spilled = false;
	/* a temporary file beyond temp_file_limit would fail the write that we watch */
	if (log->used > 0 && log->used + size > log->limit && temp_file_limit < 0)
	{
		spill(log);
		*spilled = true;
	}
	needed = log->used + size;
	if (needed > log->capacity)
	{
		Size capacity = Max(log->capacity, INITIAL_CAPACITY);

		while (capacity < needed)
			capacity *= 2;
		capacity = Min(capacity, Max(log->limit, needed));
		if (log->buffer == NULL)
			log->buffer = MemoryContextAllocHuge(log->context, capacity);
		else
			log->buffer = repalloc_huge(log->buffer, capacity);
		log->capacity = capacity;
	}
	return (OutboxKeyRecord *) (log->buffer + log->used);
}

void
OutboxKeyLogPush(OutboxKeyLog *log, const OutboxKeyRecord *record)
{
	Assert((const char *) record == log->buffer + log->used);
	log->used += record->size;
}

OutboxKeyRecord *
OutboxKeyLogAt(const OutboxKeyLog *log, uint64 position)
{
	return (OutboxKeyRecord *) (log->buffer + (position - log->base));
}

void
OutboxKeyLogTruncate(OutboxKeyLog *log, uint64 end)
{
	if (end >= log->base)
		log->used = end - log->base;
	else
	{
		log->base = end;
		log->used = 0;
	}
}

void
OutboxKeyLogReset(OutboxKeyLog *log)
{
	if (log->file != NULL)
		BufFileClose(log->file);
	log->file = NULL;
	log->base = 0;
	log->used = 0;
}

static void
spill(OutboxKeyLog *log)
{
	if (log->file == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(log->context);
		ResourceOwner owner = CurrentResourceOwner;

		CurrentResourceOwner = TopTransactionResourceOwner;
		log->file = BufFileCreateTemp(false);
		CurrentResourceOwner = owner;
		MemoryContextSwitchTo(caller);
	}
	seek(log, log->base);
	BufFileWrite(log->file, log->buffer, log->used);
	log->base += log->used;
	log->used = 0;
}

/* BufFileSeek finds the segment of the file by itself. */
static void
seek(OutboxKeyLog *log, uint64 position)
{
	if (BufFileSeek(log->file, 0, (off_t) position, SEEK_SET) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not seek in the temporary file of the key queue")));
}

const OutboxKeyRecord *
OutboxKeyLogRead(OutboxKeyLog *log, uint64 *position)
{
	OutboxKeyRecord header;
	OutboxKeyRecord *record;

	if (*position >= OutboxKeyLogEnd(log))
		return NULL;
	if (*position >= log->base)
	{
		record = OutboxKeyLogAt(log, *position);
		*position += record->size;
		return record;
	}
	seek(log, *position);
	read_exactly(log, &header, sizeof(header));
	if (log->read_buffer == NULL || log->read_capacity < header.size)
	{
		log->read_capacity = Max(header.size, INITIAL_CAPACITY);
		log->read_buffer = MemoryContextAlloc(log->context, log->read_capacity);
	}
	memcpy(log->read_buffer, &header, sizeof(header));
	read_exactly(log, (char *) log->read_buffer + sizeof(header), header.size - sizeof(header));
	*position += header.size;
	return log->read_buffer;
}

static void
read_exactly(OutboxKeyLog *log, void *out, Size size)
{
	if (BufFileRead(log->file, out, size) != size)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read the temporary file of the key queue")));
}
