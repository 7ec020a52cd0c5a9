/*-------------------------------------------------------------------------
 *
 * renamed_source.c
 *	  Sources that get another name, judged when that is committed.
 *
 * A table that takes the place of a source is written to from then on, and
 * nobody captures it. That leaves a gap. A name that nobody has, or the source
 * has again, is no harm.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "catalog/outbox_catalog.h"
#include "ddl/ddl_private.h"
#include "letters/letters.h"

/* A source that this transaction gives another name, or schema. */
typedef struct RenamedSource
{
	Oid relation;
	char *schema;
	char *name;
} RenamedSource;

/* In TopTransactionContext; NIL between transactions. */
static List *renamed = NIL;

static Oid relation_named(const RenamedSource *source);

/* Before the command that gives it another name, or schema. */
void
OutboxNoteRenamedSource(Oid table)
{
	MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
	RenamedSource *source = palloc(sizeof(RenamedSource));

	source->relation = table;
	source->schema = get_namespace_name(get_rel_namespace(table));
	source->name = get_rel_name(table);
	renamed = lappend(renamed, source);
	MemoryContextSwitchTo(caller);
}

bool
OutboxHasRenamedSources(void)
{
	return renamed != NIL;
}

void
OutboxForgetRenamedSources(void)
{
	renamed = NIL;
}

/*
 * An OutboxGuardedStep: a gap for each that another table took the place of. At the end of the transaction; may raise.
 *
 * A source whose former name is another table's: the application writes to that one, and nobody captures it.
 */
void
OutboxJudgeRenamedSources(void *arg)
{
	ListCell *lc;

	PushActiveSnapshot(GetTransactionSnapshot());
	foreach (lc, renamed)
	{
		const RenamedSource *source = lfirst(lc);
		const char *args[] = {psprintf("%u", source->relation)};
		Oid other = relation_named(source);
		ListCell *row;

		if (!OidIsValid(other) || other == source->relation)
			continue;
		foreach (row, OutboxExecuteRows("SELECT c.name FROM outbox_internal.contract c JOIN outbox_internal.source s ON s.contract_id = c.id"
										" WHERE c.enabled AND s.relation = $1::oid",
										lengthof(args), args))
			OutboxGapInsert(((char **) lfirst(row))[0], source->relation, "swapped",
							quote_qualified_identifier(source->schema, source->name));
	}
	PopActiveSnapshot();
}

/* The table that has the name now. */
static Oid
relation_named(const RenamedSource *source)
{
	Oid schema = get_namespace_oid(source->schema, true);
	Oid relation = OidIsValid(schema) ? get_relname_relid(source->name, schema) : InvalidOid;

	return OidIsValid(relation) && strchr("rpfv", get_rel_relkind(relation)) ? relation : InvalidOid;
}
