/*-------------------------------------------------------------------------
 *
 * settings.c
 *	  The settings under which contracts are evaluated, whatever the session
 *	  has set.
 *
 * Events must not depend on the writer's session: every setting that changes a value
 * is pinned. Most sessions have most of our values already. So each setting is
 * compared first, in the form in which the server keeps it; setting one costs a
 * hundred times as much.
 *
 * Some settings differ in almost every session and are expensive to set, because
 * the server checks the value. These are changed as variables, with the function
 * that the server calls for a new value. That is safe only if a nest level of
 * settings is opened before any code runs: the server takes the value of a variable
 * for its own, and frees it unless it was saved. The nest level is rolled back
 * first, so that changes by the code end with our value. Then the former value is
 * put back. A parallel worker would not get our values, so there are none.
 *
 * test/sql/evaluation_settings.sql says why every other setting is harmless.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "tsearch/ts_cache.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "compat.h"
#include "contract/environment/environment_private.h"

/* As pg_locale.h has them, which does not compile without the headers of ICU. */
extern PGDLLIMPORT char *locale_monetary;
extern PGDLLIMPORT char *locale_numeric;
extern PGDLLIMPORT char *locale_time;
extern void assign_locale_monetary(const char *newval, void *extra);
extern void assign_locale_numeric(const char *newval, void *extra);
extern void assign_locale_time(const char *newval, void *extra);

typedef struct PinnedSetting
{
	const char *name;
	const char *value;
	OutboxTraits traits; /* it is pinned for code with one of these */

	/* looked up at the first use; a server of another version may not have the setting */
	bool looked_up;
	struct config_generic *record;
	bool learned; /* the members below have our value as the server keeps it */
	union
	{
		bool boolean;
		int integer;
		double real;
		char *string;
	} pinned;
} PinnedSetting;

static PinnedSetting settings[] = {
	{"quote_all_identifiers", "off", OUTBOX_READS_NAMES},
	{"DateStyle", "ISO, YMD", OUTBOX_READS_TIME},
	{"IntervalStyle", "iso_8601", OUTBOX_READS_TIME},
	{"TimeZone", "UTC", OUTBOX_READS_TIME},
	{"timezone_abbreviations", "Default", OUTBOX_READS_TIME | OUTBOX_READS_ZONES},
	{"extra_float_digits", "1", OUTBOX_READS_FLOAT},
	{"bytea_output", "hex", OUTBOX_READS_BYTEA},
	{"xmlbinary", "base64", OUTBOX_READS_XML},
	{"xmloption", "content", OUTBOX_READS_XML},
	{"array_nulls", "on", OUTBOX_READS_ARRAY},

	/* parsing, in functions too */
	{"standard_conforming_strings", "on", OUTBOX_FOREIGN},
	{"backslash_quote", "safe_encoding", OUTBOX_FOREIGN},
	{"transform_null_equals", "off", OUTBOX_FOREIGN},

	/* which rows a query gives */
	{"row_security", "on", OUTBOX_FOREIGN},
	{"restrict_nonsystem_relation_kind", "", OUTBOX_FOREIGN},
	{"gin_fuzzy_search_limit", "0", OUTBOX_FOREIGN},
	{"constraint_exclusion", "partition", OUTBOX_FOREIGN},
	{"plan_cache_mode", "auto", OUTBOX_FOREIGN},
};

typedef struct DirectSetting
{
	const char *name;
	char **variable;
	char *value;
	void (*assign)(const char *value, void *extra);
	OutboxTraits traits;
} DirectSetting;

static const DirectSetting direct[OUTBOX_DIRECT_SETTINGS] = {
	{"search_path", &namespace_search_path, "pg_catalog, pg_temp", assign_search_path, OUTBOX_READS_NAMES},
	{"lc_monetary", &locale_monetary, "C", assign_locale_monetary, OUTBOX_READS_LOCALE},
	{"lc_numeric", &locale_numeric, "C", assign_locale_numeric, OUTBOX_READS_LOCALE},
	{"lc_time", &locale_time, "C", assign_locale_time, OUTBOX_READS_LOCALE},
	{"default_text_search_config", &TSCurrentConfig, "pg_catalog.simple", OutboxAssignTextSearch, OUTBOX_READS_SEARCH},
};

