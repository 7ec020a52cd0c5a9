/*-------------------------------------------------------------------------
 *
 * event_type_config.c
 *	  The event types of a version of a contract -> plain structs.
 *
 * An event type belongs to the contract. A version may have a condition, previous
 * columns, a topic or a ce_type of its own for it, may lack some of its checks, or
 * may not have the event type at all.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"

#include "catalog/catalog_private.h"

enum
{
	Anum_event_type_id = 1,
	Anum_event_type_contract_id,
	Anum_event_type_name,
	Anum_event_type_emit,
	Anum_event_type_condition,
	Anum_event_type_previous,
	Anum_event_type_topic,
	Anum_event_type_ce_type,
	Anum_event_type_tombstone,
	Anum_event_type_created_at,
	Anum_event_type_headers,
	Anum_event_type_actor
};

enum
{
	Anum_own_event_type_id = 1,
	Anum_own_version,
	Anum_own_condition,
	Anum_own_previous,
	Anum_own_topic,
	Anum_own_ce_type,
	Anum_own_omitted
};

enum
{
	Anum_check_id = 1,
	Anum_check_event_type_id,
	Anum_check_name,
	Anum_check_expression,
	Anum_check_created_at,
	Anum_check_versions
};

enum
{
	Anum_schema_id = 1,
	Anum_schema_event_type_id,
	Anum_schema_contract,
	Anum_schema_event_type,
	Anum_schema_version,
	Anum_schema_topic,
	Anum_schema_ce_type,
	Anum_schema_previous,
	Anum_schema_schema
};

static const ConfigKey event_type_by_contract = {"event_type", "event_type_contract_id_idx", Anum_event_type_contract_id, F_INT4EQ};
static const ConfigKey own_by_event_type = {"event_type_version", "event_type_version_pkey", Anum_own_event_type_id, F_INT4EQ};
static const ConfigKey check_by_event_type = {"check_rule", "check_rule_pkey", Anum_check_event_type_id, F_INT4EQ};
static const ConfigKey schema_by_event_type = {"event_schema", "event_schema_event_type_id_version_key", Anum_schema_event_type_id, F_INT4EQ};

static void add_line(const OutboxContractConfig *config, OutboxEventTypeConfig *type);
static void load_own(OutboxEventTypeConfig *type, int32 version, Snapshot snapshot);
static void load_checks(OutboxEventTypeConfig *type, int32 version, Snapshot snapshot);
static bool check_applies(ConfigScan *scan, int32 version);
static void load_schema(OutboxEventTypeConfig *type, int32 version, Snapshot snapshot);
static OutboxEmit parse_emit(const char *text);
static OutboxTombstone parse_tombstone(const char *text);

static int
compare_event_type_id(const ListCell *a, const ListCell *b)
{
	int32 left = ((OutboxEventTypeConfig *) lfirst(a))->id;
	int32 right = ((OutboxEventTypeConfig *) lfirst(b))->id;

	return left < right ? -1 : left > right;
}

/* Reads the event types of one version of a contract. */
void
OutboxEventTypesLoad(OutboxContractConfig *config, Snapshot snapshot)
{
	ConfigScan scan;
	ListCell *lc;

	OutboxConfigScanBegin(&scan, &event_type_by_contract, Int32GetDatum(config->id), snapshot);
	while (OutboxConfigScanNext(&scan))
	{
		OutboxEventTypeConfig *type = palloc0(sizeof(OutboxEventTypeConfig));

		type->id = DatumGetInt32(OutboxConfigDatum(&scan, Anum_event_type_id));
		type->name = OutboxConfigText(&scan, Anum_event_type_name);
		type->emit = parse_emit(OutboxConfigText(&scan, Anum_event_type_emit));
		type->condition = OutboxConfigText(&scan, Anum_event_type_condition);
		type->previous = OutboxConfigNames(&scan, Anum_event_type_previous);
		type->topic = OutboxConfigText(&scan, Anum_event_type_topic);
		type->ce_type = OutboxConfigText(&scan, Anum_event_type_ce_type);
		type->own_topic = type->topic;
		type->own_ce_type = type->ce_type;
		type->tombstone = parse_tombstone(OutboxConfigText(&scan, Anum_event_type_tombstone));
		type->headers = OutboxConfigNames(&scan, Anum_event_type_headers);
		type->actor = OutboxConfigBool(&scan, Anum_event_type_actor);
		config->event_types = lappend(config->event_types, type);
	}
	OutboxConfigScanEnd(&scan);
	list_sort(config->event_types, compare_event_type_id);
	foreach (lc, config->event_types)
	{
		add_line(config, lfirst(lc));
		load_own(lfirst(lc), config->version, snapshot);
		load_schema(lfirst(lc), config->version, snapshot);
		load_checks(lfirst(lc), config->version, snapshot);
	}
}

