/*-------------------------------------------------------------------------
 *
 * setting.c
 *	  A setting that has another value for a while.
 *
 * Both raise when the value is refused, and an error in between takes the
 * value back by itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/guc.h"

#include "util/util.h"

/* Until AtEOXact_GUC() of the caller's NewGUCNestLevel(). */
void
OutboxSetInScope(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* For the rest of the transaction. */
void
OutboxSetInTransaction(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}
