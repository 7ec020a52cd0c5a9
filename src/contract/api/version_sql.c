/*-------------------------------------------------------------------------
 *
 * version_sql.c
 *	  outbox.add_version(), outbox.drop_version(), outbox.retire_version().
 *
 * A new version is a draft, which captures nothing. enable() publishes it: instead
 * of the version before it, in the same topics, or beside it, in topics of its
 * own. A version that is published beside others is retired by hand, when nobody
 * reads it any more.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "catalog/outbox_catalog.h"
#include "contract/api/api_private.h"
#include "contract/compile/compile.h"
#include "contract/view/view.h"

PG_FUNCTION_INFO_V1(outbox_add_version);
PG_FUNCTION_INFO_V1(outbox_drop_version);
PG_FUNCTION_INFO_V1(outbox_retire_version);

/* The arguments of add_version, resolved. */
typedef struct NewVersion
{
	OutboxContractConfig *config;
	const OutboxContractConfig *former;
	const char *publish;
	char *required; /* a text[]; NULL: as the version before it */
	char *sunset;
} NewVersion;

static int32 next_number(const OutboxContractConfig *config);
static OutboxContractConfig *new_config(const OutboxContractConfig *former);
static void read_arguments(FunctionCallInfo fcinfo, NewVersion *version);
static void refuse_second_draft(const OutboxContractConfig *config);
static List *required_names(const OutboxContractConfig *config, const List *names);
static void decide_publish(FunctionCallInfo fcinfo, NewVersion *version);
static void check_sunset(FunctionCallInfo fcinfo, NewVersion *version);
static void insert_version(const NewVersion *version);
static void inherit(const NewVersion *version);
static OutboxContractConfig *version_arg(FunctionCallInfo fcinfo, int arg, const OutboxContractConfig *config);
static void check_not_sent(const OutboxContractConfig *config);

/* add_version(contract, view, publish, suffix, required, sunset): a draft. Returns its number. */
Datum
outbox_add_version(PG_FUNCTION_ARGS)
{
	NewVersion version = {0};

	read_arguments(fcinfo, &version);
	OutboxCheckContractRights(version.config->view, version.config->root);
	OutboxCheckViewOwnerUnchanged(version.former);
	OutboxCheckVersionView(version.config, version.former);
	decide_publish(fcinfo, &version);
	check_sunset(fcinfo, &version);
	insert_version(&version);
	inherit(&version);
	PG_RETURN_INT32(version.config->version);
}

/* drop_version(contract, version): removes a draft. */
Datum
outbox_drop_version(PG_FUNCTION_ARGS)
{
	OutboxContractConfig *contract = OutboxContractForChange(OutboxContractArg(fcinfo, 0, "contract"));
	OutboxContractConfig *config = version_arg(fcinfo, 1, contract);
	const char *args[] = {psprintf("%d", config->id), psprintf("%d", config->version)};

	if (config->state != OUTBOX_VERSION_DRAFT)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version %d of contract \"%s\" is published", config->version, config->name),
				 errhint("Only a draft can be dropped. SELECT outbox.retire_version(%s, %d) ends the version.", quote_literal_cstr(config->name), config->version)));
	if (contract == config)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("contract \"%s\" has no other version", config->name),
				 errhint("SELECT outbox.drop_contract(%s) drops the contract.", quote_literal_cstr(config->name))));
	if (get_rel_relkind(config->root) != '\0')
		OutboxCheckSourceRights(config->root);
	(void) OutboxExecute("DELETE FROM outbox_internal.event_type_version WHERE version = $2::int"
						 " AND event_type_id IN (SELECT id FROM outbox_internal.event_type WHERE contract_id = $1::int)",
						 lengthof(args), args);
	(void) OutboxExecute("UPDATE outbox_internal.check_rule SET versions = array_remove(versions, $2::int) WHERE $2::int = ANY (versions)"
						 " AND event_type_id IN (SELECT id FROM outbox_internal.event_type WHERE contract_id = $1::int)",
						 lengthof(args), args);
	(void) OutboxExecute("DELETE FROM outbox_internal.contract_version WHERE contract_id = $1::int AND version = $2::int", lengthof(args), args);
	PG_RETURN_VOID();
}