static void assign(const DirectSetting *setting, char *value);
static bool look_up(PinnedSetting *setting);
static bool is_pinned(const PinnedSetting *setting);
static void learn(PinnedSetting *setting);

/*
 * Saves the settings that are changed as variables, and pins those that code with
 * these traits may read. Never raises. After this open a nest level of settings
 * before any code runs, and roll it back before OutboxRestoreDirectSettings().
 */
void
OutboxPinDirectSettings(OutboxTraits traits, OutboxDirectSettings *saved)
{
	saved->client_min_messages = client_min_messages;
	client_min_messages = ERROR;
	saved->max_parallel_workers_per_gather = max_parallel_workers_per_gather;
	max_parallel_workers_per_gather = 0;
	for (int i = 0; i < lengthof(direct); i++)
	{
		saved->strings[i] = *direct[i].variable;
		if (direct[i].traits & traits)
			assign(&direct[i], direct[i].value);
	}
}

void
OutboxRestoreDirectSettings(const OutboxDirectSettings *saved)
{
	client_min_messages = saved->client_min_messages;
	max_parallel_workers_per_gather = saved->max_parallel_workers_per_gather;
	for (int i = 0; i < lengthof(direct); i++)
		assign(&direct[i], saved->strings[i]);
}

static void
assign(const DirectSetting *setting, char *value)
{
	if (*setting->variable == value)
		return;
	*setting->variable = value;
	setting->assign(value, NULL);
}

/* Pins the other settings that code with these traits may read, on the open nest level. May raise. */
void
OutboxPinSettings(OutboxTraits traits)
{
	for (int i = 0; i < lengthof(settings); i++)
	{
		PinnedSetting *setting = &settings[i];

		if ((setting->traits & traits) == 0 || (!setting->record && !look_up(setting)) || is_pinned(setting))
			continue;
		/* as a superuser, because some of them only a superuser may change; here they protect him */
		(void) set_config_option(setting->name, setting->value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
		if (!setting->learned)
			learn(setting);
	}
}

/* The name of the n-th pinned setting and the traits that pin it; NULL after the last. */
const char *
OutboxPinnedSetting(int n, const char **value, OutboxTraits *traits)
{
	if (n < lengthof(direct))
	{
		*value = direct[n].value;
		*traits = direct[n].traits;
		return direct[n].name;
	}
	n -= lengthof(direct);
	if (n >= lengthof(settings))
		return NULL;
	*value = settings[n].value;
	*traits = settings[n].traits;
	return settings[n].name;
}

static bool
look_up(PinnedSetting *setting)
{
	if (!setting->looked_up)
		setting->record = OutboxFindSetting(setting->name);
	setting->looked_up = true;
	return setting->record != NULL;
}

static bool
is_pinned(const PinnedSetting *setting)
{
	const void *variable;

	if (!setting->learned)
		return false;
	variable = OutboxSettingVariable(setting->record);
	switch (setting->record->vartype)
	{
		case PGC_BOOL:
			return *(const bool *) variable == setting->pinned.boolean;
		case PGC_INT:
		case PGC_ENUM:
			return *(const int *) variable == setting->pinned.integer;
		case PGC_REAL:
			return *(const double *) variable == setting->pinned.real;
		case PGC_STRING:
			return strcmp(*(char *const *) variable, setting->pinned.string) == 0;
	}
	return false;
}

/* Asked when it has just been set: then the variable is what is compared with from now on. */
static void
learn(PinnedSetting *setting)
{
	const void *variable = OutboxSettingVariable(setting->record);

	switch (setting->record->vartype)
	{
		case PGC_BOOL:
			setting->pinned.boolean = *(const bool *) variable;
			break;
		case PGC_INT:
		case PGC_ENUM:
			setting->pinned.integer = *(const int *) variable;
			break;
		case PGC_REAL:
			setting->pinned.real = *(const double *) variable;
			break;
		case PGC_STRING:
			setting->pinned.string = MemoryContextStrdup(TopMemoryContext, *(char *const *) variable);
			break;
	}
	setting->learned = true;
}
