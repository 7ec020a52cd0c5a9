/*-------------------------------------------------------------------------
 *
 * alter.c
 *	  Contracts and event types that change.
 *
 * A change that says what is there already writes nothing: whatever is written to a
 * configuration table makes every session compile its contracts again. A change of
 * what is in a pinned schema, or beside it (topic, ce_type), is pinned as the next
 * version, which takes the place of the present one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "catalog/outbox_catalog.h"
#include "contract/api/api_private.h"
#include "contract/compile/compile.h"
#include "contract/history/history.h"
#include "contract/prove/prove.h"
#include "contract/view/view.h"

#define MAX_FANOUT 1000000

static bool is_pinned(const OutboxContractConfig *config);
static bool same_set(const List *a, const List *b);
static List *required_of(const OutboxContractConfig *config, const OutboxContractChange *change);
static void forget_own_required(const OutboxContractConfig *config);
static bool differs_in_schema(const OutboxEventTypeConfig *type, const OutboxEventTypeConfig *change);
static void forget_own(const OutboxContractConfig *contract, const OutboxEventTypeConfig *type, const OutboxEventTypeConfig *change);
static void check_compiles(const OutboxContractConfig *config);

/* The names of the first list, and those of the second that it does not have. */
List *
OutboxMergeNames(List *names, const List *more)
{
	ListCell *lc;

	foreach (lc, more)
	{
		if (!OutboxNameListMember(names, lfirst(lc)))
			names = lappend(names, lfirst(lc));
	}
	return names;
}

/* The value, which is one of two; 'DEFAULT' is the first. Raises for any other. */
const char *
OutboxOneOf(const char *argument, const char *value, const char *first, const char *second)
{
	if (strcmp(value, "DEFAULT") == 0)
		return first;
	if (strcmp(value, first) != 0 && strcmp(value, second) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown value \"%s\" for \"%s\"", value, argument),
				 errhint("It takes '%s' or '%s'.", first, second)));
	return value;
}

/* The contract as it is when nobody else can change it until the transaction ends. */
OutboxContractConfig *
OutboxContractForChange(OutboxContractConfig *config)
{
	const char *args[] = {psprintf("%d", config->id)};

	(void) OutboxExecute("SELECT id FROM outbox_internal.contract WHERE id = $1::int FOR UPDATE", lengthof(args), args);
	return OutboxContractGet(config->name);
}

/* Is anything other than it is? */
bool
OutboxContractDiffers(const OutboxContractConfig *config, const OutboxContractChange *change)
{
	return !same_set(required_of(config, change), config->required) ||
		strcmp(change->on_invalid, config->abort_on_invalid ? "abort" : "dead_letter") != 0 ||
		strcmp(change->on_truncate, config->reject_truncate ? "reject" : "gap") != 0 ||
		strcmp(change->compatibility, OutboxCompatibility(config)) != 0;
}

static List *
required_of(const OutboxContractConfig *config, const OutboxContractChange *change)
{
	return OutboxMergeNames(OutboxMergeNames(list_copy(config->key), config->aggregate_id), change->required);
}

/*
 * Changes a contract, if that is a change at all. Raises what creating it would
 * raise, and invalid_parameter_value when consumers would not get on with it.
 */
void
OutboxAlterContract(OutboxContractConfig *config, const OutboxContractChange *change)
{
	List *required = required_of(config, change);
	bool changes_schemas = !same_set(required, config->required);
	const char *args[] = {psprintf("%d", config->id), OutboxNamesToArray(required), change->on_invalid, change->on_truncate, change->compatibility};

	if (!OutboxContractDiffers(config, change))
		return;
	if (changes_schemas)
	{
		config->required = required;
		OutboxCheckRequiredNames(config);
	}
	(void) OutboxExecute("UPDATE outbox_internal.contract SET required = $2::text[], on_invalid = $3, on_truncate = $4, compatibility = $5"
						 " WHERE id = $1::int",
						 lengthof(args), args);
	if (changes_schemas)
		forget_own_required(config);
	config = OutboxContractGet(config->name);
	if (changes_schemas && is_pinned(config))
		OutboxPinInstead(config);
	check_compiles(config);
}

