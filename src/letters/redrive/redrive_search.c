/*-------------------------------------------------------------------------
 *
 * redrive_search.c
 *	  Where a search for events looks: which leaves, and events of which schemas.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "letters/redrive/redrive_search.h"
#include "util/util.h"

/* Leaves that may have events which the snapshot does not see. */
#define LEAVES_QUERY                                                                                                                         \
	"SELECT relation::pg_catalog.oid FROM outbox_internal.leaf WHERE state <> 'empty' AND ($1 IS NULL"                                       \
	" OR frozen_snapshot IS NULL OR pg_catalog.pg_snapshot_xmax(frozen_snapshot) > pg_catalog.pg_snapshot_xmin($1::pg_catalog.pg_snapshot))" \
	" ORDER BY leaf"

/* Those of the contracts' lines (contract/line), with the place in the array, by id; behind them the highest of all. */
#define SCHEMAS_QUERY                                                                                                   \
	"SELECT s.id, pg_catalog.array_position($1::text[], w.name) - 1, false AS last FROM outbox_internal.event_schema s" \
	" LEFT JOIN outbox_internal.contract c ON c.name = s.contract"                                                      \
	" LEFT JOIN outbox_internal.contract_version v ON v.contract_id = c.id AND v.version = s.version"                   \
	" CROSS JOIN LATERAL (SELECT s.contract || '/' || coalesce(v.line, 1) AS name) w"                                   \
	" WHERE w.name = ANY ($1::text[]) UNION ALL SELECT coalesce(max(id), 0), 0, true FROM outbox_internal.event_schema" \
	" ORDER BY last, id"

static OutboxSearchLeaf *known_leaf(Oid relid);

/* Loads the schemas of the contracts that are looked for; again and again, since a schema may be pinned at any time. May raise. */
void
OutboxSearchSchemas(void)
{
	List *names = NIL;
	const char *args[1];
	List *rows;
	OutboxSearchSchema *schemas;
	ListCell *lc;

	foreach (lc, OutboxSearch.contracts)
	{
		const OutboxSearchContract *contract = lfirst(lc);

		names = lappend(names, psprintf("%s/%d", contract->name, contract->line));
	}
	args[0] = OutboxNamesToArray(names);
	rows = OutboxExecuteRows(SCHEMAS_QUERY, lengthof(args), args);
	schemas = MemoryContextAlloc(OutboxSearch.context, sizeof(OutboxSearchSchema) * list_length(rows));
	foreach (lc, rows)
	{
		char **row = lfirst(lc);

		schemas[foreach_current_index(lc)] = (OutboxSearchSchema){.id = pg_strtoint32(row[0]), .contract = pg_strtoint32(row[1])};
	}
	OutboxSearch.schemas = schemas;
	OutboxSearch.nschemas = list_length(rows) - 1;
	OutboxSearch.max_schema = schemas[OutboxSearch.nschemas].id;
}

/*
 * Notes the leaves that may have events which the snapshot (NULL: none) does not see. They are to be read from end to
 * end, or with `read` only where hints say. May raise.
 */
void
OutboxSearchLeaves(const char *snapshot, bool read)
{
	OutboxOwnerScope scope;
	OutboxRows rows;

	OutboxOwnerBegin(&scope);
	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
	SPI_connect();
	rows = OutboxSelect(LEAVES_QUERY, OUTBOX_ARGS(OUTBOX_TEXT(snapshot)));
	if (OutboxSearch.leaves == NULL)
		OutboxSearch.leaves = MemoryContextAlloc(OutboxSearch.context, sizeof(OutboxSearchLeaf) * OUTBOX_MAX_LEAVES);
	for (uint64 i = 0; i < rows.n && OutboxSearch.nleaves < OUTBOX_MAX_LEAVES; i++)
	{
		Oid relid = (Oid) OutboxRowInt(&rows, i, 1, InvalidOid);
		OutboxSearchLeaf *known = known_leaf(relid);
		Relation rel;

		if (known)
		{
			known->next = read ? known->next : 0;
			known->read &= read;
			continue;
		}
		rel = try_table_open(relid, AccessShareLock);
		if (rel == NULL)
			continue;
		OutboxSearch.leaves[OutboxSearch.nleaves++] = (OutboxSearchLeaf){.relid = relid, .relfilenumber = OutboxRelFileNumber(rel), .read = read};
		table_close(rel, NoLock);
	}
	SPI_finish();
	PopActiveSnapshot();
	OutboxOwnerEnd(&scope);
}

static OutboxSearchLeaf *
known_leaf(Oid relid)
{
	for (int i = 0; i < OutboxSearch.nleaves; i++)
	{
		if (OutboxSearch.leaves[i].relid == relid)
			return &OutboxSearch.leaves[i];
	}
	return NULL;
}
