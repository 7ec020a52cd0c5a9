/*-------------------------------------------------------------------------
 *
 * contract_config.c
 *	  Configuration rows of a contract -> plain structs.
 *
 * Runs in the capture path (when a contract is compiled), so it uses index
 * scans on our own tables and no SPI, and a snapshot taken now.
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
	Anum_contract_id = 1,
	Anum_contract_name,
	Anum_contract_aggregate_type,
	Anum_contract_key,
	Anum_contract_aggregate_id,
	Anum_contract_required,
	Anum_contract_namespace,
	Anum_contract_evaluate,
	Anum_contract_on_invalid,
	Anum_contract_enabled,
	Anum_contract_created_at,
	Anum_contract_on_truncate,
	Anum_contract_derived_key,
	Anum_contract_compatibility
};

enum
{
	Anum_version_contract_id = 1,
	Anum_version_version,
	Anum_version_view,
	Anum_version_state,
	Anum_version_created_at,
	Anum_version_detached_view,
	Anum_version_owner,
	Anum_version_owner_id
};

enum
{
	Anum_source_contract_id = 1,
	Anum_source_relation,
	Anum_source_role,
	Anum_source_key_columns,
	Anum_source_key_view,
	Anum_source_max_fanout
};

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
	Anum_check_id = 1,
	Anum_check_event_type_id,
	Anum_check_name,
	Anum_check_expression
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

static const ConfigKey contract_by_name = {"contract", "contract_name_key", Anum_contract_name, F_TEXTEQ};
static const ConfigKey version_by_contract = {"contract_version", "contract_version_pkey", Anum_version_contract_id, F_INT4EQ};
static const ConfigKey source_by_contract = {"source", "source_pkey", Anum_source_contract_id, F_INT4EQ};
static const ConfigKey event_type_by_contract = {"event_type", "event_type_contract_id_idx", Anum_event_type_contract_id, F_INT4EQ};
static const ConfigKey check_by_event_type = {"check_rule", "check_rule_pkey", Anum_check_event_type_id, F_INT4EQ};
static const ConfigKey schema_by_event_type = {"event_schema", "event_schema_event_type_id_version_key", Anum_schema_event_type_id, F_INT4EQ};

static List *get_names(ConfigScan *scan, AttrNumber column);
static void load_version(OutboxContractConfig *config, Snapshot snapshot);
static void load_sources(OutboxContractConfig *config, Snapshot snapshot);
static void load_event_types(OutboxContractConfig *config, Snapshot snapshot);
static void load_checks(OutboxEventTypeConfig *type, Snapshot snapshot);
static void load_schema(OutboxEventTypeConfig *type, int32 version, Snapshot snapshot);
static OutboxEmit parse_emit(const char *text);
static OutboxTombstone parse_tombstone(const char *text);

/*
 * Reads a contract's configuration with a fresh snapshot: a REPEATABLE READ
 * writer whose snapshot is older than the contract must still see it.
 * NULL when there is none. Allocates in CurrentMemoryContext; no SPI.
 */
OutboxContractConfig *
OutboxContractLoad(const char *name)
{
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	OutboxContractConfig *config = NULL;
	ConfigScan scan;
	char *on_truncate;

	OutboxConfigScanBegin(&scan, &contract_by_name, CStringGetTextDatum(name), snapshot);
	if (OutboxConfigScanNext(&scan))
	{
		config = palloc0(sizeof(OutboxContractConfig));
		config->id = DatumGetInt32(OutboxConfigDatum(&scan, Anum_contract_id));
		config->name = OutboxConfigText(&scan, Anum_contract_name);
		config->aggregate_type = OutboxConfigText(&scan, Anum_contract_aggregate_type);
		config->key = get_names(&scan, Anum_contract_key);
		config->aggregate_id = get_names(&scan, Anum_contract_aggregate_id);
		config->required = get_names(&scan, Anum_contract_required);
		config->name_space = OutboxConfigText(&scan, Anum_contract_namespace);
		config->at_commit = strcmp(OutboxConfigText(&scan, Anum_contract_evaluate), "commit") == 0;
		config->abort_on_invalid = strcmp(OutboxConfigText(&scan, Anum_contract_on_invalid), "abort") == 0;
		on_truncate = OutboxConfigText(&scan, Anum_contract_on_truncate);
		config->reject_truncate = on_truncate && strcmp(on_truncate, "reject") == 0;
		config->compatibility = OutboxConfigText(&scan, Anum_contract_compatibility);
		config->enabled = DatumGetBool(OutboxConfigDatum(&scan, Anum_contract_enabled));
		config->restoring = config->id > OutboxSequenceLast(OutboxRelationOid("contract_id_seq"));
	}
	OutboxConfigScanEnd(&scan);
	if (config)
	{
		load_version(config, snapshot);
		load_sources(config, snapshot);
		load_event_types(config, snapshot);
	}
	UnregisterSnapshot(snapshot);
	return config;
}