/* The first version has what the contract has. */
static void
forget_own_required(const OutboxContractConfig *config)
{
	const char *args[] = {psprintf("%d", config->id), psprintf("%d", config->version)};

	(void) OutboxExecute("UPDATE outbox_internal.contract_version SET required = NULL"
						 " WHERE contract_id = $1::int AND version = $2::int AND required IS NOT NULL",
						 lengthof(args), args);
}

/* Changes how many keys a row of a source may touch; without a source, of all that add_source() added. */
void
OutboxAlterFanout(const OutboxContractConfig *config, Oid source, int32 max_fanout)
{
	int found = 0;
	int changes = 0;
	const char *args[] = {psprintf("%d", config->id), psprintf("%u", source), psprintf("%d", max_fanout)};
	ListCell *lc;

	foreach (lc, config->sources)
	{
		const OutboxSourceConfig *one = lfirst(lc);

		if (one->is_root || (OidIsValid(source) && one->relation != source))
			continue;
		found++;
		changes += one->max_fanout != max_fanout;
	}
	if (found == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 OidIsValid(source) ? errmsg("\"%s\" is no source that was added to contract \"%s\"", get_rel_name(source), config->name)
									: errmsg("no source was added to contract \"%s\"", config->name),
				 errdetail("\"max_fanout\" limits how many rows of the contract one changed row of an added source may touch."),
				 errhint("SELECT relation, max_fanout FROM outbox.source WHERE role = 'child' lists these sources.")));
	OutboxCheckFanout(config, source, max_fanout);
	if (changes > 0)
		(void) OutboxExecute("UPDATE outbox_internal.source SET max_fanout = $3::int WHERE contract_id = $1::int AND role = 'child'"
							 " AND ($2::oid = 0 OR relation = $2::oid) AND max_fanout <> $3::int",
							 lengthof(args), args);
}

/* Raises unless so many keys may be touched by a row of a source (invalid: of any). */
void
OutboxCheckFanout(const OutboxContractConfig *config, Oid source, int32 max_fanout)
{
	if (max_fanout >= 1 && max_fanout <= MAX_FANOUT)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 OidIsValid(source) ? errmsg("\"max_fanout\" of source \"%s\" must be between 1 and %d", get_rel_name(source), MAX_FANOUT)
								: errmsg("\"max_fanout\" must be between 1 and %d", MAX_FANOUT),
			 errdetail("It limits how many rows of contract \"%s\" one changed row of the source may touch.", config->name),
			 errhint("Give such a number, or leave it out: the default is 1000.")));
}

/* An event type with the topic and ce_type that were given for it, which a version may add to. */
OutboxEventTypeConfig *
OutboxEventTypeAsCreated(const OutboxEventTypeConfig *type)
{
	OutboxEventTypeConfig *created = palloc(sizeof(OutboxEventTypeConfig));

	*created = *type;
	created->topic = type->own_topic;
	created->ce_type = type->own_ce_type;
	return created;
}

/* An event type and its contract, which nobody else can change until the transaction ends. Raises unless the caller may. */
OutboxEventTypeConfig *
OutboxEventTypeForChange(const char *name, OutboxContractConfig **contract)
{
	*contract = OutboxContractOfEventType(name);
	OutboxCheckVersionsRights((*contract)->versions);
	*contract = OutboxContractForChange(*contract);
	return OutboxEventTypeAsCreated(OutboxContractEventType(*contract, name));
}

/* Is anything that can change other than it is? */
bool
OutboxEventTypeDiffers(const OutboxEventTypeConfig *type, const OutboxEventTypeConfig *change)
{
	return !OutboxSameText(type->condition, change->condition) || !OutboxSameNames(type->headers, change->headers) ||
		type->actor != change->actor ||
		differs_in_schema(type, change);
}

/* In what is in the pinned schema, or beside it? */
static bool
differs_in_schema(const OutboxEventTypeConfig *type, const OutboxEventTypeConfig *change)
{
	return !OutboxSameNames(type->previous, change->previous) || !OutboxSameText(type->topic, change->topic) ||
		!OutboxSameText(type->ce_type, change->ce_type);
}

