/*-------------------------------------------------------------------------
 *
 * enable_sql.c
 *	  outbox.enable() and outbox.disable().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "catalog/outbox_catalog.h"
#include "contract/api/api_private.h"
#include "contract/codes/codes.h"
#include "contract/compile/compile.h"
#include "contract/keys/keys.h"
#include "contract/prove/prove.h"
#include "contract/view/view.h"

PG_FUNCTION_INFO_V1(outbox_enable);
PG_FUNCTION_INFO_V1(outbox_disable);

static void resolve_unseen(const OutboxContractConfig *config);
static void set_enabled(const OutboxContractConfig *config, bool enabled);
static void check_version(const OutboxContractConfig *config);
static void check_relations(const OutboxContractConfig *config);
static void check_code_maps(const OutboxContractConfig *config);
static void report_missing(const OutboxContractConfig *config, const char *what);

/*
 * enable(contract): pins the schemas of event types that have none, creates the
 * triggers on the sources, and switches capture on at commit.
 */
Datum
outbox_enable(PG_FUNCTION_ARGS)
{
	OutboxContractConfig *config = OutboxContractArg(fcinfo, 0, "contract");
	OutboxContractConfig *draft = OutboxContractDraft(config);
	bool joins = draft && OutboxContractLine(config, draft->line) == NULL && draft != config;
	ListCell *lc;

	foreach (lc, config->versions)
		check_version(lfirst(lc));
	if (draft && draft != config)
	{
		OutboxPublishDraft(draft);
		config = OutboxContractGet(config->name);
	}
	foreach (lc, config->versions)
		OutboxPinVersion(lfirst(lc));
	config = OutboxContractGet(config->name);
	OutboxKeyViewsFollowOwner(config);

	/* the whole contract must compile as capture will compile it */
	foreach (lc, config->versions)
		OutboxFreeContract(OutboxCompileContract(lfirst(lc), config->root, false));
	foreach (lc, config->at_commit ? config->sources : NIL)
		(void) OutboxCompileTouch(config, ((OutboxSourceConfig *) lfirst(lc))->relation);
	if (joins)
		OutboxCreateTriggersAlone(config);
	else
		OutboxCreateTriggersToProve(config);
	/* DDL below a disabled contract is not watched, so the proof may have gone, and the view may give other schemas */
	foreach (lc, config->versions)
	{
		OutboxCheckFills(lfirst(lc));
		OutboxCheckReads(lfirst(lc));
		OutboxProveContractKey(lfirst(lc));
	}
	resolve_unseen(config);
	OutboxNoteDerivedKey(config);
	set_enabled(config, true);
	PG_RETURN_VOID();
}

/* disable(contract): switches capture off at commit. Takes no lock on the source. */
Datum
outbox_disable(PG_FUNCTION_ARGS)
{
	OutboxContractConfig *config = OutboxContractArg(fcinfo, 0, "contract");

	if (get_rel_relkind(config->view) != '\0' && get_rel_relkind(config->root) != '\0')
		OutboxCheckContractRights(config->view, config->root);
	set_enabled(config, false);
	PG_RETURN_VOID();
}

/* Resolves the gaps of DDL after which nobody could look at the key: now it is proven. */
static void
resolve_unseen(const OutboxContractConfig *config)
{
	const char *args[] = {config->name};

	(void) OutboxExecute("UPDATE outbox_internal.gap SET resolved_at = clock_timestamp(), resolution = 'enable() has proven the key'"
						 " WHERE contract = $1 AND reason = 'unseen' AND resolved_at IS NULL",
						 lengthof(args), args);
}

static void
set_enabled(const OutboxContractConfig *config, bool enabled)
{
	const char *args[] = {psprintf("%d", config->id), enabled ? "true" : "false"};

	(void) OutboxExecute("UPDATE outbox_internal.contract SET enabled = $2::bool WHERE id = $1::int AND enabled <> $2::bool",
						 lengthof(args), args);
}

/* Raises when a version misses anything that it reads, or the caller the rights. */
static void
check_version(const OutboxContractConfig *config)
{
	ListCell *lc;

	check_relations(config);
	check_code_maps(config);
	foreach (lc, config->sources)
		OutboxCheckContractRights(config->view, ((OutboxSourceConfig *) lfirst(lc))->relation);
}

static void
check_relations(const OutboxContractConfig *config)
{
	ListCell *lc;

	if (config->detached)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("contract \"%s\" is detached", config->name),
				 errhint("SELECT outbox.reattach(source) creates its views again; outbox.detached_view names the source.")));
	if (get_rel_relkind(config->view) == '\0')
		report_missing(config, "view");
	foreach (lc, config->sources)
	{
		if (get_rel_relkind(((OutboxSourceConfig *) lfirst(lc))->relation) == '\0')
			report_missing(config, "source");
	}
}

static void
check_code_maps(const OutboxContractConfig *config)
{
	StringInfoData names;
	StringInfoData remedies;
	ListCell *lc;

	initStringInfo(&names);
	initStringInfo(&remedies);
	foreach (lc, OutboxMissingMaps(config))
	{
		appendStringInfo(&names, "%s\"%s\"", names.len ? ", " : "", (char *) lfirst(lc));
		appendStringInfo(&remedies, "%sSELECT outbox.create_code_map(%s, '{\"code\": \"word\"}');", remedies.len ? " " : "",
						 quote_literal_cstr(lfirst(lc)));
	}
	if (names.len)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("contract \"%s\" names code maps that do not exist: %s", config->name, names.data),
				 errdetail("outbox.decode() would make NULL of every code that its map does not have."),
				 errhint("%s Give a word for each code; SELECT * FROM outbox.validate(%s); lists the codes that are missing.", remedies.data, quote_literal_cstr(config->name))));
}

static void
report_missing(const OutboxContractConfig *config, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("the %s of contract \"%s\" does not exist any more", what, config->name),
			 errhint("Drop the contract and create it again in one transaction.")));
}
