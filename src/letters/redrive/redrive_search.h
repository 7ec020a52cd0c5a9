/*-------------------------------------------------------------------------
 *
 * redrive_search.h
 *	  Shared by redrive_events.c, redrive_search.c and redrive_reading.c: the search on its way.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_REDRIVE_SEARCH_H
#define OUTBOX_REDRIVE_SEARCH_H

#include "datatype/timestamp.h"
#include "utils/snapshot.h"

#include "contract/compile/compile.h"
#include "letters/redrive/redrive_private.h"
#include "shared/outbox_shared.h"

#define SH_PREFIX outbox_found
#define SH_ELEMENT_TYPE OutboxKeyEvents
#define SH_KEY_TYPE uint64
#define SH_KEY key
#define SH_HASH_KEY(table, key) ((uint32) (key))
#define SH_EQUAL(table, a, b) ((a) == (b))
#define SH_SCOPE extern
#define SH_DECLARE
#include "lib/simplehash.h"

typedef struct OutboxSearchContract
{
	char *name;
	int32 line; /* of the version */
	bool decode;
	OutboxCachedContract *cached; /* while something is read, as the next */
	OutboxCompiledContract *compiled;
} OutboxSearchContract;

typedef struct OutboxSearchSchema
{
	int32 id;
	int contract;
} OutboxSearchSchema;

typedef struct OutboxSearchLeaf
{
	Oid relid;
	Oid relfilenumber;
	BlockNumber next; /* blocks before it were read */
	bool read;        /* all were */
} OutboxSearchLeaf;

/* As long as there is something to remember: below TopMemoryContext. */
typedef struct OutboxKeySearch
{
	MemoryContext context; /* NULL: nothing was looked for */
	bool outdated;
	bool complete;
	OutboxRingCursor cursor; /* not attached: there is no ring */
	struct outbox_found_hash *keys;
	List *contracts; /* of OutboxSearchContract * */
	OutboxSearchSchema *schemas;
	int nschemas;
	int32 max_schema; /* of all that there were */
	char *oldest;     /* the oldest snapshot that was asked for; NULL: everything is */
	char *began;      /* a pg_snapshot */
	OutboxSearchLeaf *leaves;
	int nleaves;
	OutboxHint *hints; /* where to look again, xid by xid */
	int nhints;
	int max_hints;
	int nruns; /* of this transaction's own that were read; the last one up to a block */
	LocalTransactionId runs_of;
} OutboxKeySearch;

extern OutboxKeySearch OutboxSearch;

/* What is read, and who had ended by then. */
typedef struct OutboxKeyReading
{
	Snapshot snapshot;
	Datum seen; /* the same as pg_snapshot */
	uint64 xid; /* judged last */
	bool ended;
	MemoryContext scratch; /* of one event */
	TimestampTz start;
	int ms;    /* 0: no limit */
	int work;  /* blocks read, and payloads decoded */
	bool more; /* the time is over */
} OutboxKeyReading;

/* ---- redrive_search.c: where a search looks ---- */

extern void OutboxSearchSchemas(void);
extern void OutboxSearchLeaves(const char *snapshot, bool read);

/* ---- redrive_reading.c: a reading with the present snapshot, on and on within its time, or of new events alone ---- */

extern void OutboxReadingBegin(OutboxKeyReading *reading);
extern void OutboxReadingGoOn(OutboxKeyReading *reading);
extern void OutboxReadingCatchUp(OutboxKeyReading *reading);
extern void OutboxReadingEnd(OutboxKeyReading *reading);
extern bool OutboxReadingIsOver(const OutboxKeyReading *reading);

#endif /* OUTBOX_REDRIVE_SEARCH_H */
