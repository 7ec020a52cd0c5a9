/*-------------------------------------------------------------------------
 *
 * broken_contract.c
 *	  A changed row of a source whose contract does not work at present.
 *
 * The contract does not compile, or its configuration cannot be read at all.
 * The write goes through. Its dead letter must say which row it was, by names that
 * cannot be mistaken: the lookup key of the contract's own row under its own names,
 * all other columns as table.column. A redrive reads by the lookup key; a person
 * finds the row by both.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "capture/row/row_private.h"
#include "contract/environment/environment.h"
#include "contract/view/view.h"
#include "letters/letters.h"

/* What describe_key needs inside its guard. */
typedef struct BrokenRow
{
	const OutboxContractConfig *config; /* NULL: cannot be read */
	TupleTableSlot *row;
	Relation rel;
	bool is_child; /* of a contract that is evaluated at commit */
	Jsonb *key;    /* NULL: the table has none */
} BrokenRow;

static OutboxEmit emit_of(const OutboxRowChange *change, bool is_child);
static bool key_changed(BrokenRow *broken, const OutboxRowChange *change);
static bool may_come_or_go(const OutboxContractConfig *config, const OutboxRowChange *change);
static void refuse_write(const OutboxContractConfig *config, const ErrorData *error);
static void describe(OutboxDeadLetter *letter, BrokenRow *broken);
static void former_row(OutboxDeadLetter *letter, BrokenRow *broken, TupleTableSlot *before);
static void keep(OutboxDeadLetter *letter, const OutboxContractConfig *config);
static const char *next_step(const char *contract, const char *remedy);
static bool emits_any(const OutboxContractConfig *config);
static bool emits(const OutboxContractConfig *config, OutboxEmit emit);
static void describe_key(void *arg);
static Bitmapset *key_columns(const BrokenRow *broken);
static Bitmapset *own_key(Relation rel);
static Bitmapset *root_key(const OutboxContractConfig *config, TupleDesc desc);
static Bitmapset *child_keys(const OutboxContractConfig *config, Relation rel);
static bool same_names(const List *a, const List *b);
static bool names_key(const OutboxContractConfig *config, Relation rel);

/*
 * Keeps the change as a dead letter that says which row it was, if an event
 * type would have been concerned. The contract's error says why. Raises only
 * errors that must reach the writer, or with on_invalid = abort.
 */
void
OutboxBrokenContract(OutboxCachedContract *contract, const OutboxRowChange *change)
{
	OutboxContractConfig *config = contract->config;
	BrokenRow broken = {.config = config, .row = change->after ? change->after : change->before, .rel = change->rel};
	OutboxDeadLetter letter = {.contract = OutboxTriggerContract(change->trigger), .stage = "map", .sqlerrcode = contract->error->sqlerrcode, .message = contract->error->message, .detail = contract->error->detail};
	bool moved;
	bool certain; /* an event type tells of it, as far as its condition allows */
	OutboxEmit emit;

	letter.hint = next_step(letter.contract, contract->error->hint);
	broken.is_child = config && config->at_commit && !OutboxIsWithin(RelationGetRelid(change->rel), config->root);
	moved = config && !config->at_commit && change->before && change->after && key_changed(&broken, change);
	emit = moved ? OUTBOX_EMIT_CREATED : emit_of(change, broken.is_child);
	letter.emit = OutboxEmitName(emit);
	certain = config == NULL || emits(config, emit) || (moved && emits(config, OUTBOX_EMIT_DELETED)) ||
		(broken.is_child && emits_any(config));
	if (!certain && !(may_come_or_go(config, change) && emits_any(config)))
		return;
	if (config && certain && config->abort_on_invalid && !contract->owner_changed)
		refuse_write(config, contract->error);
	if (config == NULL)
	{
		letter.detail = psprintf("It concerns a row of table \"%s\".", RelationGetRelationName(change->rel));
		letter.hint = "When outbox.preview() shows that the contract works again, touch the row and discard the dead letter.";
	}
	describe(&letter, &broken);
	if (!moved || emits(config, emit))
		keep(&letter, config);
	if (moved && emits(config, OUTBOX_EMIT_DELETED))
	{
		letter.emit = OutboxEmitName(OUTBOX_EMIT_DELETED);
		former_row(&letter, &broken, change->before);
	}
	else if ((config == NULL || broken.is_child) && change->before && change->after)
		former_row(&letter, &broken, change->before);
}

