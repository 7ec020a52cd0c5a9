/*-------------------------------------------------------------------------
 *
 * derived_key.c
 *	  Could two rows of the source have the same key?
 *
 * A proven key reads all columns of a unique index. But its expressions may map two
 * rows to one key: btrim(cust_no) is the same for 'C1' and ' C1'. Legacy keys are
 * padded that way, and nobody has both, so it is allowed. outbox.status advises to
 * make sure. There is no such advice when the key's plain columns are unique by
 * themselves, or when a unique index is over the same expressions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteManip.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "catalog/outbox_catalog.h"
#include "contract/environment/environment.h"
#include "contract/keys/keys_private.h"
#include "contract/plan/plan.h"
#include "contract/reach/reach.h"
#include "contract/view/view.h"

static List *derived_columns(const OutboxContractConfig *config, List *expressions, const List *conditions);
static Node *as_in_index(Node *expression);
static Var *plain_column(Node *node);
static bool keeps_apart(Oid function);
static bool index_keeps_apart(Relation index, const List *expressions, const List *plain);

/*
 * Notes in outbox_internal.contract which columns of a proven key could make one
 * key of two rows. For create_contract() and enable(). Raises as OutboxRootKey()
 * does.
 */
void
OutboxNoteDerivedKey(const OutboxContractConfig *config)
{
	OutboxEvaluation evaluation;
	OutboxRunner runner;
	List *levels;
	List *expressions;
	List *derived;
	const char *args[2] = {config->name};

	OutboxEvaluationBegin(&evaluation, OutboxRelationOwner(config->view), OUTBOX_COMPILING);
	expressions = OutboxRootKey(config, OutboxRewrittenView(config->view), &levels);
	OutboxRunnerOfView(&runner, config->view, psprintf("contract \"%s\"", config->name));
	OutboxCheckExpressionTrust(&runner, (Node *) expressions);
	derived = derived_columns(config, expressions, OutboxRootConditions(levels));
	OutboxEvaluationEnd(&evaluation);
	args[1] = OutboxNamesToArray(derived);
	(void) OutboxExecute("UPDATE outbox_internal.contract SET derived_key = $2::text[]"
						 " WHERE name = $1 AND derived_key <> $2::text[]",
						 lengthof(args), args);
}

/* The key's columns that are not plain, when only they tell rows apart; otherwise NIL. */
static List *
derived_columns(const OutboxContractConfig *config, List *expressions, const List *conditions)
{
	Relation root = relation_open(config->root, AccessShareLock);
	List *derived = NIL;
	List *plain = NIL; /* names of the root's columns */
	List *simplified = NIL;
	bool apart;
	ListCell *lc;

	foreach (lc, expressions)
	{
		Node *expression = copyObject(lfirst(lc));
		Var *column = plain_column(expression);

		if (column)
			plain = lappend(plain, get_attname(config->root, column->varattno, false));
		else
			derived = lappend(derived, list_nth(config->key, foreach_current_index(lc)));
		simplified = lappend(simplified, as_in_index(expression));
	}
	apart = derived == NIL || OutboxIsUnique(config->root, plain, conditions);
	foreach (lc, apart ? NIL : RelationGetIndexList(root))
	{
		Relation index = index_open(lfirst_oid(lc), AccessShareLock);

		List *predicate;

		apart |= index_keeps_apart(index, simplified, plain) && OutboxIndexPredicate(index, &predicate) &&
			predicate_implied_by(predicate, (List *) conditions, false);
		index_close(index, NoLock);
	}
	relation_close(root, NoLock);
	return apart ? NIL : derived;
}

/* The expression in the form of an index's: simplified, over entry 1. */
static Node *
as_in_index(Node *expression)
{
	int varno;

	if (bms_get_singleton_member(pull_varnos(NULL, expression), &varno))
		ChangeVarNodes(expression, varno, 1, 0);
	return eval_const_expressions(NULL, expression);
}

/* The column whose values the expression maps to different values, or NULL. */
static Var *
plain_column(Node *node)
{
	for (;;)
	{
		switch (nodeTag(node))
		{
			case T_Var:
				return (Var *) node;
			case T_RelabelType:
				node = (Node *) ((RelabelType *) node)->arg;
				break;
			case T_CoerceToDomain:
				node = (Node *) ((CoerceToDomain *) node)->arg;
				break;
			case T_CoerceViaIO:
				if (((CoerceViaIO *) node)->resulttype != TEXTOID && ((CoerceViaIO *) node)->resulttype != VARCHAROID)
					return NULL;
				node = (Node *) ((CoerceViaIO *) node)->arg;
				break;
			case T_FuncExpr:
				if (!keeps_apart(((FuncExpr *) node)->funcid))
					return NULL;
				node = linitial(((FuncExpr *) node)->args);
				break;
			default:
				return NULL;
		}
	}
}

/* Does the cast map different values to different values? char(n) loses blanks, which its unique index ignores, too. */
static bool
keeps_apart(Oid function)
{
	static const Oid casts[] = {F_INT4_INT2, F_INT8_INT2, F_INT8_INT4, F_NUMERIC_INT2, F_NUMERIC_INT4,
								F_NUMERIC_INT8, F_TEXT_BPCHAR, F_TEXT_NAME};

	for (int i = 0; i < lengthof(casts); i++)
	{
		if (casts[i] == function)
			return true;
	}
	return false;
}

/*
 * Is the index unique, over columns and expressions that are all in the key? NULLs
 * do not matter: a key has none.
 */
static bool
index_keeps_apart(Relation index, const List *expressions, const List *plain)
{
	Form_pg_index form = index->rd_index;
	List *indexed;
	int next = 0;

	if (!form->indisunique || !form->indimmediate || !form->indisvalid || !form->indisready ||
		!OutboxIndexExpressions(index, &indexed))
		return false;
	for (int i = 0; i < form->indnkeyatts; i++)
	{
		AttrNumber attno = form->indkey.values[i];

		if (attno == 0)
		{
			if (!list_member(expressions, list_nth(indexed, next++)))
				return false;
		}
		else if (!OutboxNameListMember(plain, get_attname(form->indrelid, attno, false)))
			return false;
	}
	return true;
}