/* A line that is published beside another one has topics and CloudEvents types of its own. */
static void
add_line(const OutboxContractConfig *config, OutboxEventTypeConfig *type)
{
	if (config->suffix)
		type->topic = psprintf("%s%s", type->topic, config->suffix);
	if (config->line > 1)
		type->ce_type = psprintf("%s.v%d", type->ce_type, config->line);
}

/* What the version has of its own for the event type. */
static void
load_own(OutboxEventTypeConfig *type, int32 version, Snapshot snapshot)
{
	ConfigScan scan;

	/* an earlier state of the SQL objects does not have it */
	if (!OutboxHasTable(own_by_event_type.table))
		return;
	OutboxConfigScanBegin(&scan, &own_by_event_type, Int32GetDatum(type->id), snapshot);
	while (OutboxConfigScanNext(&scan))
	{
		char *text;

		if (DatumGetInt32(OutboxConfigDatum(&scan, Anum_own_version)) != version)
			continue;
		if ((text = OutboxConfigText(&scan, Anum_own_condition)) != NULL)
			type->condition = text;
		if (!OutboxConfigIsNull(&scan, Anum_own_previous))
			type->previous = OutboxConfigNames(&scan, Anum_own_previous);
		if ((text = OutboxConfigText(&scan, Anum_own_topic)) != NULL)
			type->topic = text;
		if ((text = OutboxConfigText(&scan, Anum_own_ce_type)) != NULL)
			type->ce_type = text;
		type->omitted = DatumGetBool(OutboxConfigDatum(&scan, Anum_own_omitted));
	}
	OutboxConfigScanEnd(&scan);
}

static int
compare_check_id(const ListCell *a, const ListCell *b)
{
	int32 left = ((OutboxCheckConfig *) lfirst(a))->id;
	int32 right = ((OutboxCheckConfig *) lfirst(b))->id;

	return left < right ? -1 : left > right;
}

static void
load_checks(OutboxEventTypeConfig *type, int32 version, Snapshot snapshot)
{
	ConfigScan scan;

	OutboxConfigScanBegin(&scan, &check_by_event_type, Int32GetDatum(type->id), snapshot);
	while (OutboxConfigScanNext(&scan))
	{
		OutboxCheckConfig *check;

		if (!check_applies(&scan, version))
			continue;
		check = palloc0(sizeof(OutboxCheckConfig));
		check->id = DatumGetInt32(OutboxConfigDatum(&scan, Anum_check_id));
		check->name = OutboxConfigText(&scan, Anum_check_name);
		check->expression = OutboxConfigText(&scan, Anum_check_expression);
		type->checks = lappend(type->checks, check);
	}
	OutboxConfigScanEnd(&scan);
	list_sort(type->checks, compare_check_id);
}

/* Is the check at hand one of this version? */
static bool
check_applies(ConfigScan *scan, int32 version)
{
	Datum *versions;
	int nversions;

	if (OutboxConfigIsNull(scan, Anum_check_versions))
		return true;
	deconstruct_array(DatumGetArrayTypeP(OutboxConfigDatum(scan, Anum_check_versions)), INT4OID, sizeof(int32), true,
					  TYPALIGN_INT, &versions, NULL, &nversions);
	for (int i = 0; i < nversions; i++)
	{
		if (DatumGetInt32(versions[i]) == version)
			return true;
	}
	return false;
}

static void
load_schema(OutboxEventTypeConfig *type, int32 version, Snapshot snapshot)
{
	ConfigScan scan;

	OutboxConfigScanBegin(&scan, &schema_by_event_type, Int32GetDatum(type->id), snapshot);
	while (OutboxConfigScanNext(&scan))
	{
		if (DatumGetInt32(OutboxConfigDatum(&scan, Anum_schema_version)) != version)
			continue;
		type->schema_id = DatumGetInt32(OutboxConfigDatum(&scan, Anum_schema_id));
		type->schema_text = OutboxConfigText(&scan, Anum_schema_schema);
	}
	OutboxConfigScanEnd(&scan);
}

static OutboxEmit
parse_emit(const char *text)
{
	for (OutboxEmit emit = OUTBOX_EMIT_CREATED; emit <= OUTBOX_EMIT_ALWAYS; emit++)
	{
		if (strcmp(text, OutboxEmitName(emit)) == 0)
			return emit;
	}
	elog(ERROR, "unknown emit \"%s\"", text);
}

static OutboxTombstone
parse_tombstone(const char *text)
{
	for (OutboxTombstone tombstone = OUTBOX_TOMBSTONE_NONE; tombstone <= OUTBOX_TOMBSTONE_INSTEAD; tombstone++)
	{
		if (strcmp(text, OutboxTombstoneName(tombstone)) == 0)
			return tombstone;
	}
	return OUTBOX_TOMBSTONE_NONE;
}
