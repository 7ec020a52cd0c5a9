/*-------------------------------------------------------------------------
 *
 * commit_private.h
 *	  Shared by the files of capture/commit/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CAPTURE_COMMIT_COMMIT_PRIVATE_H
#define OUTBOX_CAPTURE_COMMIT_COMMIT_PRIVATE_H

#include "access/htup.h"
#include "portability/instr_time.h"
#include "storage/fd.h"

#include "capture/commit/commit.h"
#include "capture/transition/transition.h"
#include "contract/compile/compile.h"
#include "util/util.h"

/* ---- aggregate_lock.c: one transaction at a time reads an aggregate at commit ---- */

extern uint64 OutboxLockKey(uint64 lock_class, uint64 hash);
extern void OutboxLockPause(int *ms);
extern void OutboxLockForget(OutboxLockRequest *request);
extern void OutboxLockRelease(OutboxLockRequest *request);

/* ---- lookup_key.c: lookup keys: their hash, their equality, and their image in memory ---- */

extern bool OutboxKeyShapeFits(const OutboxKeyShape *shape, TupleDesc desc);
extern bool OutboxKeyEqual(const OutboxKeyShape *shape, const Datum *a, const Datum *b);
extern void OutboxKeyDetoast(const OutboxKeyShape *shape, const Datum *values, Datum *flat);
extern Size OutboxKeyImageSize(const OutboxKeyShape *shape, const Datum *values);
extern void OutboxKeyWriteImage(const OutboxKeyShape *shape, const Datum *values, char *image);
extern void OutboxKeyReadImage(const OutboxKeyShape *shape, const char *image, Datum *values);

/* ---- commit_read.c: reading the rows of a contract by their lookup keys at commit ---- */

extern ErrorData *OutboxReadKeysBefore(OutboxCommitRead *read, OutboxReadKey **keys, int nkeys);
extern void OutboxReadFormerKey(OutboxCommitRead *read, OutboxReadKey *key);

/* ---- flush.c: contracts evaluated at commit: from queued keys to events ---- */

extern void OutboxFlushRegister(void);

/* ---- key_queue.c: the lookup keys that this transaction touched, of contracts evaluated at commit ---- */

extern bool OutboxKeyQueueIsEmpty(void);
extern uint64 OutboxKeyQueueCount(void);
extern int OutboxKeyQueueContracts(OutboxQueuedContract ***contracts);
extern CommandId OutboxKeyQueueBefore(void);
extern void OutboxKeyQueueStart(void);
extern void OutboxKeyQueueScan(void);
extern bool OutboxKeyQueueNext(OutboxQueuedKey *key);
extern void OutboxKeyQueueStop(void);
extern void OutboxKeyQueueFlushed(CommandId before);
extern void OutboxKeyQueuePromote(int nest_level);
extern void OutboxKeyQueueDrop(int nest_level);
extern void OutboxKeyQueueCloseFile(void);
extern void OutboxKeyQueueForget(void);

/* ---- flush_contract.c: a contract during a flush: compiled, locked, or the reason why not ---- */

typedef struct OutboxFlushContract
{
	OutboxQueuedContract *queued;
	int32 version;
	int32 line;                        /* of a later version; 0: the first one */
	struct OutboxFlushContract *first; /* of a later version: the first one */
	struct OutboxFlushContract *next;  /* the version after this one */
	List *relations;                   /* of a later version: OIDs that it reads, as far as known */
	OutboxLockSet *locks;              /* of the first version: NULL: no keys */
	OutboxCachedContract *cached;      /* reserved; NULL: not opened yet */
	OutboxLook look;                   /* while it is reserved: the locks on the relations that it reads */
	OutboxCompiledContract *compiled;  /* NULL once opened: nobody wants its keys, or `late` */
	const ErrorData *late;             /* its keys cannot be evaluated now */
	const ErrorData *unknown;          /* why its rows before are not known */
	bool root_rewritten;               /* not even by an INSERT */
	List *rewritten;                   /* OIDs of the tables */
	uint64 nkeys;                      /* captured so far, */
	uint64 portion_keys;               /* of them in this portion, */
	uint64 spent_ns;                   /* and the time it took */
} OutboxFlushContract;

extern bool OutboxFlushContractHasKeys(const OutboxFlushContract *contract);
extern void OutboxFlushContractAddVersions(OutboxFlushContract *contract, OutboxFlushContract *free);
extern bool OutboxFlushContractOpen(OutboxFlushContract *contract, ResourceOwner parent);
extern void OutboxFlushContractCheckRewritten(OutboxFlushContract *contract);
extern void OutboxFlushContractRecordGaps(OutboxFlushContract *contract);
extern void OutboxFlushContractClose(OutboxFlushContract *contract);
extern void OutboxFlushContractUnlock(OutboxFlushContract *contract);

/* ---- flush.c, flush_lock.c, flush_portion.c: one flush on its way ---- */

typedef struct OutboxPortionKey
{
	OutboxReadKey read; /* first */
	OutboxFlushContract *contract;
	bool inserted;     /* there was no row before */
	bool before_known; /* read.before is what the view showed */
} OutboxPortionKey;

