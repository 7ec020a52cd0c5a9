/*-------------------------------------------------------------------------
 *
 * commit.h
 *	  Contracts evaluated at commit: keys queued, locked, read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CAPTURE_COMMIT_COMMIT_H
#define OUTBOX_CAPTURE_COMMIT_COMMIT_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "utils/snapshot.h"
#include "utils/typcache.h"

#include "catalog/outbox_catalog.h"
#include "contract/compile/compile.h"
#include "shared/outbox_shared.h"

/* ---- aggregate_lock.c: one transaction at a time reads an aggregate at commit ---- */

/* The keys of one lock class that a flush wants to lock. */
typedef struct OutboxLockSet
{
	uint64 lock_class;
	bool coarse;  /* too many keys: the whole class instead */
	uint64 nkeys; /* that were added, duplicates included */
	int nhashes;
	int capacity;
	uint64 *hashes;
} OutboxLockSet;

/* Adds all keys (OutboxLockKey) of the coarse sets of that class to a filter (bulk_filter.c). May raise. */
typedef void (*OutboxFillFilter)(void *arg, uint64 lock_class, int filter);

/* What one flush locks, all at once. */
typedef struct OutboxLockRequest
{
	OutboxLockSet **sets;
	int nsets;
	OutboxFillFilter fill; /* NULL: others do not learn the keys of a coarse set */
	void *fill_arg;
	int nparts; /* by class */
	OutboxTicketPart *parts;
	struct OutboxTableLocks *table; /* without shared memory */
	bool waited;
} OutboxLockRequest;

/* How long to wait. */
typedef struct OutboxLockPatience
{
	int ms;
	bool in_a_hurry; /* ahead of others who wait; all time counts, also while the holder of the keys commits */
} OutboxLockPatience;

extern uint64 OutboxLockClass(const char *aggregate_type);
extern OutboxLockSet *OutboxLockSetCreate(uint64 lock_class);
extern void OutboxLockSetAdd(OutboxLockSet *set, uint64 hash);
extern void OutboxLockRequestMake(OutboxLockRequest *request, OutboxLockSet **sets, int nsets);
extern bool OutboxLockTake(OutboxLockRequest *request, const OutboxLockPatience *patience);

/* ---- lookup_key.c: lookup keys: their hash, their equality, and their image in memory ---- */

typedef struct OutboxKeyColumn
{
	TypeCacheEntry *type; /* lives as long as the backend */
	Oid collation;
	int16 len;
	bool byval;
} OutboxKeyColumn;

/* What the keys of one contract look like. */
typedef struct OutboxKeyShape
{
	TupleDesc desc; /* a copy */
	int ncolumns;
	OutboxKeyColumn columns[FLEXIBLE_ARRAY_MEMBER];
} OutboxKeyShape;

extern OutboxKeyShape *OutboxKeyShapeCreate(TupleDesc desc);
extern bool OutboxKeyShapeMayRaise(const OutboxKeyShape *shape);
extern uint64 OutboxKeyHash(const OutboxKeyShape *shape, const Datum *values);

/* ---- commit_read.c: reading the rows of a contract by their lookup keys at commit ---- */

/* What the contract's view shows for a key in one snapshot. */
typedef struct OutboxKeySide
{
	int nrows;
	HeapTuple row;    /* the first one */
	ErrorData *error; /* it could not be read */
	HeapTuple key;    /* then, when it is asked for: a row that has key and aggregate_id alone */
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

extern ErrorData *OutboxReadKeysAfter(OutboxCommitRead *read, OutboxReadKey **keys, int nkeys);

/* ---- flush.c: contracts evaluated at commit: from queued keys to events ---- */

extern void OutboxFlushInit(void);
extern void OutboxFlushIfOver(void);

/* ---- key_queue.c: the lookup keys that this transaction touched, of contracts evaluated at commit ---- */

typedef struct OutboxQueuedVersion
{
	int32 version;
	int32 line; /* 0: the first one */
} OutboxQueuedVersion;

/* A contract with keys in the queue; lives as long as the transaction. */
typedef struct OutboxQueuedContract
{
	int index;
	int32 id; /* of the configuration that the keys were queued for */
	char *name;
	uint64 lock_class; /* of its aggregate type */
	OutboxKeyShape *shape;
	bool abort_on_invalid;
	int nversions; /* that are published, as the last touch found them; the first one is first */
	struct OutboxQueuedVersion *versions;
	Oid owner;       /* the role as which it was compiled last; InvalidOid: it never was */
	List *relations; /* and the OIDs that it reads */
} OutboxQueuedContract;

/* The transaction's first touch of the key was the root's INSERT: there was no row before. */
#define OUTBOX_KEY_INSERTED 0x0001

typedef struct OutboxQueuedKey
{
	OutboxQueuedContract *contract;
	int flags;
	uint64 hash;
	const char *image; /* until the next key is taken */
	Size image_size;
} OutboxQueuedKey;

extern OutboxQueuedContract *OutboxKeyQueueContract(const OutboxContractConfig *config, TupleDesc lookup_desc);
extern void OutboxKeyQueueAdd(OutboxQueuedContract *contract, const Datum *values, int flags);

/* ---- queued_contract.c: what the key queue remembers of a contract for the flush ---- */

extern void OutboxKeyQueueNoteVersions(OutboxQueuedContract *contract, const OutboxContractConfig *config);
extern void OutboxKeyQueueNoteRelations(OutboxQueuedContract *contract, Oid owner, const List *relations);

#endif /* OUTBOX_CAPTURE_COMMIT_COMMIT_H */
