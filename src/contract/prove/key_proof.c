/*-------------------------------------------------------------------------
 *
 * key_proof.c
 *	  Is the key of a contract that exists still unique?
 *
 * Capture does not ask. Without the proof it would give wrong keys, and would find
 * out too late. So enable() and reattach() ask, and so does every command that
 * changes the source of an enabled contract (ddl_watch.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/primnodes.h"
#include "utils/lsyscache.h"

#include "catalog/outbox_catalog.h"
#include "contract/compile/compile.h"
#include "contract/environment/environment.h"
#include "contract/keys/keys.h"
#include "contract/prove/prove_private.h"
#include "contract/view/view.h"

static void prove_step(void *arg);
static List *lookup_names(const OutboxContractConfig *config, List **conditions);

/*
 * Proves the key as create_contract() did, of the view and the source as they are
 * now, with the rights of the view's owner. Needs an active snapshot. Raises an
 * error that says what is missing.
 */
void
OutboxProveContractKey(const OutboxContractConfig *config)
{
	OutboxEvaluation evaluation;
	List *conditions = NIL;
	List *names = config->at_commit ? lookup_names(config, &conditions) : NIL;

	/* the role that alters the table lends no rights */
	OutboxEvaluationBegin(&evaluation, OutboxRelationOwner(config->view), OUTBOX_COMPILING);
	if (config->at_commit)
		(void) OutboxProveUnique(config->root, names, conditions, config->key);
	else
		(void) OutboxProveKey(OutboxExpandView(config->view), config->key);
	OutboxEvaluationEnd(&evaluation);
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

static List *
lookup_names(const OutboxContractConfig *config, List **conditions)
{
	List *names = NIL;
	ListCell *lc;

	foreach (lc, OutboxLookupColumns(config, conditions))
		names = lappend(names, get_attname(config->root, lfirst_node(Var, lc)->varattno, false));
	return names;
}
