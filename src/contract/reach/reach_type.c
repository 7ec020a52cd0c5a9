/*-------------------------------------------------------------------------
 *
 * reach_type.c
 *	  Which functions a type brings along: to print, read, compare and check
 *	  its values.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_range.h"
#include "catalog/pg_type.h"
#include "nodes/execnodes.h"
#include "parser/parse_coerce.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "contract/reach/reach_private.h"

static int unseen_uses(OutboxReach *reach, Oid type, int use);
static bool reach_own_functions(OutboxReach *reach, Oid type, int use);
static bool reach_members(OutboxReach *reach, Oid type, int use);
static bool reach_attributes(OutboxReach *reach, Oid relation, int use);
static bool reach_range(OutboxReach *reach, Oid type, int use);
static bool reach_checks(OutboxReach *reach, Oid domain);
static bool reach_comparison(OutboxReach *reach, Oid type);

bool
OutboxReachType(OutboxReach *reach, Oid type, int use)
{
	use = unseen_uses(reach, type, use);
	if (use == 0)
		return false;
	return reach_own_functions(reach, type, use) || reach_members(reach, type, use);
}

/* Notes uses of a type. Returns those that are new. A type may contain itself. */
static int
unseen_uses(OutboxReach *reach, Oid type, int use)
{
	ListCell *types;
	ListCell *uses;

	forboth (types, reach->seen, uses, reach->seen_uses)
	{
		if (lfirst_oid(types) == type)
			use &= ~lfirst_int(uses);
	}
	if (use != 0)
	{
		reach->seen = lappend_oid(reach->seen, type);
		reach->seen_uses = lappend_int(reach->seen_uses, use);
	}
	return use;
}

static bool
reach_own_functions(OutboxReach *reach, Oid type, int use)
{
	Oid function;
	Oid parameter;
	bool is_varlena;

	if (type == RECORDOID)
		return (use & OUTBOX_REACH_OUTPUT) && OutboxReachFunction(reach, F_RECORD_OUT);
	if (get_typtype(type) == TYPTYPE_PSEUDO)
		return false;
	if (use & OUTBOX_REACH_OUTPUT)
	{
		getTypeOutputInfo(type, &function, &is_varlena);
		if (OutboxReachFunction(reach, function))
			return true;
	}
	/* to_json() and similar functions look for a cast of types that they do not know */
	if ((use & OUTBOX_REACH_JSON) && type >= FirstUnpinnedObjectId &&
		find_coercion_pathway(JSONOID, type, COERCION_EXPLICIT, &function) == COERCION_PATH_FUNC &&
		OutboxReachFunction(reach, function))
		return true;
	if (use & OUTBOX_REACH_INPUT)
	{
		getTypeInputInfo(type, &function, &parameter);
		if (OutboxReachFunction(reach, function))
			return true;
	}
	return (use & OUTBOX_REACH_COMPARE) && reach_comparison(reach, type);
}

/* Reaches the types in a type: elements, attributes and bounds; of a domain its base type, and its checks. */
static bool
reach_members(OutboxReach *reach, Oid type, int use)
{
	switch (get_typtype(type))
	{
		case TYPTYPE_DOMAIN:
			if ((use & (OUTBOX_REACH_INPUT | OUTBOX_REACH_CHECK)) && reach_checks(reach, type))
				return true;
			/* its own checks include those of the domains below */
			return OutboxReachType(reach, getBaseType(type), use & ~OUTBOX_REACH_CHECK);
		case TYPTYPE_COMPOSITE:
			return reach_attributes(reach, get_typ_typrelid(type), use);
		case TYPTYPE_RANGE:
			return reach_range(reach, type, use);
		case TYPTYPE_MULTIRANGE:
			return OutboxReachType(reach, get_multirange_range(type), use);
		default:
			if (type == RECORDOID)
				return OutboxReachRecord(reach, use);
			/* columns of pg_statistic have arrays of all types */
			if (IsPolymorphicType(type))
				return OutboxReachUnseen(reach);
			type = get_element_type(type);
			return OidIsValid(type) && OutboxReachType(reach, type, use);
	}
}

/* Reaches the attributes of a composite type. From the catalog, because others may have the table locked. */
static bool
reach_attributes(OutboxReach *reach, Oid relation, int use)
{
	CatCList *attributes = SearchSysCacheList1(ATTNUM, ObjectIdGetDatum(relation));
	bool result = false;

	for (int i = 0; i < attributes->n_members && !result; i++)
	{
		Form_pg_attribute attribute = (Form_pg_attribute) GETSTRUCT(&attributes->members[i]->tuple);

		if (attribute->attnum > 0 && !attribute->attisdropped)
			result = OutboxReachType(reach, attribute->atttypid, use);
	}
	ReleaseSysCacheList(attributes);
	return result;
}

static bool
reach_range(OutboxReach *reach, Oid type, int use)
{
	HeapTuple tuple = SearchSysCache1(RANGETYPE, ObjectIdGetDatum(type));
	bool result;

	if (!HeapTupleIsValid(tuple))
		return false;
	{
		Form_pg_range range = (Form_pg_range) GETSTRUCT(tuple);

		/* building a range compares its bounds */
		result = OutboxReachFunction(reach, range->rngcanonical) || OutboxReachFunction(reach, range->rngsubdiff) ||
			OutboxReachFamily(reach, get_opclass_family(range->rngsubopc)) || OutboxReachType(reach, range->rngsubtype, use);
	}
	ReleaseSysCache(tuple);
	return result;
}

static bool
reach_checks(OutboxReach *reach, Oid domain)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "outbox domain checks", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	DomainConstraintRef *checks = palloc0(sizeof(DomainConstraintRef));
	bool result = false;
	ListCell *lc;

	InitDomainConstraintRef(domain, checks, context, false);
	MemoryContextSwitchTo(caller);
	foreach (lc, checks->constraints)
	{
		DomainConstraintState *check = lfirst(lc);

		if (!result && check->constrainttype == DOM_CONSTRAINT_CHECK)
			result = OutboxReachInside(reach, (Node *) check->check_expr);
	}
	MemoryContextDelete(context);
	return result;
}

static bool
reach_comparison(OutboxReach *reach, Oid type)
{
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY | TYPECACHE_HASH_OPFAMILY | TYPECACHE_EQ_OPR);

	if (OidIsValid(entry->eq_opr) && OutboxReachFunction(reach, get_opcode(entry->eq_opr)))
		return true;
	return OutboxReachFamily(reach, entry->btree_opf) || OutboxReachFamily(reach, entry->hash_opf);
}
