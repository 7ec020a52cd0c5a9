/*-------------------------------------------------------------------------
 *
 * statement.h
 *	  Statements of SQL on our own tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_STATEMENT_H
#define OUTBOX_STATEMENT_H

#include "nodes/pg_list.h"

/*
 * Runs one statement on our own tables as the extension's owner. Arguments are
 * text; NULL is NULL. Returns the first column of the first row as text, or NULL.
 */
extern char *OutboxExecute(const char *query, int nargs, const char *const *args);

/* The same, all rows: a list of char *[] (NULL for NULL), in CurrentMemoryContext. */
extern List *OutboxExecuteRows(const char *query, int nargs, const char *const *args);

#endif /* OUTBOX_STATEMENT_H */