/* retire_version(contract, version, force): ends a version at commit. */
Datum
outbox_retire_version(PG_FUNCTION_ARGS)
{
	OutboxContractConfig *contract = OutboxContractForChange(OutboxContractArg(fcinfo, 0, "contract"));
	OutboxContractConfig *config = version_arg(fcinfo, 1, contract);
	bool force = !PG_ARGISNULL(2) && PG_GETARG_BOOL(2);

	if (config->state == OUTBOX_VERSION_DRAFT)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version %d of contract \"%s\" is a draft", config->version, config->name),
				 errhint("SELECT outbox.drop_version(%s, %d) drops it.", quote_literal_cstr(config->name), config->version)));
	if (contract == config && OutboxContractAfter(config, config->line) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version %d is the only active version of contract \"%s\"", config->version, config->name),
				 errhint("SELECT outbox.disable(%s) stops its events, outbox.drop_contract(%s) drops it.",
						 quote_literal_cstr(config->name), quote_literal_cstr(config->name))));
	if (get_rel_relkind(config->root) != '\0')
		OutboxCheckSourceRights(config->root);
	if (!force)
		check_not_sent(config);
	OutboxRetireVersion(config);
	/* these belong to the owner of the first version's view */
	OutboxKeyViewsFollowOwner(OutboxContractGet(config->name));
	PG_RETURN_VOID();
}

/*
 * The next version takes the place of an active one, and has all that it has. The configuration counts as of the new one
 * then; its schemas are to be pinned.
 */
void
OutboxSucceedVersion(OutboxContractConfig *version)
{
	OutboxContractConfig *next = palloc(sizeof(OutboxContractConfig));
	NewVersion new = {.config = next, .former = version, .publish = "instead"};

	*next = *version;
	next->version = next_number(version);
	insert_version(&new);
	inherit(&new);
	OutboxRetireVersion(version);
	(void) OutboxExecute("UPDATE outbox_internal.contract_version n SET state = 'active', activated_at = clock_timestamp(), owner = f.owner,"
						 " owner_id = f.owner_id, sunset = f.sunset FROM outbox_internal.contract_version f"
						 " WHERE n.contract_id = $1::int AND n.version = $2::int AND f.contract_id = n.contract_id AND f.version = $3::int",
						 3, (const char *[]){psprintf("%d", version->id), psprintf("%d", next->version), psprintf("%d", version->version)});
	version->version = next->version;
}

static int32
next_number(const OutboxContractConfig *config)
{
	const char *args[] = {psprintf("%d", config->id)};

	return pg_strtoint32(OutboxExecute("SELECT max(version) + 1 FROM outbox_internal.contract_version WHERE contract_id = $1::int",
									   lengthof(args), args));
}

/* The version that follows one, before anything about it is said. */
static OutboxContractConfig *
new_config(const OutboxContractConfig *former)
{
	OutboxContractConfig *config = palloc(sizeof(OutboxContractConfig));

	refuse_second_draft(linitial(former->versions));
	*config = *former;
	config->state = OUTBOX_VERSION_DRAFT;
	config->sunset = NULL;
	config->owner = config->owner_id = NULL;
	config->version = next_number(former);
	return config;
}