/* A new row of a child is a change of its parent. */
static OutboxEmit
emit_of(const OutboxRowChange *change, bool is_child)
{
	if (is_child)
		return OUTBOX_EMIT_CHANGED;
	if (change->before == NULL)
		return OUTBOX_EMIT_CREATED;
	return change->after ? OUTBOX_EMIT_CHANGED : OUTBOX_EMIT_DELETED;
}

/* Has the key changed? Then it is another row for consumers, and the former one is gone. */
static bool
key_changed(BrokenRow *broken, const OutboxRowChange *change)
{
	OutboxDeadLetter letter = {0};
	Jsonb *after;

	describe(&letter, broken);
	after = broken->key;
	broken->row = change->before;
	describe(&letter, broken);
	broken->row = change->after;
	return after && broken->key && compareJsonbContainers(&after->root, &broken->key->root) != 0;
}

/* Has the view a condition? It cannot be evaluated now, and by it an update may make a row for consumers, or end one. */
static bool
may_come_or_go(const OutboxContractConfig *config, const OutboxRowChange *change)
{
	return !config->at_commit && change->before && change->after;
}

static void
refuse_write(const OutboxContractConfig *config, const ErrorData *error)
{
	ereport(ERROR,
			(errcode(error->sqlerrcode),
			 errmsg("contract \"%s\" refuses the change: %s", config->name, error->message),
			 error->detail ? errdetail("%s", error->detail) : 0,
			 errhint("%s%sThe contract has on_invalid => 'abort' and does not work any more; mend or disable it.",
					 error->hint ? error->hint : "", error->hint ? " " : "")));
}

/* Fills key and columns of the letter. Output functions run, so it is guarded. */
static void
describe(OutboxDeadLetter *letter, BrokenRow *broken)
{
	broken->key = NULL;
	if (OutboxRunGuarded(describe_key, broken, CurrentMemoryContext))
		broken->key = NULL;
	letter->source_columns = broken->key;
}

/*
 * A row of a child that has moved to another parent concerns the former parent,
 * too. When the key of a row has changed, the former row is gone.
 */
static void
former_row(OutboxDeadLetter *letter, BrokenRow *broken, TupleTableSlot *before)
{
	Jsonb *after = broken->key;

	broken->row = before;
	describe(letter, broken);
	if (after && broken->key && compareJsonbContainers(&after->root, &broken->key->root) != 0)
		keep(letter, broken->config);
}

/* A source that cannot be read for one version of a contract evaluated at commit cannot be read for any. */
static void
keep(OutboxDeadLetter *letter, const OutboxContractConfig *config)
{
	if (config && config->at_commit)
	{
		OutboxDeadLetterInsertEach(letter, config);
		return;
	}
	letter->version = config ? config->version : 0;
	OutboxDeadLetterInsert(letter);
}

/* The hint: when the contract works again, one call publishes the events of all its letters. */
static const char *
next_step(const char *contract, const char *remedy)
{
	const char *name = quote_literal_cstr(contract);
	const char *then = psprintf("When SELECT * FROM outbox.preview(%s) works again: SELECT outbox.redrive(contract => %s);", name, name);

	return remedy ? psprintf("%s %s", remedy, then) : then;
}

static bool
emits_any(const OutboxContractConfig *config)
{
	return emits(config, OUTBOX_EMIT_CREATED) || emits(config, OUTBOX_EMIT_CHANGED) ||
		emits(config, OUTBOX_EMIT_DELETED);
}

static bool
emits(const OutboxContractConfig *config, OutboxEmit emit)
{
	ListCell *lc;

	foreach (lc, config->event_types)
	{
		OutboxEventTypeConfig *type = lfirst(lc);

		if (type->schema_id != 0 && (type->emit == emit || type->emit == OUTBOX_EMIT_ALWAYS))
			return true;
	}
	return false;
}

/*
 * The columns of the unique index behind the key, as they were when the contract
 * was created. Columns of a child, or of an unknown table, stand under the table's
 * name: the child's own id must not be taken for a key of the contract's row that
 * has the same name.
 */
