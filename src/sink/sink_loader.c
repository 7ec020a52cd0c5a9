/*-------------------------------------------------------------------------
 *
 * sink_loader.c
 *	  Loads sink libraries.
 *
 * A library runs with the server's rights, so only bare names that a
 * superuser has listed in outbox.sink_libraries are loaded: whoever may create
 * a sink must not be able to map a file of his choice into the server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/varlena.h"

#include "guc.h"
#include "sink/sink_private.h"

#define SINK_INIT_FUNCTION "_PG_outbox_sink_init"

static void check_name(const char *library);
static bool is_listed(const char *library);
static OutboxSinkInit load_init_function(const char *library);
static char *load_hint(const char *library, const ErrorData *error);
static void check_callbacks(const char *library, const OutboxSinkCallbacks *callbacks);

/*
 * The callbacks of a sink library, loaded into this process for good.  The
 * name is bare (no path) and listed in outbox.sink_libraries.  Raises when it
 * is not, when the library is missing or is not a sink, or when it was built
 * for another version of outbox_sink.h.  Needs no transaction.
 */
const OutboxSinkCallbacks *
OutboxSinkLoad(const char *library)
{
	OutboxSinkInit init;
	const OutboxSinkCallbacks *callbacks;

	check_name(library);
	if (!is_listed(library))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("sink library \"%s\" is not allowed", library),
				 errdetail("The setting outbox.sink_libraries is \"%s\".", outbox_sink_libraries),
				 errhint("A superuser can add the library to outbox.sink_libraries.")));

	init = load_init_function(library);
	if (init == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("library \"%s\" is not a sink", library),
				 errdetail("It does not export the function %s.", SINK_INIT_FUNCTION),
				 errhint("Name a library that implements outbox_sink.h, such as outbox_kafka.")));

	callbacks = init();
	check_callbacks(library, callbacks);
	return callbacks;
}

/* Letters, digits, "_" and "-": no path, no suffix, nothing that the search for a library expands. */
static void
check_name(const char *library)
{
	if (library[0] != '\0' &&
		strspn(library, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == strlen(library))
		return;

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_NAME),
			 errmsg("invalid name of a sink library: \"%s\"", library),
			 errdetail("A library is given by its bare name, without a path or suffix."),
			 errhint("Use a name such as outbox_kafka.")));
}

static bool
is_listed(const char *library)
{
	char *names = pstrdup(outbox_sink_libraries ? outbox_sink_libraries : "");
	List *listed = NIL;
	ListCell *lc;

	if (!SplitGUCList(names, ',', &listed))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid list syntax in setting \"%s\"", "outbox.sink_libraries"),
				 errdetail("Its value is \"%s\".", outbox_sink_libraries),
				 errhint("Give library names separated by commas.")));
	foreach (lc, listed)
	{
		if (strcmp((const char *) lfirst(lc), library) == 0)
			return true;
	}
	return false;
}

/*
 * The server's own message about a missing or incompatible file does not say
 * that a sink was meant, so it becomes the detail of ours.
 */
static OutboxSinkInit
load_init_function(const char *library)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile OutboxSinkInit init = NULL;

	PG_TRY();
	{
		init = (OutboxSinkInit) load_external_function(library, SINK_INIT_FUNCTION, false, NULL);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		ereport(ERROR,
				(errcode(error->sqlerrcode),
				 errmsg("could not load sink library \"%s\"", library),
				 errdetail("%s%s%s", error->message, error->detail ? ": " : ".", error->detail ? error->detail : ""),
				 errhint("%s", load_hint(library, error))));
	}
	PG_END_TRY();
	return init;
}

/* A file that is not there, one that is not for this server, or one that lacks something itself. */
static char *
load_hint(const char *library, const ErrorData *error)
{
	char path[MAXPGPATH];

	snprintf(path, sizeof(path), "%s/%s%s", pkglib_path, library, DLSUFFIX);
	if (access(path, F_OK) != 0)
		return psprintf("Install the file %s.", path);
	/* the server says more only when it has read the file, and found it to be none of its own */
	if (error->detail || error->hint)
		return psprintf("Build %s for this server, with its pg_config and outbox_sink.h.", path);
	return psprintf("The file is there, but something that it needs is missing or of another version: ldd -r %s names it. Install that, then reconnect.", path);
}

static void
check_callbacks(const char *library, const OutboxSinkCallbacks *callbacks)
{
	const char *missing = NULL;

	/* Nothing behind the magic is known to be there until it matches. */
	if (callbacks == NULL || callbacks->magic != OUTBOX_SINK_MAGIC)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("sink library \"%s\" was built for another version of outbox_ext", library),
				 errdetail("Its interface is %08X, this version's is %08X.",
						   callbacks == NULL ? 0 : callbacks->magic, OUTBOX_SINK_MAGIC),
				 errhint("Rebuild and install the library with this version's outbox_sink.h, then reconnect.")));

	if (callbacks->validate_cb == NULL)
		missing = "validate_cb";
	else if (callbacks->startup_cb == NULL)
		missing = "startup_cb";
	else if (callbacks->publish_cb == NULL)
		missing = "publish_cb";
	else if (callbacks->poll_cb == NULL)
		missing = "poll_cb";
	else if (callbacks->shutdown_cb == NULL)
		missing = "shutdown_cb";
	if (missing != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("sink library \"%s\" is incomplete", library),
				 errdetail("It has no %s.", missing),
				 errhint("The library has to set every callback that outbox_sink.h does not call optional.")));
}
