/*-------------------------------------------------------------------------
 *
 * event_type_sql.c
 *	  outbox.create_event_type(), outbox.drop_event_type(), outbox.avro_schema().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/lsyscache.h"

#include "catalog/outbox_catalog.h"
#include "contract/api/api_private.h"
#include "contract/compile/compile.h"
#include "contract/prove/prove.h"
#include "contract/view/view.h"

PG_FUNCTION_INFO_V1(outbox_create_event_type);
PG_FUNCTION_INFO_V1(outbox_drop_event_type);
PG_FUNCTION_INFO_V1(outbox_avro_schema);

#define MAX_EVENT_TYPE_NAME 63

/* The arguments of create_event_type, resolved. */
typedef struct NewEventType
{
	const OutboxContractConfig *contract;
	OutboxEventTypeConfig config;
	const char *column; /* the one of previous or headers that a check looks at */
	const char *emit;
	const char *tombstone;
} NewEventType;

static void read_arguments(FunctionCallInfo fcinfo, const OutboxContractConfig *contract, NewEventType *type);
static void check_all(NewEventType *type);
static void check_name(void *arg);
static void read_emit(void *arg);
static void check_topic(void *arg);
static void check_tombstone(void *arg);
static void check_previous_column(void *arg);
static void check_header(void *arg);
static bool is_reserved_header(const char *name);
static void check_condition(void *arg);
static void check_schema(void *arg);
static int32 insert_event_type(const OutboxContractConfig *contract, const NewEventType *type);
static char *lower_case(const char *name);

/*
 * create_event_type(name, contract, emit, condition, previous, topic, ce_type, tombstone, headers, actor)
 */
Datum
outbox_create_event_type(PG_FUNCTION_ARGS)
{
	OutboxContractConfig *contract = OutboxContractArg(fcinfo, 1, "contract");
	NewEventType type = {.contract = contract};

	OutboxCheckContractRights(contract->view, contract->root);
	OutboxCheckViewOwnerUnchanged(contract);
	read_arguments(fcinfo, contract, &type);
	check_all(&type);
	type.config.id = insert_event_type(contract, &type);
	if (contract->enabled)
		OutboxPinSchemas(contract, list_make1(&type.config));
	PG_RETURN_VOID();
}

/* drop_event_type(name): pinned schemas stay for the events that refer to them. */
Datum
outbox_drop_event_type(PG_FUNCTION_ARGS)
{
	char *name = OutboxRequiredTextArg(fcinfo, 0, "name");
	const char *args[] = {name};
	char *contract = OutboxEventTypeContract(name);
	OutboxContractConfig *config;

	if (contract == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("event type \"%s\" does not exist", name),
				 errhint("SELECT name FROM outbox.event_types lists the event types.")));
	config = OutboxContractGet(contract);
	if (get_rel_relkind(config->view) != '\0' && get_rel_relkind(config->root) != '\0')
		OutboxCheckContractRights(config->view, config->root);
	(void) OutboxExecute("DELETE FROM outbox_internal.event_type WHERE name = $1", 1, args);
	PG_RETURN_VOID();
}

/* avro_schema(event_type, version): the pinned schema, or the one that enable() would pin now. */
Datum
outbox_avro_schema(PG_FUNCTION_ARGS)
{
	char *name = OutboxRequiredTextArg(fcinfo, 0, "event_type");
	char *version = PG_ARGISNULL(1) ? NULL : psprintf("%d", PG_GETARG_INT32(1));
	const char *args[] = {name, version};
	char *schema = OutboxExecute("SELECT schema FROM outbox_internal.event_schema WHERE event_type = $1"
								 " AND event_type_id IS NOT NULL AND ($2 IS NULL OR version = $2::int)"
								 " ORDER BY version DESC LIMIT 1",
								 2, args);
	char *contract;
	OutboxContractConfig *config;

	if (schema)
		PG_RETURN_TEXT_P(cstring_to_text(schema));
	contract = OutboxEventTypeContract(name);
	if (contract == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("event type \"%s\" does not exist", name),
				 errhint("SELECT name FROM outbox.event_types lists the event types.")));
	if (version)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("event type \"%s\" has no version %s", name, version),
				 errhint("SELECT version FROM outbox.event_schemas WHERE event_type = '%s' lists its versions; none is pinned before outbox.enable().", name)));
	config = OutboxContractGet(contract);
	PG_RETURN_TEXT_P(cstring_to_text(OutboxDraftSchema(config, OutboxContractEventType(config, name))));
}

