/*-------------------------------------------------------------------------
 *
 * key_query_rename.c
 *	  Columns of a source that are renamed under its key_query.
 *
 * The contract's view follows a renamed column by itself, and so must the
 * key_query: the migration that renames ordr_ln.ordr_no knows nothing of us.
 * "row" always means the changed row there, so row.<column> can be replaced
 * where the parser found it, and the rest of the text stays as it was written.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "lib/stringinfo.h"
#include "nodes/nodeFuncs.h"
#include "parser/parser.h"
#include "parser/scansup.h"
#include "utils/builtins.h"

#include "catalog/statement.h"
#include "contract/compile/key_query_parse.h"
#include "contract/compile/key_query_rename.h"

typedef struct RowReferences
{
	const char *column; /* NULL: every one */
	List *names;        /* of char * */
	List *locations;    /* of int: where "row" begins */
} RowReferences;

static bool find_references(Node *node, void *arg);
static int compare_locations(const ListCell *a, const ListCell *b);
static const char *skip_name(const char *text);
static const char *skip_to(const char *text);

char *
OutboxRenameInKeyQuery(const char *key_query, const char *old_name, const char *new_name)
{
	RowReferences references = {.column = old_name};
	const char *rest = key_query;
	StringInfoData text;
	ListCell *lc;

	(void) find_references((Node *) OutboxRawKeyQuery(key_query), &references);
	list_sort(references.locations, compare_locations);
	initStringInfo(&text);
	foreach (lc, references.locations)
	{
		const char *dot = skip_to(skip_name(key_query + lfirst_int(lc)));
		const char *name = skip_to(dot + 1);

		appendBinaryStringInfo(&text, rest, name - rest);
		appendStringInfoString(&text, quote_identifier(new_name));
		rest = skip_name(name);
	}
	appendStringInfoString(&text, rest);
	return text.data;
}

List *
OutboxKeyQueryColumns(const char *key_query)
{
	RowReferences references = {0};

	(void) find_references((Node *) OutboxRawKeyQuery(key_query), &references);
	return references.names;
}

void
OutboxSourceColumnRenamed(Oid table, const char *old_name, const char *new_name)
{
	const char *args[] = {psprintf("%u", table), "0", NULL};

	for (;;)
	{
		char *contract = OutboxExecute("SELECT contract_id FROM outbox_internal.source WHERE relation = $1::oid"
									   " AND contract_id > $2::int AND key_query IS NOT NULL ORDER BY contract_id LIMIT 1",
									   2, args);
		char *text;

		if (contract == NULL)
			return;
		args[1] = contract;
		text = OutboxExecute("SELECT key_query FROM outbox_internal.source WHERE relation = $1::oid AND contract_id = $2::int", 2, args);
		args[2] = OutboxRenameInKeyQuery(text, old_name, new_name);
		if (strcmp(text, args[2]) != 0)
			(void) OutboxExecute("UPDATE outbox_internal.source SET key_query = $3 WHERE relation = $1::oid AND contract_id = $2::int",
								 3, args);
	}
}

static bool
find_references(Node *node, void *arg)
{
	RowReferences *references = arg;

	if (node == NULL)
		return false;
	if (IsA(node, ColumnRef))
	{
		ColumnRef *reference = (ColumnRef *) node;

		if (list_length(reference->fields) == 2 && IsA(linitial(reference->fields), String) &&
			IsA(lsecond(reference->fields), String) &&
			strcmp(strVal(linitial(reference->fields)), OUTBOX_KEY_ROW_NAME) == 0 &&
			(references->column == NULL || strcmp(strVal(lsecond(reference->fields)), references->column) == 0))
		{
			references->names = lappend(references->names, strVal(lsecond(reference->fields)));
			references->locations = lappend_int(references->locations, reference->location);
		}
		return false;
	}
	if (IsA(node, RawStmt))
		return find_references(((RawStmt *) node)->stmt, arg);
	return raw_expression_tree_walker(node, find_references, arg);
}

static int
compare_locations(const ListCell *a, const ListCell *b)
{
	return lfirst_int(a) - lfirst_int(b);
}

/* Behind an identifier, quoted or not. */
static const char *
skip_name(const char *text)
{
	if (*text != '"')
	{
		while (isalnum((unsigned char) *text) || *text == '_' || *text == '$' || IS_HIGHBIT_SET(*text))
			text++;
		return text;
	}
	for (text++; *text; text++)
	{
		if (*text == '"' && *++text != '"')
			break;
	}
	return text;
}

/* To the next token. */
static const char *
skip_to(const char *text)
{
	for (;;)
	{
		while (scanner_isspace(*text))
			text++;
		if (strncmp(text, "--", 2) != 0)
			return text;
		while (*text && *text != '\n')
			text++;
	}
}
