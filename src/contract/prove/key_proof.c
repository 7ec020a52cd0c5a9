/*-------------------------------------------------------------------------
 *
 * key_proof.c
 *	  Is the key of a contract that exists still unique?
 *
 * Capture does not ask: without the proof it would give wrong keys, and find
 * that out too late. So whoever switches a contract on asks, and whoever
 * changes the source below one that is on (ddl_watch.c).
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

static List *lookup_names(const OutboxContractConfig *config, List **conditions);

/*
 * Proves it as create_contract() did, of the view and the source as they are
 * now, with the rights of the view's owner; needs an active snapshot. Raises
 * with what is missing.
 */
void
OutboxProveContractKey(const OutboxContractConfig *config)
{
	OutboxEvaluation evaluation;
	List *conditions = NIL;
	List *names = config->at_commit ? lookup_names(config, &conditions) : NIL;

	/* not with the rights of whoever alters the table */
	OutboxEvaluationBegin(&evaluation, OutboxRelationOwner(config->view), OUTBOX_COMPILING);
	if (config->at_commit)
		(void) OutboxProveUnique(config->root, names, conditions, config->key);
	else
		(void) OutboxProveKey(OutboxExpandView(config->view), config->key);
	OutboxEvaluationEnd(&evaluation);
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
