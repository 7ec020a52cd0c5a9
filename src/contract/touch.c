/*-------------------------------------------------------------------------
 *
 * touch.c
 *	  Which rows of a contract that is evaluated at commit a changed row of
 *	  one of its sources touches.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "contract/touch.h"

struct OutboxTouch
{
	MemoryContext context;
	List	   *relations;
	TupleDesc	lookup_desc;
	bool		is_root;
};

OutboxTouch *
OutboxCompileTouch(const OutboxContractConfig *config, Oid relation)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("contract \"%s\" is evaluated at commit, which is not supported yet", config->name)));
}

MemoryContext
OutboxTouchContext(const OutboxTouch *touch)
{
	return touch->context;
}

const List *
OutboxTouchRelations(const OutboxTouch *touch)
{
	return touch->relations;
}

bool
OutboxTouchIsValid(const OutboxTouch *touch)
{
	return true;
}

bool
OutboxTouchIsRoot(const OutboxTouch *touch)
{
	return touch->is_root;
}

bool
OutboxTouchMayRaise(const OutboxTouch *touch)
{
	return true;
}

TupleDesc
OutboxTouchLookupDesc(const OutboxTouch *touch)
{
	return touch->lookup_desc;
}

bool
OutboxTouchReadsEqual(OutboxTouch *touch, TupleTableSlot *before, TupleTableSlot *after)
{
	return false;
}

void
OutboxTouchKeys(OutboxTouch *touch, TupleTableSlot *row, OutboxTouchCallback add, void *arg)
{
}