static void
read_arguments(FunctionCallInfo fcinfo, const OutboxContractConfig *contract, NewEventType *type)
{
	OutboxEventTypeConfig *config = &type->config;

	config->name = OutboxRequiredTextArg(fcinfo, 0, "name");
	type->emit = OutboxRequiredTextArg(fcinfo, 2, "emit");
	config->condition = OutboxTextArg(fcinfo, 3);
	config->previous = OutboxNameListArg(fcinfo, 4, "previous");
	config->topic = OutboxTextArg(fcinfo, 5);
	config->ce_type = OutboxTextArg(fcinfo, 6);
	type->tombstone = OutboxTextArg(fcinfo, 7);
	config->headers = OutboxNameListArg(fcinfo, 8, "headers");
	config->actor = !PG_ARGISNULL(9) && PG_GETARG_BOOL(9);

	if (config->topic == NULL)
		config->topic = contract->aggregate_type;
	if (config->ce_type == NULL)
		config->ce_type = psprintf("%s.%s", contract->name_space, lower_case(config->name));
	if (type->tombstone == NULL)
		type->tombstone = "none";
}

/* Raises one error with everything that is wrong. The schema is made only when the rest is right. */
static void
check_all(NewEventType *type)
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
	const char *name = ((NewEventType *) arg)->config.name;
	const char *exists;

	OutboxCheckName("event type", name, MAX_EVENT_TYPE_NAME);
	exists = OutboxEventTypeContract(name);
	if (exists)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("event type \"%s\" already exists", name),
				 errdetail("It belongs to contract \"%s\".", exists),
				 errhint("Names of event types are unique in the database.")));
}

static void
read_emit(void *arg)
{
	NewEventType *type = arg;

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
	const OutboxEventTypeConfig *config = &((NewEventType *) arg)->config;

	if (config->topic[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the topic of event type \"%s\" is empty", config->name),
				 errhint("Name a topic, or leave it out: it is then the aggregate type.")));
}

static void
check_tombstone(void *arg)
{
	NewEventType *type = arg;

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
	const NewEventType *type = arg;
	Oid view = type->contract->view;
	int named = 0;
	ListCell *lc;

	if (get_attnum(view, type->column) <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" in \"previous\" does not exist", type->column),
				 errdetail("The view \"%s\" has no column of that name.", get_rel_name(view)),
				 errhint("Name columns of the contract's view.")));
	foreach (lc, type->config.previous)
		named += strcmp(lfirst(lc), type->column) == 0;
	if (named > 1 || get_attnum(view, psprintf("previous_%s", type->column)) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_COLUMN),
				 errmsg("event type \"%s\" would have the field \"previous_%s\" twice", type->config.name, type->column),
				 errhint("Name each column once, and rename the view's own column of that name.")));
}

/* A column of headers: one value as text, under a name that no library and no sink gives a meaning to. */
static void
check_header(void *arg)
{
	const NewEventType *type = arg;
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
	const NewEventType *type = arg;

	if (type->config.condition)
		(void) OutboxParseCondition(type->config.condition, type->contract->view,
									psprintf("condition of event type \"%s\"", type->config.name), false);
}

static void
check_schema(void *arg)
{
	const NewEventType *type = arg;

	(void) OutboxDraftSchema(type->contract, &type->config);
}

static int32
insert_event_type(const OutboxContractConfig *contract, const NewEventType *type)
{
	const char *args[] = {psprintf("%d", contract->id), type->config.name, type->emit, type->config.condition,
						  OutboxNamesToArray(type->config.previous), type->config.topic, type->config.ce_type, type->tombstone,
						  OutboxNamesToArray(type->config.headers), type->config.actor ? "true" : "false"};

	return pg_strtoint32(OutboxExecute("INSERT INTO outbox_internal.event_type (contract_id, name, emit, condition, previous,"
									   " topic, ce_type, tombstone, headers, actor)"
									   " VALUES ($1::int, $2, $3, $4, $5::text[], $6, $7, $8, $9::text[], $10::bool) RETURNING id",
									   lengthof(args), args));
}

static char *
lower_case(const char *name)
{
	return asc_tolower(name, strlen(name));
}
