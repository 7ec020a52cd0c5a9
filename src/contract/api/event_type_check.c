/*-------------------------------------------------------------------------
 *
 * event_type_check.c
 *	  May this be an event type of the contract?
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/lsyscache.h"

#include "catalog/outbox_catalog.h"
#include "contract/api/api_private.h"
#include "contract/compile/compile.h"
#include "contract/prove/prove.h"
#include "contract/view/view.h"

#define MAX_EVENT_TYPE_NAME 63

static void check_name(void *arg);
static void read_emit(void *arg);
static void check_topic(void *arg);
static void check_tombstone(void *arg);
static void check_previous_column(void *arg);
static void check_header(void *arg);
static bool is_reserved_header(const char *name);
static void check_condition(void *arg);
static void check_schema(void *arg);

/* The ce_type of an event type that names none. */
char *
OutboxDefaultCeType(const OutboxContractConfig *contract, const char *event_type)
{
	return psprintf("%s.%s", contract->ce_space, asc_tolower(event_type, strlen(event_type)));
}

/* Raises one error with everything that is wrong. The schema is made only when the rest is right. */
void
OutboxCheckEventType(OutboxNewEventType *type)
{
	static const OutboxGuardedStep checks[] = {check_name, read_emit, check_topic, check_tombstone, check_condition};
	OutboxFaultList faults = {0};
	ListCell *lc;

	for (int i = 0; i < lengthof(checks); i++)
		(void) OutboxTryCheck(&faults, checks[i], type);
	foreach (lc, type->config.previous)
	{
		type->column = lfirst(lc);
		(void) OutboxTryCheck(&faults, check_previous_column, type);
	}
	foreach (lc, type->config.headers)
	{
		type->column = lfirst(lc);
		(void) OutboxTryCheck(&faults, check_header, type);
	}
	if (faults.errors == NIL)
		(void) OutboxTryCheck(&faults, check_schema, type);
	OutboxRaiseFaults(&faults, psprintf("event type \"%s\"", type->config.name));
}

static void
check_name(void *arg)
{
	const char *name = ((OutboxNewEventType *) arg)->config.name;
	const char *exists;

	OutboxCheckName("event type", name, MAX_EVENT_TYPE_NAME);
	exists = ((OutboxNewEventType *) arg)->exists ? NULL : OutboxEventTypeContract(name);
	if (exists)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("event type \"%s\" already exists", name),
				 errdetail("It belongs to contract \"%s\".", exists),
				 errhint("Names of event types are unique in the database. One of the same contract is changed with or_replace => true.")));
}

static void
read_emit(void *arg)
{
	OutboxNewEventType *type = arg;

	for (OutboxEmit value = OUTBOX_EMIT_CREATED; value <= OUTBOX_EMIT_ALWAYS; value++)
	{
		if (strcmp(type->emit, OutboxEmitName(value)) != 0)
			continue;
		type->config.emit = value;
		return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown value \"%s\" for \"emit\" of event type \"%s\"", type->emit, type->config.name),
			 errhint("Use 'created', 'changed', 'deleted' or 'always'.")));
}

static void
check_topic(void *arg)
{
	const OutboxEventTypeConfig *config = &((OutboxNewEventType *) arg)->config;

	if (config->topic[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the topic of event type \"%s\" is empty", config->name),
				 errhint("Name a topic, or leave it out: it is then the aggregate type.")));
}

static void
check_tombstone(void *arg)
{
	OutboxNewEventType *type = arg;

	if (strcmp(type->tombstone, "none") == 0)
		return;
	for (OutboxTombstone value = OUTBOX_TOMBSTONE_AFTER; value <= OUTBOX_TOMBSTONE_INSTEAD; value++)
	{
		if (strcmp(type->tombstone, OutboxTombstoneName(value)) == 0)
			type->config.tombstone = value;
	}
	if (type->config.tombstone == OUTBOX_TOMBSTONE_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown value \"%s\" for \"tombstone\" of event type \"%s\"",
						type->tombstone, type->config.name),
				 errhint("Use 'none', 'after' or 'instead'.")));
	if (strcmp(type->emit, OutboxEmitName(OUTBOX_EMIT_DELETED)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("event type \"%s\" cannot have a tombstone", type->config.name),
				 errdetail("A tombstone removes a key from a compacted topic, which only a deleted row justifies."),
				 errhint("Use emit => 'deleted', or leave the tombstone out.")));
}

static void
check_previous_column(void *arg)
{
	const OutboxNewEventType *type = arg;

	OutboxCheckPreviousColumn(type->contract->view, type->config.name, type->config.previous, type->column);
}

/* Raises unless the column of `previous` is one of the view, and its field would not stand twice. */
void
OutboxCheckPreviousColumn(Oid view, const char *type, const List *previous, const char *column)
{
	int named = 0;
	ListCell *lc;

	if (get_attnum(view, column) <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" in \"previous\" does not exist", column),
				 errdetail("The view \"%s\" has no column of that name.", get_rel_name(view)),
				 errhint("Name columns of the contract's view.")));
	foreach (lc, previous)
		named += strcmp(lfirst(lc), column) == 0;
	if (named > 1 || get_attnum(view, psprintf("previous_%s", column)) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_COLUMN),
				 errmsg("event type \"%s\" would have the field \"previous_%s\" twice", type, column),
				 errhint("Name each column once, and rename the view's own column of that name.")));
}

/* A column of headers: one value as text, under a name that no library and no sink gives a meaning to. */
static void
check_header(void *arg)
{
	const OutboxNewEventType *type = arg;
	Oid view = type->contract->view;
	AttrNumber attno = get_attnum(view, type->column);
	Oid base;
	int named = 0;
	ListCell *lc;

	if (attno <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" in \"headers\" does not exist", type->column),
				 errdetail("The view \"%s\" has no column of that name.", get_rel_name(view)),
				 errhint("Name columns of the contract's view.")));
	foreach (lc, type->config.headers)
		named += strcmp(lfirst(lc), type->column) == 0;
	if (named > 1)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_COLUMN),
				 errmsg("column \"%s\" is in \"headers\" twice", type->column),
				 errhint("Name each column once.")));
	if (is_reserved_header(type->column))
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("column \"%s\" cannot be a header", type->column),
				 errdetail("A header has the column's name, in lower case, of letters, digits and underscores. Names that begin with ce_ or an underscore, and traceparent, tracestate, baggage and content_type, have a meaning of their own."),
				 errhint("Give the column another name in the view.")));
	base = getBaseType(get_atttype(view, attno));
	if (OidIsValid(get_element_type(base)) || type_is_rowtype(base))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of type %s cannot be a header", type->column, format_type_be(get_atttype(view, attno))),
				 errdetail("A header is the text of one value."),
				 errhint("Name columns with single values.")));
}

static bool
is_reserved_header(const char *name)
{
	static const char *const reserved[] = {"traceparent", "tracestate", "baggage", "content_type"};

	if (name[0] < 'a' || name[0] > 'z' || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(name) ||
		strncmp(name, "ce_", strlen("ce_")) == 0)
		return true;
	for (int i = 0; i < lengthof(reserved); i++)
	{
		if (strcmp(name, reserved[i]) == 0)
			return true;
	}
	return false;
}

static void
check_condition(void *arg)
{
	const OutboxNewEventType *type = arg;

	if (type->config.condition)
		(void) OutboxParseCondition(type->config.condition, type->contract->view,
									psprintf("condition of event type \"%s\"", type->config.name), false);
}

static void
check_schema(void *arg)
{
	const OutboxNewEventType *type = arg;

	(void) OutboxDraftSchema(type->contract, &type->config);
}