/* Changes condition, previous, topic, ce_type, headers and actor of an event type, if that is a change at all. Raises as OutboxAlterContract. */
void
OutboxAlterEventType(OutboxContractConfig *contract, const OutboxEventTypeConfig *type, const OutboxEventTypeConfig *change)
{
	bool changes_schema = differs_in_schema(type, change);
	OutboxNewEventType new = {.contract = contract, .config = *type, .exists = true, .emit = OutboxEmitName(type->emit), .tombstone = OutboxTombstoneName(type->tombstone)};
	const char *args[] = {psprintf("%d", type->id), change->condition, OutboxNamesToArray(change->previous), change->topic, change->ce_type,
						  OutboxNamesToArray(change->headers), change->actor ? "true" : "false"};

	if (!OutboxEventTypeDiffers(type, change))
		return;
	new.config.condition = change->condition;
	new.config.previous = change->previous;
	new.config.headers = change->headers;
	new.config.actor = change->actor;
	new.config.topic = change->topic;
	new.config.ce_type = change->ce_type;
	OutboxCheckEventType(&new);
	(void) OutboxExecute("UPDATE outbox_internal.event_type SET condition = $2, previous = $3::text[], topic = $4, ce_type = $5,"
						 " headers = $6::text[], actor = $7::bool WHERE id = $1::int",
						 lengthof(args), args);
	forget_own(contract, type, change);
	contract = OutboxContractGet(contract->name);
	if (changes_schema && type->schema_id != 0)
		OutboxPinInstead(contract);
	check_compiles(contract);
}

/* The first version has what the event type has, where that was changed. */
static void
forget_own(const OutboxContractConfig *contract, const OutboxEventTypeConfig *type, const OutboxEventTypeConfig *change)
{
	const char *args[] = {psprintf("%d", type->id), psprintf("%d", contract->version),
						  OutboxSameText(type->condition, change->condition) ? "f" : "t", OutboxSameNames(type->previous, change->previous) ? "f" : "t",
						  OutboxSameText(type->topic, change->topic) ? "f" : "t", OutboxSameText(type->ce_type, change->ce_type) ? "f" : "t"};

	(void) OutboxExecute("UPDATE outbox_internal.event_type_version SET condition = CASE WHEN NOT $3::bool THEN condition END,"
						 " previous = CASE WHEN NOT $4::bool THEN previous END, topic = CASE WHEN NOT $5::bool THEN topic END,"
						 " ce_type = CASE WHEN NOT $6::bool THEN ce_type END WHERE event_type_id = $1::int AND version = $2::int",
						 lengthof(args), args);
}

/* The same names in the same order? */
bool
OutboxSameNames(const List *a, const List *b)
{
	ListCell *one;
	ListCell *other;

	forboth (one, a, other, b)
	{
		if (strcmp(lfirst(one), lfirst(other)) != 0)
			return false;
	}
	return list_length(a) == list_length(b);
}

/* Raises for a property that an object keeps as long as it lives; `remedy` says what there is instead. */
void
OutboxRefuseAnother(const char *object, const char *property, const char *is, const char *wanted, const char *remedy)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("cannot change \"%s\" of %s", property, object),
			 errdetail("It is %s, and would be %s.", is, wanted),
			 errhint("%s", remedy)));
}

/* Was it enabled before? */
static bool
is_pinned(const OutboxContractConfig *config)
{
	ListCell *lc;

	foreach (lc, config->event_types)
	{
		if (((OutboxEventTypeConfig *) lfirst(lc))->schema_id != 0)
			return true;
	}
	return false;
}

/* Of a contract whose changes are captured: raises when they would not be. */
static void
check_compiles(const OutboxContractConfig *config)
{
	ListCell *lc;

	if (!config->enabled)
		return;
	config = OutboxContractGet(config->name);
	foreach (lc, config->versions)
	{
		OutboxContractConfig *version = lfirst(lc);

		if (version->state == OUTBOX_VERSION_ACTIVE)
			OutboxFreeContract(OutboxCompileContract(version, config->root, false));
	}
}

/* What is changed for several versions needs the rights on the views of all of them. Raises insufficient_privilege. */
void
OutboxCheckVersionsRights(const List *versions)
{
	ListCell *lc;

	foreach (lc, versions)
	{
		const OutboxContractConfig *version = lfirst(lc);

		OutboxCheckContractRights(version->view, version->root);
		OutboxCheckViewOwnerUnchanged(version);
	}
}

static bool
same_set(const List *a, const List *b)
{
	ListCell *lc;

	foreach (lc, a)
	{
		if (!OutboxNameListMember(b, lfirst(lc)))
			return false;
	}
	return list_length(a) == list_length(b);
}

/* Equal, or both NULL? */
bool
OutboxSameText(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}