static List *
get_names(ConfigScan *scan, AttrNumber column)
{
	return OutboxNameList(OutboxConfigDatum(scan, column), "names");
}

/* The newest version that is not retired. */
static void
load_version(OutboxContractConfig *config, Snapshot snapshot)
{
	ConfigScan scan;

	OutboxConfigScanBegin(&scan, &version_by_contract, Int32GetDatum(config->id), snapshot);
	while (OutboxConfigScanNext(&scan))
	{
		int32 version = DatumGetInt32(OutboxConfigDatum(&scan, Anum_version_version));

		if (version > config->version)
		{
			config->version = version;
			config->view = DatumGetObjectId(OutboxConfigDatum(&scan, Anum_version_view));
			config->detached = OutboxConfigText(&scan, Anum_version_detached_view) != NULL;
			config->owner = OutboxConfigText(&scan, Anum_version_owner);
			config->owner_id = OutboxConfigText(&scan, Anum_version_owner_id);
		}
	}
	OutboxConfigScanEnd(&scan);
}

static void
load_sources(OutboxContractConfig *config, Snapshot snapshot)
{
	ConfigScan scan;

	OutboxConfigScanBegin(&scan, &source_by_contract, Int32GetDatum(config->id), snapshot);
	while (OutboxConfigScanNext(&scan))
	{
		OutboxSourceConfig *source = palloc0(sizeof(OutboxSourceConfig));

		source->relation = DatumGetObjectId(OutboxConfigDatum(&scan, Anum_source_relation));
		source->is_root = strcmp(OutboxConfigText(&scan, Anum_source_role), "root") == 0;
		source->key_view = OutboxConfigOid(&scan, Anum_source_key_view);
		source->max_fanout = DatumGetInt32(OutboxConfigDatum(&scan, Anum_source_max_fanout));
		if (!source->is_root)
		{
			config->sources = lappend(config->sources, source);
			continue;
		}
		config->sources = lcons(source, config->sources);
		config->root = source->relation;
		config->root_key = get_names(&scan, Anum_source_key_columns);
	}
	OutboxConfigScanEnd(&scan);
}

static int
compare_event_type_id(const ListCell *a, const ListCell *b)
{
	int32 left = ((OutboxEventTypeConfig *) lfirst(a))->id;
	int32 right = ((OutboxEventTypeConfig *) lfirst(b))->id;

	return left < right ? -1 : left > right;
}

static void
load_event_types(OutboxContractConfig *config, Snapshot snapshot)
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
		type->previous = get_names(&scan, Anum_event_type_previous);
		type->topic = OutboxConfigText(&scan, Anum_event_type_topic);
		type->ce_type = OutboxConfigText(&scan, Anum_event_type_ce_type);
		type->tombstone = parse_tombstone(OutboxConfigText(&scan, Anum_event_type_tombstone));
		type->headers = OutboxConfigNames(&scan, Anum_event_type_headers);
		type->actor = OutboxConfigBool(&scan, Anum_event_type_actor);
		config->event_types = lappend(config->event_types, type);
	}
	OutboxConfigScanEnd(&scan);
	list_sort(config->event_types, compare_event_type_id);
	foreach (lc, config->event_types)
	{
		load_schema(lfirst(lc), config->version, snapshot);
		load_checks(lfirst(lc), snapshot);
	}
}

static int
compare_check_id(const ListCell *a, const ListCell *b)
{
	int32 left = ((OutboxCheckConfig *) lfirst(a))->id;
	int32 right = ((OutboxCheckConfig *) lfirst(b))->id;

	return left < right ? -1 : left > right;
}

static void
load_checks(OutboxEventTypeConfig *type, Snapshot snapshot)
{
	ConfigScan scan;

	OutboxConfigScanBegin(&scan, &check_by_event_type, Int32GetDatum(type->id), snapshot);
	while (OutboxConfigScanNext(&scan))
	{
		OutboxCheckConfig *check = palloc0(sizeof(OutboxCheckConfig));

		check->id = DatumGetInt32(OutboxConfigDatum(&scan, Anum_check_id));
		check->name = OutboxConfigText(&scan, Anum_check_name);
		check->expression = OutboxConfigText(&scan, Anum_check_expression);
		type->checks = lappend(type->checks, check);
	}
	OutboxConfigScanEnd(&scan);
	list_sort(type->checks, compare_check_id);
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