static void
describe_key(void *arg)
{
	BrokenRow *broken = arg;
	TupleDesc desc = broken->row->tts_tupleDescriptor;
	bool as_it_is = broken->config && (!broken->is_child || names_key(broken->config, broken->rel));
	Bitmapset *keys = key_columns(broken);
	int *columns = palloc(sizeof(int) * desc->natts);
	int ncolumns = 0;
	int column = -1;
	OutboxEvaluation evaluation;

	while ((column = bms_next_member(keys, column)) >= 0)
	{
		if (column > 0) /* not a name of the key_query that the table does not have any more */
			columns[ncolumns++] = column - 1;
	}
	if (ncolumns == 0)
		return;
	OutboxEvaluationBegin(&evaluation, GetUserId(), OUTBOX_ANYTHING);
	slot_getallattrs(broken->row);
	if (as_it_is)
		broken->key = OutboxColumnsToJsonb(desc, broken->row->tts_values, broken->row->tts_isnull, columns, ncolumns, 0);
	else
		broken->key = OutboxTableColumnsToJsonb(RelationGetRelationName(broken->rel), broken->row, columns, ncolumns);
	OutboxEvaluationEnd(&evaluation);
}

/* Numbers of the columns that tell which row it was. */
static Bitmapset *
key_columns(const BrokenRow *broken)
{
	if (broken->config == NULL)
		return own_key(broken->rel);
	if (broken->is_child)
		return child_keys(broken->config, broken->rel);
	return root_key(broken->config, broken->row->tts_tupleDescriptor);
}

/* The columns of the primary key; without one, of all unique indexes that could be it. */
static Bitmapset *
own_key(Relation rel)
{
	Bitmapset *indexed = RelationGetIndexAttrBitmap(rel, INDEX_ATTR_BITMAP_PRIMARY_KEY);
	Bitmapset *keys = NULL;
	int column = -1;

	if (bms_is_empty(indexed))
		indexed = RelationGetIndexAttrBitmap(rel, INDEX_ATTR_BITMAP_KEY);
	while ((column = bms_next_member(indexed, column)) >= 0)
		keys = bms_add_member(keys, column + FirstLowInvalidHeapAttributeNumber);
	return keys;
}

static Bitmapset *
root_key(const OutboxContractConfig *config, TupleDesc desc)
{
	Bitmapset *keys = NULL;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped && OutboxNameListMember(config->root_key, NameStr(attribute->attname)))
			keys = bms_add_member(keys, i + 1);
	}
	return keys;
}

/* The columns of its primary key, and those that the key_query names: they say which row it was, and what it belongs to. */
static Bitmapset *
child_keys(const OutboxContractConfig *config, Relation rel)
{
	Bitmapset *keys = own_key(rel);
	ListCell *lc;

	foreach (lc, config->sources)
	{
		OutboxSourceConfig *source = lfirst(lc);
		bool alone;
		ListCell *name;

		if (!OutboxIsWithin(RelationGetRelid(rel), source->relation))
			continue;
		foreach (name, OutboxKeyViewColumns(source, &alone))
			keys = bms_add_member(keys, get_attnum(RelationGetRelid(rel), lfirst(name)));
	}
	return keys;
}

/*
 * Does the key_query name the contract's lookup columns, and return them as they
 * are? Then a redrive reads by them.
 */
static bool
names_key(const OutboxContractConfig *config, Relation rel)
{
	ListCell *lc;

	foreach (lc, config->sources)
	{
		OutboxSourceConfig *source = lfirst(lc);
		bool alone;
		List *names;

		if (!OutboxIsWithin(RelationGetRelid(rel), source->relation))
			continue;
		names = OutboxKeyViewColumns(source, &alone);
		if (alone && same_names(names, config->root_key))
			return true;
	}
	return false;
}

static bool
same_names(const List *a, const List *b)
{
	ListCell *la;
	ListCell *lb;

	forboth (la, a, lb, b)
	{
		if (strcmp(lfirst(la), lfirst(lb)) != 0)
			return false;
	}
	return list_length(a) == list_length(b);
}
