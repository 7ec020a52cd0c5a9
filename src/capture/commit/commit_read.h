/*-------------------------------------------------------------------------
 *
 * commit_read.h
 *	  Reading the rows of a contract by their lookup keys at commit.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_COMMIT_READ_H
#define OUTBOX_COMMIT_READ_H

#include "access/htup.h"
#include "utils/snapshot.h"

#include "capture/commit/lookup_key.h"
#include "contract/compile/compile.h"

/* What the contract's view shows for a key in one snapshot. */
typedef struct OutboxKeySide
{
	int nrows;
	HeapTuple row;    /* the first one */
	ErrorData *error; /* it could not be read */
	HeapTuple key;    /* then, where it is asked for: a row of which key and aggregate_id alone are known */
} OutboxKeySide;

typedef struct OutboxReadKey
{
	Datum *values;
	uint64 hash;
	OutboxKeySide before;
	OutboxKeySide after;
} OutboxReadKey;

typedef struct OutboxCommitRead
{
	OutboxCompiledContract *contract;
	const OutboxKeyShape *shape;
	MemoryContext context; /* of rows and errors */
	Snapshot snapshot;     /* registered: sees all of our commands */
	CommandId before;      /* our commands from this one on are not seen before */
} OutboxCommitRead;

/*
 * Fills the before or after side of the keys, in one query; a key that makes
 * the query raise gets its error, the others are read without it. Returns NULL,
 * or the error that no key is to blame for (the timer's, a lock's):
 * then sides that are not filled stay empty.
 */
extern ErrorData *OutboxReadKeysBefore(OutboxCommitRead *read, OutboxReadKey **keys, int nkeys);
extern ErrorData *OutboxReadKeysAfter(OutboxCommitRead *read, OutboxReadKey **keys, int nkeys);

/* Fills before.key of a key whose row before could not be read, if the columns of the key can; where the contract has a key_query. */
extern void OutboxReadFormerKey(OutboxCommitRead *read, OutboxReadKey *key);

#endif /* OUTBOX_COMMIT_READ_H */
