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
 * A customer's write does not fail because our file cannot be written: then the
 * records stay in memory. That is why the file is read and written without a
 * buffer of its own, which would have to be written out before it can be read
 * again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "capture/commit/commit_private.h"
#include "compat.h"
#include "contract/environment/environment.h"

#define INITIAL_CAPACITY 8192
#define READ_SIZE (64 * 1024)
#define WRITE_SIZE (8 * 1024 * 1024)

static bool spill(OutboxKeyLog *log);
static bool open_file(OutboxKeyLog *log);
static void open_step(void *arg);
static bool write_buffer(OutboxKeyLog *log);
static void say(OutboxKeyLog *log, int sqlerrcode, const char *why);
static const char *fetch(OutboxKeyLog *log, uint64 position, Size size);

/* Where the next record will stand. */
uint64
OutboxKeyLogEnd(const OutboxKeyLog *log)
{
	return log->base + log->used;
}

/*
 * Room for a record of that size at the end; the record counts once it is pushed.
 * *spilled is set when the records so far went to the file. When the file cannot
 * be written, they stay in memory. May raise: no memory, or a cancel.
 */
OutboxKeyRecord *
OutboxKeyLogReserve(OutboxKeyLog *log, Size size, bool *spilled)
{
	Size needed;

	*spilled = false;
	if (log->used > 0 && log->used + size > log->limit)
	{
		*spilled = spill(log);
		if (!*spilled)
			log->limit *= 2;
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

/* The record at a position that is still in the buffer. */
OutboxKeyRecord *
OutboxKeyLogAt(const OutboxKeyLog *log, uint64 position)
{
	return (OutboxKeyRecord *) (log->buffer + (position - log->base));
}

/* Removes everything from that position on. */
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

/* Forgets everything; closes the file. */
void
OutboxKeyLogReset(OutboxKeyLog *log)
{
	if (log->file != 0)
		FileClose(log->file);
	log->file = 0;
	log->piece_size = 0;
	log->base = 0;
	log->used = 0;
}

/* False: the records are still in memory. */
static bool
spill(OutboxKeyLog *log)
{
	/* beyond temp_file_limit it would fail the write that we watch */
	if (temp_file_limit >= 0 || !open_file(log) || !write_buffer(log))
		return false;
	log->base += log->used;
	log->used = 0;
	log->piece_size = 0;
	return true;
}

static bool
open_file(OutboxKeyLog *log)
{
	ErrorData *error = NULL;

	if (log->file == 0)
		error = OutboxCatch(open_step, log, CurrentMemoryContext, OutboxNoFileError);
	if (error)
		say(log, error->sqlerrcode, error->message);
	return error == NULL;
}

static void
open_step(void *arg)
{
	OutboxKeyLog *log = arg;
	ResourceOwner owner = CurrentResourceOwner;

	CurrentResourceOwner = TopTransactionResourceOwner;
	log->file = OpenTemporaryFile(false);
	CurrentResourceOwner = owner;
}

/*
 * Is this an error that has nothing to do with a temporary file, so that taking
 * memory is no remedy? Errors of a file cannot be listed: a size limit or a quota
 * has no SQLSTATE of its own.
 */
bool
OutboxNoFileError(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_OUT_OF_MEMORY ||
		ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION ||
		ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_TRANSACTION_ROLLBACK;
}

/* Writes behind the end of the file. When it fails, the next attempt overwrites what was written. */
static bool
write_buffer(OutboxKeyLog *log)
{
	Size done = 0;

	while (done < log->used)
	{
		Size size = Min(log->used - done, WRITE_SIZE);
		int written;

		errno = 0;
		written = FileWrite(log->file, log->buffer + done, size, (off_t) (log->base + done), WAIT_EVENT_BUFFILE_WRITE);
		if (written <= 0)
		{
			/* a write that does not say why found no space */
			if (errno == 0)
				errno = ENOSPC;
			say(log, ERRCODE_DISK_FULL, psprintf("could not write to file \"%s\": %s", FilePathName(log->file), strerror(errno)));
			return false;
		}
		done += written;
	}
	return true;
}

static void
say(OutboxKeyLog *log, int sqlerrcode, const char *why)
{
	if (!log->said)
		ereport(LOG_SERVER_ONLY,
				(errcode(sqlerrcode),
				 errmsg("the keys of a transaction stay in memory: %s", why),
				 errhint("Make space where temporary files are, or commit fewer changes at a time; outbox.queue_memory is exceeded meanwhile.")));
	log->said = true;
}

/*
 * Reads the records in order: *position moves on. The record stays until the
 * next call; NULL at the end. Nothing may be pushed meanwhile.
 */
const OutboxKeyRecord *
OutboxKeyLogRead(OutboxKeyLog *log, uint64 *position)
{
	const OutboxKeyRecord *record;

	if (*position >= OutboxKeyLogEnd(log))
		return NULL;
	if (*position >= log->base)
		record = OutboxKeyLogAt(log, *position);
	else
	{
		record = (const OutboxKeyRecord *) fetch(log, *position, sizeof(OutboxKeyRecord));
		record = (const OutboxKeyRecord *) fetch(log, *position, record->size);
	}
	*position += record->size;
	return record;
}

/* `size` bytes of the file, aligned as they are there; valid until the next call. Raises when the file cannot be read. */
static const char *
fetch(OutboxKeyLog *log, uint64 position, Size size)
{
	if (position < log->piece_start || position + size > log->piece_start + log->piece_size)
	{
		Size wanted = Min(Max(size, READ_SIZE), log->base - position);
		Size done = 0;

		if (log->piece_capacity < wanted)
		{
			if (log->piece)
				pfree(log->piece);
			log->piece = NULL;
			log->piece_capacity = 0;
			log->piece = MemoryContextAllocHuge(log->context, wanted);
			log->piece_capacity = wanted;
		}
		log->piece_size = 0;
		while (done < wanted)
		{
			int got = FileRead(log->file, log->piece + done, wanted - done, (off_t) (position + done), WAIT_EVENT_BUFFILE_READ);

			if (got <= 0)
				ereport(ERROR,
						(errcode_for_file_access(),
						 errmsg("could not read the temporary file of the key queue, \"%s\"", FilePathName(log->file))));
			done += got;
		}
		log->piece_start = position;
		log->piece_size = wanted;
	}
	return log->piece + (position - log->piece_start);
}
