/*-------------------------------------------------------------------------
 *
 * statement.c
 *	  Statements of SQL on our own tables.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "catalog/catalog_private.h"
#include "util/util.h"

static List *execute_rows(const char *query, int nargs, const char *const *args, bool read_only);
static List *copy_rows(const OutboxRows *rows);

/*
 * Runs one statement on our own tables as the extension's owner. Arguments are
 * text; NULL is NULL. Returns the first column of the first row as text, or NULL.
 */
char *
OutboxExecute(const char *query, int nargs, const char *const *args)
{
	List *rows = OutboxExecuteRows(query, nargs, args);
	char **row = rows ? linitial(rows) : NULL;

	return row ? row[0] : NULL;
}

/*
 * Runs one statement on the terms of OutboxExecute, and returns all rows: a list of char *[] (NULL for NULL), in
 * CurrentMemoryContext.
 */
List *
OutboxExecuteRows(const char *query, int nargs, const char *const *args)
{
	return execute_rows(query, nargs, args, false);
}

/* Of a SELECT, by a snapshot taken now: also in a REPEATABLE READ transaction. */
List *
OutboxReadRowsNow(const char *query, int nargs, const char *const *args)
{
	List *rows;

	PushActiveSnapshot(GetLatestSnapshot());
	rows = execute_rows(query, nargs, args, true);
	PopActiveSnapshot();
	return rows;
}

static List *
execute_rows(const char *query, int nargs, const char *const *args, bool read_only)
{
	MemoryContext caller = CurrentMemoryContext;
	OutboxArg *texts = palloc(sizeof(OutboxArg) * Max(nargs, 1));
	List *copies = NIL;
	OutboxOwnerScope scope;
	OutboxRows rows;

	for (int i = 0; i < nargs; i++)
		texts[i] = OUTBOX_TEXT(args[i]);
	OutboxApiBegin(&scope);
	SPI_connect();
	rows = read_only ? OutboxSelect(query, nargs, texts) : OutboxRun(query, nargs, texts);
	MemoryContextSwitchTo(caller);
	if (rows.table)
		copies = copy_rows(&rows);
	SPI_finish();
	OutboxOwnerEnd(&scope);
	return copies;
}

static List *
copy_rows(const OutboxRows *rows)
{
	int ncolumns = rows->table->tupdesc->natts;
	List *copies = NIL;

	for (uint64 i = 0; i < rows->n; i++)
	{
		char **row = palloc(sizeof(char *) * ncolumns);

		for (int column = 0; column < ncolumns; column++)
			row[column] = OutboxRowText(rows, i, column + 1);
		copies = lappend(copies, row);
	}
	return copies;
}
