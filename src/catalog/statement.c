/*-------------------------------------------------------------------------
 *
 * statement.c
 *	  Statements of SQL on our own tables.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "catalog/catalog_private.h"

static List *copy_rows(MemoryContext context);

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

/* The same, all rows: a list of char *[] (NULL for NULL), in CurrentMemoryContext. */
List *
OutboxExecuteRows(const char *query, int nargs, const char *const *args)
{
	MemoryContext caller = CurrentMemoryContext;
	Oid *types = palloc(sizeof(Oid) * Max(nargs, 1));
	Datum *values = palloc0(sizeof(Datum) * Max(nargs, 1));
	char *nulls = palloc(nargs + 1);
	List *rows = NIL;
	OutboxOwnerScope scope;
	int rc;

	for (int i = 0; i < nargs; i++)
	{
		types[i] = TEXTOID;
		nulls[i] = args[i] ? ' ' : 'n';
		if (args[i])
			values[i] = CStringGetTextDatum(args[i]);
	}
	OutboxApiBegin(&scope);
	SPI_connect();
	rc = SPI_execute_with_args(query, nargs, types, values, nulls, false, 0);
	if (rc < 0)
		elog(ERROR, "SPI_execute_with_args failed: %s", SPI_result_code_string(rc));
	if (SPI_tuptable)
		rows = copy_rows(caller);
	SPI_finish();
	OutboxOwnerEnd(&scope);
	return rows;
}

/* SPI's result as texts that outlive it. */
static List *
copy_rows(MemoryContext context)
{
	MemoryContext spi = MemoryContextSwitchTo(context);
	int ncolumns = SPI_tuptable->tupdesc->natts;
	List *rows = NIL;

	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char **row = palloc(sizeof(char *) * ncolumns);

		for (int column = 0; column < ncolumns; column++)
			row[column] = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, column + 1);
		rows = lappend(rows, row);
	}
	MemoryContextSwitchTo(spi);
	return rows;
}
