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
#include "utils/timestamp.h"

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
	Anum_version_owner_id,
	Anum_version_publish,
	Anum_version_suffix,
	Anum_version_required,
	Anum_version_sunset,
	Anum_version_activated_at,
	Anum_version_retired_at,
	Anum_version_line
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

static const ConfigKey contract_by_name = {"contract", "contract_name_key", Anum_contract_name, F_TEXTEQ};
static const ConfigKey version_by_contract = {"contract_version", "contract_version_pkey", Anum_version_contract_id, F_INT4EQ};
static const ConfigKey source_by_contract = {"source", "source_pkey", Anum_source_contract_id, F_INT4EQ};

static List *load_versions(const OutboxContractConfig *contract, Snapshot snapshot);
static int compare_versions(const ListCell *a, const ListCell *b);
static char *rfc3339(TimestampTz time);
static void load_sources(OutboxContractConfig *config, Snapshot snapshot);

/*
 * Reads a contract's configuration with a fresh snapshot: a REPEATABLE READ
 * writer whose snapshot is older than the contract must still see it. The
 * configuration is that of the first active version, or of the draft if there is
 * no other. NULL when there is none. Allocates in CurrentMemoryContext; no SPI.
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
		config->key = OutboxConfigNames(&scan, Anum_contract_key);
		config->aggregate_id = OutboxConfigNames(&scan, Anum_contract_aggregate_id);
		config->required = OutboxConfigNames(&scan, Anum_contract_required);
		config->name_space = config->ce_space = OutboxConfigText(&scan, Anum_contract_namespace);
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
		ListCell *lc;

		load_sources(config, snapshot);
		config->versions = load_versions(config, snapshot);
		foreach (lc, config->versions)
		{
			((OutboxContractConfig *) lfirst(lc))->versions = config->versions;
			OutboxEventTypesLoad(lfirst(lc), snapshot);
		}
		config = linitial(config->versions);
	}
	UnregisterSnapshot(snapshot);
	return config;
}

/* The versions that are not retired: the active ones in the order of their lines, then a draft. Never empty. */
static List *
load_versions(const OutboxContractConfig *contract, Snapshot snapshot)
{
	List *versions = NIL;
	ConfigScan scan;

	OutboxConfigScanBegin(&scan, &version_by_contract, Int32GetDatum(contract->id), snapshot);
	while (OutboxConfigScanNext(&scan))
	{
		char *state = OutboxConfigText(&scan, Anum_version_state);
		OutboxContractConfig *config;
		bool isnull;
		Datum sunset;

		if (strcmp(state, "retired") == 0)
			continue;
		config = palloc(sizeof(OutboxContractConfig));
		*config = *contract;
		config->version = DatumGetInt32(OutboxConfigDatum(&scan, Anum_version_version));
		config->state = strcmp(state, "active") == 0 ? OUTBOX_VERSION_ACTIVE : OUTBOX_VERSION_DRAFT;
		config->line = OutboxConfigInt(&scan, Anum_version_line, 1);
		config->view = DatumGetObjectId(OutboxConfigDatum(&scan, Anum_version_view));
		config->detached = OutboxConfigText(&scan, Anum_version_detached_view) != NULL;
		config->owner = OutboxConfigText(&scan, Anum_version_owner);
		config->owner_id = OutboxConfigText(&scan, Anum_version_owner_id);
		config->suffix = OutboxConfigText(&scan, Anum_version_suffix);
		sunset = OutboxConfigNullable(&scan, Anum_version_sunset, &isnull);
		config->sunset = isnull ? NULL : rfc3339(DatumGetTimestampTz(sunset));
		if (OutboxConfigNames(&scan, Anum_version_required) != NIL)
			config->required = OutboxConfigNames(&scan, Anum_version_required);
		if (config->line > 1)
			config->name_space = psprintf("%s.v%d", contract->name_space, config->line);
		versions = lappend(versions, config);
	}
	OutboxConfigScanEnd(&scan);
	/* a restore brings the versions after the contract */
	if (versions == NIL)
	{
		OutboxContractConfig *none = palloc(sizeof(OutboxContractConfig));

		*none = *contract;
		return list_make1(none);
	}
	list_sort(versions, compare_versions);
	return versions;
}

static int
compare_versions(const ListCell *a, const ListCell *b)
{
	const OutboxContractConfig *left = lfirst(a);
	const OutboxContractConfig *right = lfirst(b);

	if (left->state != right->state)
		return left->state == OUTBOX_VERSION_DRAFT ? 1 : -1;
	return left->line < right->line ? -1 : left->line > right->line;
}

/* The moment in UTC, to the second, as RFC 3339 has it. */
static char *
rfc3339(TimestampTz time)
{
	struct pg_tm tm;
	fsec_t fraction;
	int zone;

	if (TIMESTAMP_NOT_FINITE(time) || timestamp2tm(time, &zone, &tm, &fraction, NULL, pg_tzset("GMT")) != 0)
		return NULL;
	return psprintf("%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year, tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
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
		config->root_key = OutboxConfigNames(&scan, Anum_source_key_columns);
	}
	OutboxConfigScanEnd(&scan);
}
