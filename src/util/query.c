/*-------------------------------------------------------------------------
 *
 * query.c
 *	  Statements of SQL with typed arguments, and the rows that they return.
 *
 * Within SPI (between SPI_connect and SPI_finish): the caller decides whose
 * rights and which snapshot a statement has. A statement that PostgreSQL does
 * not refuse, but that did not do what its words say (a rule of somebody has
 * rewritten it), raises an internal error that quotes the statement; values
 * are arguments, so none of them is in the quotation.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "util/util.h"

/* More than any statement of ours has. */
#define MAX_ARGS 32

/* Arguments as SPI takes them. */
typedef struct Arguments
{
	Oid types[MAX_ARGS];
	Datum values[MAX_ARGS];
	char nulls[MAX_ARGS];
} Arguments;

static OutboxRows execute(const char *query, int nargs, const OutboxArg *args, bool read_only);
static void take_arguments(Arguments *given, const char *query, int nargs, const OutboxArg *args);
static OutboxRows result(const char *query, int rc);

/* A text argument, allocated in CurrentMemoryContext; NULL is NULL. */
OutboxArg
OutboxTextValue(const char *text)
{
	return (OutboxArg){.type = TEXTOID, .value = text ? CStringGetTextDatum(text) : (Datum) 0, .isnull = text == NULL};
}

/* The same of text in UTF-8, in which sinks speak. Raises when the database's encoding lacks a character. */
OutboxArg
OutboxUtf8Value(const char *utf8)
{
	return OutboxTextValue(pg_any_to_server(utf8, strlen(utf8), PG_UTF8));
}

/* Runs a SELECT that changes nothing, with the snapshot that is active. The rows live until SPI_finish. */
OutboxRows
OutboxSelect(const char *query, int nargs, const OutboxArg *args)
{
	OutboxRows rows = execute(query, nargs, args, true);

	if (rows.table == NULL)
		elog(ERROR, "no rows can come of \"%s\"", query);
	return rows;
}

/*
 * Runs a statement that may write, or lock rows, with a new snapshot. Returns
 * its rows (a SELECT, or RETURNING), else only their number.
 */
OutboxRows
OutboxRun(const char *query, int nargs, const OutboxArg *args)
{
	return execute(query, nargs, args, false);
}

static OutboxRows
execute(const char *query, int nargs, const OutboxArg *args, bool read_only)
{
	Arguments given;

	take_arguments(&given, query, nargs, args);
	return result(query, SPI_execute_with_args(query, nargs, given.types, given.values, given.nulls, read_only, 0));
}

/* As OutboxRun, for a statement that may run thousands of times in a row: planned once. *plan is NULL before. */
OutboxRows
OutboxRunPlanned(OutboxPlan **plan, OutboxPlanLife life, const char *query, int nargs, const OutboxArg *args)
{
	Arguments given;

	take_arguments(&given, query, nargs, args);
	if (*plan == NULL)
	{
		SPIPlanPtr prepared = SPI_prepare(query, nargs, given.types);

		if (prepared == NULL || (life == OUTBOX_PLAN_FOR_GOOD && SPI_keepplan(prepared) != 0))
			elog(ERROR, "could not prepare \"%s\": %s", query, SPI_result_code_string(SPI_result));
		*plan = prepared;
	}
	return result(query, SPI_execute_plan(*plan, given.values, given.nulls, false, 0));
}

static void
take_arguments(Arguments *given, const char *query, int nargs, const OutboxArg *args)
{
	if (nargs > MAX_ARGS)
		elog(ERROR, "too many arguments of \"%s\"", query);
	for (int i = 0; i < nargs; i++)
	{
		given->types[i] = args[i].type;
		given->values[i] = args[i].value;
		given->nulls[i] = args[i].isnull ? 'n' : ' ';
	}
}

static OutboxRows
result(const char *query, int rc)
{
	if (rc < 0 || rc == SPI_OK_REWRITTEN)
		elog(ERROR, "could not execute \"%s\": %s", query, SPI_result_code_string(rc));
	return (OutboxRows){.table = SPI_tuptable, .n = SPI_processed};
}

/* Column `column` (from 1) of row `row` (from 0), in SPI's memory. */
Datum
OutboxRowDatum(const OutboxRows *rows, uint64 row, int column, bool *isnull)
{
	Assert(rows->table != NULL && row < rows->n);
	return SPI_getbinval(rows->table->vals[row], rows->table->tupdesc, column, isnull);
}

/* Of any type, as text in CurrentMemoryContext; NULL for NULL. */
char *
OutboxRowText(const OutboxRows *rows, uint64 row, int column)
{
	bool isnull;
	Datum value;

	if (SPI_gettypeid(rows->table->tupdesc, column) != TEXTOID)
		return SPI_getvalue(rows->table->vals[row], rows->table->tupdesc, column);
	value = OutboxRowDatum(rows, row, column, &isnull);
	return isnull ? NULL : TextDatumGetCString(value);
}

/* Of a number without a fraction, an object id, a transaction id of 64 bits or a moment; `missing` for NULL. */
int64
OutboxRowInt(const OutboxRows *rows, uint64 row, int column, int64 missing)
{
	bool isnull;
	Datum value = OutboxRowDatum(rows, row, column, &isnull);

	if (isnull)
		return missing;
	switch (SPI_gettypeid(rows->table->tupdesc, column))
	{
		case INT2OID:
			return DatumGetInt16(value);
		case INT4OID:
			return DatumGetInt32(value);
		case OIDOID:
			return DatumGetObjectId(value);
		case INT8OID:
		case XID8OID:
		case TIMESTAMPTZOID:
			return DatumGetInt64(value);
		default:
			elog(ERROR, "column %d is no integer", column);
	}
}

/* Of a boolean; NULL is false. */
bool
OutboxRowBool(const OutboxRows *rows, uint64 row, int column)
{
	bool isnull;
	Datum value = OutboxRowDatum(rows, row, column, &isnull);

	return !isnull && DatumGetBool(value);
}

/* Fills a column, counted from 0, of a row that is being made. text NULL: NULL. */
void
OutboxSetText(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column] = text == NULL;
	if (text)
		values[column] = CStringGetTextDatum(text);
}
