/*-------------------------------------------------------------------------
 *
 * temp_last.c
 *	  Temporary objects of a session hide nothing from code behind a contract.
 *
 * A search_path that does not name pg_temp has it first, for tables, views and
 * types. So a function with the recommended SET search_path = app finds a temporary
 * view of the session under the name of its own view. In a session of the function's
 * owner that is the owner's affair. Here it is the writer's session, and the function
 * runs as the view's owner: a temporary view or domain would run the writer's code
 * with the owner's rights.
 *
 * So a search_path that is set during an evaluation gets pg_temp as its last schema,
 * unless it names pg_temp. RESET restores the session's own search_path without a
 * new check; docs/security.md lists that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "compat.h"
#include "contract/environment/environment_private.h"

static GucStringCheckHook previous_check = NULL;

static bool check_path(char **value, void **extra, GucSource source);
static bool names_temp(const char *path, bool *empty);

/* Installs the hook when the library is loaded. */
void
OutboxTempLastInit(void)
{
	GucStringCheckHook *hook = OutboxTextSettingCheckHook(OutboxFindSetting("search_path"));

	previous_check = *hook;
	*hook = check_path;
}

static bool
check_path(char **value, void **extra, GucSource source)
{
	bool empty;

	if (previous_check && !previous_check(value, extra, source))
		return false;
	if (!OutboxEvaluatesForeignCode() || names_temp(*value, &empty))
		return true;
	return OutboxAppendToSetting(value, empty ? "pg_temp" : ", pg_temp");
}

/* Does the search_path name pg_temp? True also for a text that is no list of names. */
static bool
names_temp(const char *path, bool *empty)
{
	List *names;
	ListCell *lc;

	if (!SplitIdentifierString(pstrdup(path), ',', &names))
		return true;
	*empty = names == NIL;
	foreach (lc, names)
	{
		if (strcmp(lfirst(lc), "pg_temp") == 0)
			return true;
	}
	return false;
}