static void
read_arguments(FunctionCallInfo fcinfo, NewVersion *version)
{
	OutboxContractConfig *contract = OutboxContractForChange(OutboxContractArg(fcinfo, 0, "contract"));
	OutboxContractConfig *config;
	char *view = OutboxTextArg(fcinfo, 1);

	refuse_second_draft(contract);
	version->former = llast(contract->versions);
	if (version->former->detached)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("contract \"%s\" is detached", contract->name),
				 errhint("SELECT outbox.reattach(source) creates its views again; outbox.detached_view names the source.")));
	config = new_config(version->former);
	if (view)
		config->view = OutboxResolveRelation("view", view);
	if (get_rel_relkind(config->view) != RELKIND_VIEW)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a view", view ? view : get_rel_name(config->view)),
				 errhint("A contract is a view: CREATE VIEW ... AS SELECT ... FROM %s.", get_rel_name(config->root))));
	if (!PG_ARGISNULL(4))
	{
		config->required = required_names(config, OutboxNameListArg(fcinfo, 4, "required"));
		version->required = OutboxNamesToArray(config->required);
	}
	version->config = config;
}

static void
refuse_second_draft(const OutboxContractConfig *config)
{
	const OutboxContractConfig *draft = OutboxContractDraft(config);

	if (draft == NULL)
		return;
	if (draft == config)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("version %d of contract \"%s\" is not published yet", draft->version, config->name),
				 errhint("SELECT outbox.enable(%s) publishes it. To change it before that, drop the contract and create it again in one transaction.", quote_literal_cstr(config->name))));
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("contract \"%s\" has a draft already: version %d", config->name, draft->version),
			 errhint("SELECT outbox.enable(%s) publishes it, outbox.drop_version(%s, %d) drops it.",
					 quote_literal_cstr(config->name), quote_literal_cstr(config->name), draft->version)));
}

/* Key and message key are never null. */
static List *
required_names(const OutboxContractConfig *config, const List *names)
{
	List *all = list_copy(config->key);
	ListCell *lc;

	foreach (lc, config->aggregate_id)
	{
		if (!OutboxNameListMember(all, lfirst(lc)))
			all = lappend(all, lfirst(lc));
	}
	foreach (lc, names)
	{
		if (!OutboxNameListMember(all, lfirst(lc)))
			all = lappend(all, lfirst(lc));
	}
	return all;
}

/* Instead or beside; and with that the names of topics, records and CloudEvents types. */
static void
decide_publish(FunctionCallInfo fcinfo, NewVersion *version)
{
	OutboxContractConfig *config = version->config;
	const char *publish = OutboxTextArg(fcinfo, 2);
	char *suffix = OutboxTextArg(fcinfo, 3);

	if (publish && strcmp(publish, "instead") != 0 && strcmp(publish, "beside") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown value \"%s\" for \"publish\"", publish),
				 errhint("Use 'instead' or 'beside', or leave it out.")));
	if (publish == NULL)
		publish = suffix == NULL && OutboxVersionIsCompatible(config, version->former) ? "instead" : "beside";
	version->publish = publish;
	if (strcmp(publish, "instead") == 0)
	{
		if (suffix)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a version that is published instead of another one has no suffix"),
					 errdetail("Its events go to the same topics."),
					 errhint("Leave the suffix out, or use publish => 'beside'.")));
		return;
	}
	config->line = config->version;
	config->suffix = suffix ? suffix : psprintf(".v%d", config->version);
	if (config->suffix[0] == '\0' || strspn(config->suffix, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != strlen(config->suffix))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid suffix \"%s\"", config->suffix),
				 errdetail("It makes the topics of this version differ from those of the others."),
				 errhint("Use letters, digits, dots, underscores and hyphens, for example '.v%d'.", config->version)));
}

static void
check_sunset(FunctionCallInfo fcinfo, NewVersion *version)
{
	TimestampTz sunset;

	if (PG_ARGISNULL(5))
		return;
	sunset = PG_GETARG_TIMESTAMPTZ(5);
	version->sunset = DatumGetCString(DirectFunctionCall1(timestamptz_out, TimestampTzGetDatum(sunset)));
	if (strcmp(version->publish, "instead") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a version that is published instead of another one takes no sunset"),
				 errdetail("The version before it ends when it begins."),
				 errhint("Leave the sunset out, or use publish => 'beside'.")));
	if (TIMESTAMP_NOT_FINITE(sunset) || sunset <= GetCurrentTimestamp())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the sunset is not in the future"),
				 errhint("It is when the versions before this one are going to be retired: say now() + interval '90 days'.")));
}

