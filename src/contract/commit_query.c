/*-------------------------------------------------------------------------
 *
 * commit_query.c
 *	  A contract that is evaluated at commit: its view as one query for
 *	  many keys.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "contract/commit_query.h"

OutboxCommitQuery *
OutboxPlanCommitQuery(const OutboxContractConfig *config)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("contract \"%s\" is evaluated at commit, which is not supported yet", config->name)));
}
