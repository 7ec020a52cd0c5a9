/*-------------------------------------------------------------------------
 *
 * server_error.c
 *	  Which errors the server itself has raised.
 *
 * A cancel, a serialization failure, a full disk and a corrupted page must
 * reach the writer. An SQLSTATE is no proof of them: any function can RAISE any
 * SQLSTATE, so the owner of a view could make the writes of others fail. The source
 * file where the error was raised is a proof: only C code can name it, and C code
 * is installed by a superuser.
 *
 * So each kind of error has a list of the server's files that raise it. The
 * lists hold for PostgreSQL 15 to 18. A file is left out when a role without
 * special rights can make it raise at will: dfmgr.c reports a missing library
 * (LOAD) with the SQLSTATE of a missing file, as md.c does for a missing table.
 * Errors that come from a parallel worker keep the file where they were raised.
 *
 * Any other error becomes a dead letter.
 * That includes the errors of extensions in C (of a foreign server, say), and
 * those that PL/Python, PL/Perl and PL/Tcl raise again after they caught them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "util/util.h"

/* ProcessInterrupts(), and what ends a background worker. */
static const char *const intervention_files[] = {"postgres.c", "bgworker.c", NULL};

/* Reads and writes that depend on each other: the transaction fails even if a part of it is rolled back. */
static const char *const doom_files[] = {"predicate.c", "postgres.c", NULL};

static const char *const serialization_files[] = {
	"predicate.c", "nodeLockRows.c", "nodeModifyTable.c", "trigger.c", "heapam_handler.c", "ri_triggers.c",
	"postgres.c", /* a standby's conflict */
	NULL};

static const char *const storage_files[] = {
	/* tables, their pages, the status of transactions, WAL */
	"md.c", "smgr.c", "bufmgr.c", "localbuf.c", "bufpage.c", "fd.c", "storage.c", "relmapper.c", "aio.c", "aio_io.c",
	"slru.c", "clog.c", "subtrans.c", "multixact.c", "xlog.c", "xloginsert.c", "xlogutils.c",
	/* temporary files, shared memory segments */
	"buffile.c", "fileset.c", "sharedfileset.c", "logtape.c", "tuplestore.c", "sharedtuplestore.c", "tuplesort.c",
	"nodeAgg.c", "nodeHash.c", "nodeHashjoin.c", "dsm.c", "dsm_impl.c",
	/* heap and indexes */
	"heapam.c", "heapam_handler.c", "heaptoast.c", "detoast.c", "toast_internals.c", "toast_compression.c",
	"nbtinsert.c", "nbtpage.c", "nbtree.c", "nbtsearch.c", "nbtutils.c", "hashutil.c", "gistutil.c", "brin_revmap.c",
	NULL};

/*
 * Here a missing file belongs to a table, an index or the status of transactions. Elsewhere a function may have asked
 * for it: pg_ls_logdir() opens a directory through fd.c, pg_walinspect a segment through xlogutils.c.
 */
static const char *const relation_files[] = {"md.c", "smgr.c", "storage.c", "relmapper.c", "slru.c", NULL};

/* Besides the files above: memory, shared memory, and waits for locks. */
static const char *const shortage_files[] = {
	"mcxt.c", "aset.c", "slab.c", "bump.c", "dsa.c", "stringinfo.c", "dynahash.c", "shmem.c",
	"lock.c", "deadlock.c", "proc.c", "predicate.c", "postgres.c", NULL};

static bool raised_in(const ErrorData *error, const char *const *files);

/* Somebody, or a timer, ended the statement. */
bool
OutboxIsCancel(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_QUERY_CANCELED && raised_in(error, intervention_files);
}

/* A cancel, or the end of the session or the server. */
bool
OutboxIsIntervention(const ErrorData *error)
{
	return ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION && raised_in(error, intervention_files);
}

/* The transaction must be tried again. */
bool
OutboxIsSerializationFailure(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE && raised_in(error, serialization_files);
}

/*
 * The transaction must be tried again, and no rollback of a part of it helps. A row that somebody changed meanwhile is
 * no such failure: the transaction can go on without writing or locking it. Code of a view's owner could provoke that
 * at will, in a table of his own.
 */
bool
OutboxIsDoomed(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE && raised_in(error, doom_files);
}

bool
OutboxIsDiskFull(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_DISK_FULL && raised_in(error, storage_files);
}

/* A full disk, an input/output error, a corrupted table or index. */
bool
OutboxIsStorageTrouble(const ErrorData *error)
{
	switch (error->sqlerrcode)
	{
		case ERRCODE_DISK_FULL:
		case ERRCODE_IO_ERROR:
		case ERRCODE_DATA_CORRUPTED:
		case ERRCODE_INDEX_CORRUPTED:
			return raised_in(error, storage_files);
		default:
			return ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_SYSTEM_ERROR && raised_in(error, relation_files);
	}
}

/* The server has no room, or a lock was not granted: what comes next would not fare better. */
bool
OutboxIsShortage(const ErrorData *error)
{
	switch (error->sqlerrcode)
	{
		case ERRCODE_LOCK_NOT_AVAILABLE:
		case ERRCODE_T_R_DEADLOCK_DETECTED:
			return raised_in(error, shortage_files);
		default:
			return ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_INSUFFICIENT_RESOURCES &&
				(raised_in(error, shortage_files) || raised_in(error, storage_files));
	}
}

/* The server keeps the base name alone. */
static bool
raised_in(const ErrorData *error, const char *const *files)
{
	if (error->filename == NULL)
		return false;
	for (; *files; files++)
	{
		if (strcmp(error->filename, *files) == 0)
			return true;
	}
	return false;
}
