/*-------------------------------------------------------------------------
 *
 * renamed.c
 *	  Sources that get another name, and tables that take their place.
 *
 * A table that takes the place of a source is written to from then on, and nobody
 * captures it. That leaves a gap. It is no harm when nobody has the former name, or
 * the source has it again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "ddl/check/check_private.h"
#include "letters/letters.h"

/* A source that this transaction gives another name or schema, and its name before. */
typedef struct RenamedSource
{
	Oid relation;
	char *schema;
	char *name;
} RenamedSource;

/* Of RenamedSource *, in TopTransactionContext; NIL between transactions. */
static List *renamed = NIL;

static void judge_step(void *arg);
static Oid relation_named(const RenamedSource *source);
static List *enabled_contracts(Oid source);

/* Notes the name of a source before the command that changes its name or schema. */
void
OutboxNoteRenamed(Oid table)
{
	MemoryContext caller;
	RenamedSource *source;
	ListCell *lc;

	foreach (lc, OutboxLiveContracts())
	{
		if (list_member_oid(((const OutboxLiveContract *) lfirst(lc))->relations, table))
			break;
	}
	if (lc == NULL)
		return;
	caller = MemoryContextSwitchTo(TopTransactionContext);
	source = palloc(sizeof(RenamedSource));
	source->relation = table;
	source->schema = get_namespace_name(get_rel_namespace(table));
	source->name = get_rel_name(table);
	renamed = lappend(renamed, source);
	MemoryContextSwitchTo(caller);
}

bool
OutboxHasRenamed(void)
{
	return renamed != NIL;
}

/* Leaves the gaps at the end of the transaction. */
void
OutboxJudgeRenamed(void)
{
	ErrorData *error = renamed ? OutboxCheckBriefly(judge_step, NULL) : NULL;

	if (error)
		OutboxTellTrouble(NULL, NULL, error);
}

/* The transaction ended, and its memory with it. */
void
OutboxForgetRenamed(void)
{
	renamed = NIL;
}

/*
 * An OutboxGuardedStep: leaves a gap for each source whose former name now belongs
 * to another table. The application writes to that table, and nobody captures it.
 * At the end of the transaction; may raise.
 */
static void
judge_step(void *arg)
{
	ListCell *lc;

	PushActiveSnapshot(GetTransactionSnapshot());
	foreach (lc, renamed)
	{
		const RenamedSource *source = lfirst(lc);
		Oid other = relation_named(source);
		ListCell *row;

		if (!OidIsValid(other) || other == source->relation)
			continue;
		foreach (row, enabled_contracts(source->relation))
			OutboxGapInsert(((char **) lfirst(row))[0], source->relation, "swapped",
							quote_qualified_identifier(source->schema, source->name));
	}
	PopActiveSnapshot();
}

/* The table that has the source's former name now, or InvalidOid. */
static Oid
relation_named(const RenamedSource *source)
{
	Oid schema = get_namespace_oid(source->schema, true);
	Oid relation = OidIsValid(schema) ? get_relname_relid(source->name, schema) : InvalidOid;

	return OidIsValid(relation) && strchr("rpfv", get_rel_relkind(relation)) ? relation : InvalidOid;
}

/* The enabled contracts with this source: rows (name), as of OutboxExecuteRows(). */
static List *
enabled_contracts(Oid source)
{
	const char *args[] = {psprintf("%u", source)};

	return OutboxExecuteRows("SELECT c.name FROM outbox_internal.contract c JOIN outbox_internal.source s ON s.contract_id = c.id"
							 " WHERE c.enabled AND s.relation = $1::oid",
							 lengthof(args), args);
}
