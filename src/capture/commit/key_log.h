/*-------------------------------------------------------------------------
 *
 * key_log.h
 *	  A stack of records that goes to a temporary file when it grows large.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_KEY_LOG_H
#define OUTBOX_KEY_LOG_H

#include "storage/fd.h"

/* A record: this header, then the image of a lookup key. */
typedef struct OutboxKeyRecord
{
	uint32 size; /* header and image, a multiple of MAXALIGN */
	uint16 contract;
	uint16 flags;
	uint64 hash;
} OutboxKeyRecord;

#define OUTBOX_KEY_IMAGE(record) ((char *) (record) + MAXALIGN(sizeof(OutboxKeyRecord)))

/*
 * Positions count from the first record ever pushed; what is below `base` is
 * in the file, what is above in the buffer.
 */
typedef struct OutboxKeyLog
{
	MemoryContext context; /* owns the buffer and the file's */
	Size limit;            /* of the buffer; grows when the file cannot */
	char *buffer;
	Size capacity;
	Size used;
	uint64 base;
	File file;    /* 0: nothing was spilled */
	char *window; /* what was read last from the file, */
	Size window_capacity;
	Size window_size;
	uint64 window_start; /* and from where on */
	bool said;           /* that a file cannot be written */
} OutboxKeyLog;

/*
 * Is this an error for which memory would be no remedy? Of a temporary file it
 * may be any: a size limit or a quota has no SQLSTATE of its own.
 */
extern bool OutboxNoFileError(const ErrorData *error);

/* Where the next record will stand. */
extern uint64 OutboxKeyLogEnd(const OutboxKeyLog *log);

/*
 * Room for a record of that size at the end; it counts once it is pushed.
 * *spilled is set when the records so far went to the file for it. When they
 * cannot, for want of space say, they stay in memory.
 */
extern OutboxKeyRecord *OutboxKeyLogReserve(OutboxKeyLog *log, Size size, bool *spilled);
extern void OutboxKeyLogPush(OutboxKeyLog *log, const OutboxKeyRecord *record);

/* The record at a position that is still in the buffer. */
extern OutboxKeyRecord *OutboxKeyLogAt(const OutboxKeyLog *log, uint64 position);

/* Removes everything from that position on. */
extern void OutboxKeyLogTruncate(OutboxKeyLog *log, uint64 end);

/* Forgets everything; closes the file. */
extern void OutboxKeyLogReset(OutboxKeyLog *log);

/*
 * Reads the records in order: *position moves on. The record stays until the
 * next call; NULL at the end. Nothing may be pushed meanwhile.
 */
extern const OutboxKeyRecord *OutboxKeyLogRead(OutboxKeyLog *log, uint64 *position);

#endif /* OUTBOX_KEY_LOG_H */