static void
insert_version(const NewVersion *version)
{
	const OutboxContractConfig *config = version->config;
	const char *args[] = {psprintf("%d", config->id), psprintf("%d", config->version), psprintf("%u", config->view), version->publish, config->suffix,
						  version->required, version->sunset, psprintf("%d", config->line), psprintf("%d", version->former->version),
						  config->state == OUTBOX_VERSION_DRAFT ? "draft" : "retired"};

	(void) OutboxExecute("INSERT INTO outbox_internal.contract_version (contract_id, version, view, state, publish, suffix, required, sunset, line)"
						 " SELECT contract_id, $2::int, $3::oid, $10, $4, $5, coalesce($6::text[], required), $7::timestamptz, $8::int"
						 " FROM outbox_internal.contract_version WHERE contract_id = $1::int AND version = $9::int",
						 lengthof(args), args);
}

/*
 * What the version before it has of its own. Of one whose place it takes, also topics, CloudEvents types, and the rules
 * that were given for that version alone.
 */
static void
inherit(const NewVersion *version)
{
	const OutboxContractConfig *config = version->config;
	const char *args[] = {psprintf("%d", config->id), psprintf("%d", version->former->version), psprintf("%d", config->version), version->publish};

	(void) OutboxExecute("INSERT INTO outbox_internal.event_type_version (event_type_id, version, condition, previous, topic, ce_type, omitted)"
						 " SELECT o.event_type_id, $3::int, o.condition, o.previous, CASE $4 WHEN 'instead' THEN o.topic END,"
						 " CASE $4 WHEN 'instead' THEN o.ce_type END, o.omitted FROM outbox_internal.event_type_version o"
						 " JOIN outbox_internal.event_type e ON e.id = o.event_type_id WHERE e.contract_id = $1::int AND o.version = $2::int",
						 lengthof(args), args);
	(void) OutboxExecute("UPDATE outbox_internal.check_rule SET versions = versions || $3::int WHERE $2::int = ANY (versions) AND $4 = 'instead'"
						 " AND event_type_id IN (SELECT id FROM outbox_internal.event_type WHERE contract_id = $1::int)",
						 lengthof(args), args);
}

/* The version that an argument names; raises when it is not there. */
static OutboxContractConfig *
version_arg(FunctionCallInfo fcinfo, int arg, const OutboxContractConfig *config)
{
	OutboxRequireArg(fcinfo, arg, "version");
	return OutboxContractVersionGet(config, PG_GETARG_INT32(arg));
}

/* Raises before the sunset of a version, and while a sink has not acknowledged all of its events. */
static void
check_not_sent(const OutboxContractConfig *config)
{
	const char *args[] = {psprintf("%d", config->id), psprintf("%d", config->version)};
	char *sunset = OutboxExecute("SELECT sunset FROM outbox_internal.contract_version WHERE contract_id = $1::int AND version = $2::int"
								 " AND sunset > clock_timestamp()",
								 lengthof(args), args);
	char *sink;

	if (sunset)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the sunset of version %d of contract \"%s\" is %s", config->version, config->name, sunset),
				 errdetail("Its consumers were told so in the header ce_sunset."),
				 errhint("Wait until then; or retire it all the same: SELECT outbox.retire_version(%s, %d, force => true);", quote_literal_cstr(config->name), config->version)));
	sink = OutboxExecute("SELECT outbox_internal.version_waits(name, $2::int) FROM outbox_internal.contract WHERE id = $1::int", lengthof(args), args);
	if (sink)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("sink \"%s\" has not got all events of version %d of contract \"%s\" yet", sink, config->version, config->name),
				 errhint("Wait until it has; or retire the version all the same: SELECT outbox.retire_version(%s, %d, force => true); the events are still published.",
						 quote_literal_cstr(config->name), config->version)));
}
