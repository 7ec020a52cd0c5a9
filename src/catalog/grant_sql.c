/*-------------------------------------------------------------------------
 *
 * grant_sql.c
 *	  outbox.grant_access(): what a role may do, by level.
 *
 * Nothing of ours is granted to anybody when the extension is created.  The
 * levels say once which functions and views belong together; each includes the
 * one before it.  A view's tables are read with the rights of its owner, but
 * its functions are called by the reader, so a reader gets both.
 *
 * Functions are listed by signature and granted if they are there: the library
 * may serve SQL objects of a neighbouring version.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "catalog/catalog_private.h"
#include "util/util.h"

typedef struct AccessLevel
{
	const char *name;
	const char *const *relations; /* to SELECT from */
	int nrelations;
	const char *const *functions; /* to EXECUTE */
	int nfunctions;
} AccessLevel;

static const char *const reader_relations[] = {
	"outbox.status",
	"outbox.contract_cost",
	"outbox.event_json",
	"outbox.dead_letter",
	"outbox.gap", /* status names it in an advice */
	"outbox.ddl_check_log",
	"outbox.contracts",
	"outbox.contract_versions",
	"outbox.event_types",
	"outbox.event_schemas",
	"outbox.source", /* these are named in hints */
	"outbox.code_map",
	"outbox.detached_view",
	"outbox.sinks",
	"outbox.replays",
	"outbox.relay_status",
	"outbox.writers",
	"outbox.metrics",
	"outbox.leaf_status",
	"outbox.leaf_sink",
	"outbox.held_events",
	"outbox.catalog",
	"outbox.catalog_field",
};

/* What these views call, and what compares texts. */
static const char *const reader_functions[] = {
	"outbox_internal.preloaded()",
	"outbox_internal.library_version()",
	"outbox_internal.relay_report()",
	"outbox_internal.contract_counters()",
	"outbox.commit_queue()",
	"outbox_internal.counters()",
	"outbox_internal.decode_payload(int, bytea)",
	"outbox_internal.snapshot_covers(pg_snapshot, pg_snapshot)",
	"outbox_internal.leaf_bytes(regclass)",
	"outbox_internal.key_query_text(regclass)",
	"outbox_internal.oldest_pending(int)",
	"outbox.check_schemas(text, text)",
	"outbox.export_config(text)",
	"outbox.tx_id()",
	"outbox.tx_status(xid8, text)",
	"outbox.wait_acked(xid8, text, interval)",
	"outbox.event_status(uuid, text)",
	"outbox_internal.schema_fields(text)",
	"outbox_internal.view_fields(regclass)",
	"outbox_internal.view_path(text, text[])",
	"outbox.json_schema(text, int)",
	"outbox.asyncapi(jsonb)",
	"outbox.catalog_markdown()",
	"outbox.odcs(text)",
};

static const char *const operator_functions[] = {
	"outbox.start_relay(text)",
	"outbox.stop_relay(text)",
	"outbox.pause(text)",
	"outbox.resume(text)",
	"outbox.redrive(bigint, text, int)",
	"outbox.discard(bigint, text)",
	"outbox.discard_held(text, text, text, text)",
	"outbox.resolve_gap(bigint, text)",
	"outbox.replay(text, timestamptz, timestamptz, text, text, text, bigint, bigint, text, int, boolean)",
	"outbox.cancel_replay(bigint)",
	"outbox.forget_schema_ids(text)",
	"outbox.registry_diff(text)",
};

static const char *const admin_functions[] = {
	"outbox.create_contract(text, text, text, text[], text[], text, text[], text, text, text, text, boolean)",
	"outbox.drop_contract(text)",
	"outbox.add_source(text, text, text, int, boolean)",
	"outbox.create_event_type(text, text, text, text, text[], text, text, text, int[], text[], boolean, boolean)",
	"outbox.add_version(text, text, text, text, text[], timestamptz)",
	"outbox.drop_version(text, int)",
	"outbox.retire_version(text, int, boolean)",
	"outbox.drop_event_type(text)",
	"outbox.add_check(text, text, text, int[], boolean)",
	"outbox.drop_check(text, text)",
	"outbox.create_code_map(text, jsonb, boolean)",
	"outbox.drop_code_map(text)",
	"outbox.enable(text)",
	"outbox.disable(text)",
	"outbox.flush()",
	"outbox.detach(text)",
	"outbox.reattach(text)",
	"outbox.preview(text, text, int, int)",
	"outbox.validate(text, int)",
	"outbox.avro_schema(text, int)",
	"outbox.alter_contract(text, text[], text, text, text, int, text)",
	"outbox.alter_event_type(text, int, text, text[], text, text, text[], boolean)",
	"outbox.check_compatibility(text, text, text)",
	"outbox.forget_schema_history(text, text)",
	"outbox.create_sink(text, text, jsonb, text, text, boolean)",
	"outbox.drop_sink(text)",
	"outbox.annotate(text, jsonb)",
	"outbox.legacy_view(text, int, text)",
	"outbox.tap_result(boolean, text, text)",
	"outbox.tap_event(text, jsonb, jsonb)",
	"outbox.tap_no_event(text, jsonb)",
	"outbox.tap_events(text, text[])",
	"outbox.tap_dead_letter(text, jsonb, text, text)",
	"outbox.tap_schema(text, int, bigint)",
	"outbox.tap_compatible(text)",
	"outbox.tap_preview_clean(text)",
	"outbox.tap_codes_known(text)",
	"outbox.tap_covers(regclass, text[])",
	"outbox.push_level(text)",
};

