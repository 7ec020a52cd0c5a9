/*-------------------------------------------------------------------------
 *
 * key_query_rename.h
 *	  Columns of a source that are renamed under its key_query.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_KEY_QUERY_RENAME_H
#define OUTBOX_KEY_QUERY_RENAME_H

#include "nodes/pg_list.h"

/* The text with row.<old> written as row.<new>, palloc'd; raises for a text that does not parse. */
extern char *OutboxRenameInKeyQuery(const char *key_query, const char *old_name, const char *new_name);

/* The names (of char *) of the row's columns in the text. */
extern List *OutboxKeyQueryColumns(const char *key_query);

/* Renames in the sources that the table is. */
extern void OutboxSourceColumnRenamed(Oid table, const char *old_name, const char *new_name);

#endif /* OUTBOX_KEY_QUERY_RENAME_H */