typedef struct OutboxFlush
{
	MemoryContext context;
	MemoryContext portion_context;
	ResourceOwner resources; /* of the (sub)transaction that flushes */
	OutboxFlushContract *contracts;
	int ncontracts;
	bool take_locks; /* on aggregates */
	int timeout_ms;
	bool keys_locked;
	bool keys_refused;
	bool locked;
	OutboxLockRequest locks;
	CommandId before;
	const ErrorData *expired; /* why a key is late that the timer left out */
	bool extended;            /* the time for rows before of late keys has begun */
	Snapshot snapshot;        /* of the portion */
	int portion_size;
	OutboxPortionKey *keys;
	int nkeys;
	int most_versions; /* of a contract */
	OutboxPairs pairs; /* of the key that is captured */
	instr_time lap;    /* up to which the time has been shared out */
} OutboxFlush;

/* ---- flush_late.c: keys that a commit could not evaluate in time ---- */

typedef struct OutboxLateKey
{
	const OutboxQueuedContract *contract;
	int32 version;
	const Datum *lookup;
	bool before_known;
	Datum snapshot;   /* a pg_snapshot: which transactions it has seen */
	HeapTuple before; /* a row of row_desc; NULL: none */
	TupleDesc row_desc;
	const ErrorData *reason;
} OutboxLateKey;

extern void OutboxLateLetter(const OutboxLateKey *key);
extern void OutboxFlushOpenLate(OutboxFlush *flush);
extern void OutboxFlushReadLate(OutboxFlush *flush, OutboxFlushContract *contract, OutboxCommitRead *read);
extern Datum OutboxFlushSeen(OutboxFlush *flush);

/* ---- flush_portion.c: the keys of a flush, portion by portion ---- */

extern void OutboxFlushTakeLocks(OutboxFlush *flush);
extern bool OutboxFlushWantsBefore(const OutboxPortionKey *key);
extern void OutboxFlushNoteBefore(OutboxFlushContract *contract, OutboxReadKey **keys, int nkeys);
extern void OutboxFlushPortions(OutboxFlush *flush);
extern void OutboxFlushShareTime(OutboxFlush *flush, bool by_keys);
extern ErrorData *OutboxFlushError(int sqlerrcode, char *message, char *hint);

/* ---- key_log.c: a stack of records that goes to a temporary file when it grows large ---- */

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
	File file;   /* 0: nothing was spilled */
	char *piece; /* what was read last from the file, */
	Size piece_capacity;
	Size piece_size;
	uint64 piece_start; /* and from where on */
	bool said;          /* that a file cannot be written */
} OutboxKeyLog;

extern bool OutboxNoFileError(const ErrorData *error);
extern uint64 OutboxKeyLogEnd(const OutboxKeyLog *log);
extern OutboxKeyRecord *OutboxKeyLogReserve(OutboxKeyLog *log, Size size, bool *spilled);
extern void OutboxKeyLogPush(OutboxKeyLog *log, const OutboxKeyRecord *record);
extern OutboxKeyRecord *OutboxKeyLogAt(const OutboxKeyLog *log, uint64 position);
extern void OutboxKeyLogTruncate(OutboxKeyLog *log, uint64 end);
extern void OutboxKeyLogReset(OutboxKeyLog *log);
extern const OutboxKeyRecord *OutboxKeyLogRead(OutboxKeyLog *log, uint64 *position);

/* ---- key_level.c: what the rollback of a subtransaction does to the queue ---- */

/* What the rollback goes back to. */
typedef struct OutboxKeyLevel
{
	int nest_level;
	uint64 end; /* of the records of the levels around it */
	uint64 count;
	bool flushed; /* the next three are what a flush in here replaced */
	uint64 head;
	uint64 head_count;
	CommandId before;
} OutboxKeyLevel;

typedef struct OutboxKeyLevels
{
	OutboxKeyLevel *level;
	int n;
	int max;
} OutboxKeyLevels;

extern OutboxKeyLevel *OutboxKeyLevelNow(OutboxKeyLevels *levels, MemoryContext context, uint64 end, uint64 count);
extern void OutboxKeyLevelsPromote(OutboxKeyLevels *levels, int nest_level);

/* ---- key_sort.c: the distinct keys of a key log, in the order of their first record ---- */

typedef struct OutboxKeySort OutboxKeySort;

extern OutboxKeySort *OutboxKeySortStart(OutboxKeyLog *log, uint64 from, OutboxQueuedContract **contracts);
extern const OutboxKeyRecord *OutboxKeySortNext(OutboxKeySort *sort);
extern void OutboxKeySortEnd(OutboxKeySort *sort);

/* ---- table_lock.c: keys locked in the server's lock table, where there is no shared memory of ours ---- */

typedef struct OutboxTableLocks OutboxTableLocks;

extern int OutboxTableRoom(OutboxLockSet **sets, int nsets);
extern OutboxTableLocks *OutboxTableLocksMake(const OutboxTicketPart *parts, int nparts);
extern bool OutboxTableTake(OutboxTableLocks *locks);
extern void OutboxTableRelease(OutboxTableLocks *locks);

#endif /* OUTBOX_CAPTURE_COMMIT_COMMIT_PRIVATE_H */