static const AccessLevel levels[] = {
	{"reader", reader_relations, lengthof(reader_relations), reader_functions, lengthof(reader_functions)},
	{"operator", NULL, 0, operator_functions, lengthof(operator_functions)},
	{"admin", NULL, 0, admin_functions, lengthof(admin_functions)},
};

PG_FUNCTION_INFO_V1(outbox_grant_access);

static int find_level(const char *name);
static void check_rights(void);
static void grant_level(const AccessLevel *level, const char *role);
static char *existing_functions(const AccessLevel *level);

/*
 * grant_access(role text, level text): level is reader, operator or admin.
 * Raises null_value_not_allowed, invalid_parameter_value, undefined_object,
 * insufficient_privilege.
 */
Datum
outbox_grant_access(PG_FUNCTION_ARGS)
{
	OutboxOwnerScope scope;
	char *role;
	int level;

	OutboxRequireVersion();
	role = OutboxRequiredTextArg(fcinfo, 0, "role");
	level = find_level(OutboxRequiredTextArg(fcinfo, 1, "level"));
	if (!OidIsValid(get_role_oid(role, true)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role \"%s\" does not exist", role),
				 errhint("Create it first: CREATE ROLE %s;", quote_identifier(role))));
	check_rights();

	OutboxOwnerBegin(&scope);
	SPI_connect();
	for (int i = 0; i <= level; i++)
		grant_level(&levels[i], role);
	SPI_finish();
	OutboxOwnerEnd(&scope);
	PG_RETURN_VOID();
}

static int
find_level(const char *name)
{
	for (int i = 0; i < lengthof(levels); i++)
	{
		if (strcmp(levels[i].name, name) == 0)
			return i;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown level of access: \"%s\"", name),
			 errdetail("A reader sees status, events and dead letters; an operator also starts, stops and redrives; an admin also creates and drops."),
			 errhint("Use \"reader\", \"operator\" or \"admin\".")));
}

/* A caller with the rights of the extension's owner could grant all this himself; others may not. */
static void
check_rights(void)
{
	Oid owner = OutboxOwner();

	if (has_privs_of_role(GetUserId(), owner))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to grant access to outbox_ext"),
			 errdetail("Only the extension's owner and superusers may."),
			 errhint("Ask role \"%s\".", GetUserNameFromId(owner, false))));
}

/* Within SPI, as the extension's owner. */
static void
grant_level(const AccessLevel *level, const char *role)
{
	const char *quoted = quote_identifier(role);
	char *functions = existing_functions(level);

	for (int i = 0; i < level->nrelations; i++)
		(void) OutboxRun(psprintf("GRANT SELECT ON %s TO %s", level->relations[i], quoted), OUTBOX_NO_ARGS);
	if (functions != NULL)
		(void) OutboxRun(psprintf("GRANT EXECUTE ON FUNCTION %s TO %s", functions, quoted), OUTBOX_NO_ARGS);
}

/* The level's functions that exist, separated by commas; NULL for none. */
static char *
existing_functions(const AccessLevel *level)
{
	Datum *signatures = palloc(sizeof(Datum) * level->nfunctions);
	ArrayType *array;
	OutboxRows rows;

	for (int i = 0; i < level->nfunctions; i++)
		signatures[i] = CStringGetTextDatum(level->functions[i]);
	array = construct_array(signatures, level->nfunctions, TEXTOID, -1, false, TYPALIGN_INT);
	rows = OutboxSelect("SELECT string_agg(f, ', ') FROM unnest($1) f WHERE to_regprocedure(f) IS NOT NULL",
						OUTBOX_ARGS(OUTBOX_DATUM(TEXTARRAYOID, PointerGetDatum(array))));
	return OutboxRowText(&rows, 0, 1);
}
