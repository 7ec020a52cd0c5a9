/*-------------------------------------------------------------------------
 *
 * key_proof.c
 *	  The proof of a key, asked for a whole contract.
 *
 * Capture does not ask. Without the proof it would give wrong keys, and would find
 * out too late. So create_contract(), enable() and reattach() ask, and so does every
 * command that changes the source of an enabled contract (ddl/check/watch.c). The rule
 * itself is in key.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/primnodes.h"
#include "utils/lsyscache.h"

#include "catalog/outbox_catalog.h"
#include "contract/environment/environment.h"
#include "contract/keys/keys.h"

static void prove_step(void *arg);

/*
 * Proves the key as create_contract() did, of the view and the source as they are
 * now, with the rights of the view's owner. Needs an active snapshot. Raises an
 * error that says what is missing.
 */
void
OutboxProveContractKey(const OutboxContractConfig *config)
{
	OutboxEvaluation evaluation;

	if (config->at_commit)
	{
		OutboxProveCommitKey(config);
		return;
	}
	/* the role that alters the table lends no rights */
	OutboxEvaluationBegin(&evaluation, OutboxRelationOwner(config->view), OUTBOX_COMPILING);
	(void) OutboxProveKey(OutboxExpandView(config->view), config->key);
	OutboxEvaluationEnd(&evaluation);
}

/*
 * As OutboxProveContractKey(), of a contract that is evaluated at commit, or will be:
 * raises unless the key comes from the root and is unique there. Looks at no indexes
 * but the root's.
 */
void
OutboxProveCommitKey(const OutboxContractConfig *config)
{
	OutboxEvaluation evaluation;

	OutboxEvaluationBegin(&evaluation, OutboxRelationOwner(config->view), OUTBOX_COMPILING);
	OutboxProveRootPath(config, OutboxFindRoot(config, OutboxViewQuery(config->view)));
	OutboxEvaluationEnd(&evaluation);
}

/* As OutboxProveCommitKey(), where the way to the root is known; within an evaluation. */
void
OutboxProveRootPath(const OutboxContractConfig *config, const OutboxRootPath *path)
{
	List *reads = NIL;
	ListCell *lc;

	foreach (lc, path->lookup)
		reads = lappend(reads, get_attname(config->root, lfirst_node(Var, lc)->varattno, false));
	(void) OutboxProveUnique(config->root, reads, OutboxRootConditions(path->levels), config->key);
}

/*
 * The error that OutboxProveContractKey() raises, in `context`; NULL when the key
 * is proven. Needs an active snapshot. Raises the errors that are not ours to
 * swallow (guard.c).
 */
ErrorData *
OutboxContractKeyFault(const OutboxContractConfig *config, MemoryContext context)
{
	return OutboxRunGuarded(prove_step, unconstify(OutboxContractConfig *, config), context);
}

/* An OutboxGuardedStep. */
static void
prove_step(void *arg)
{
	OutboxProveContractKey(arg);
}
