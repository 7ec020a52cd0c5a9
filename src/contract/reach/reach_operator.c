/*-------------------------------------------------------------------------
 *
 * reach_operator.c
 *	  Which functions an operator brings along, beside its own.
 *
 * The planner replaces NOT (a op b) by the operator's negator, and swaps the sides of
 * joins and of conditions of indexes by its commutator. Estimates call them on
 * statistics, even if the query does not. The owner of an operator may have given it
 * a negator and a commutator over functions of his own. In a family, any member may
 * replace any other.
 *
 * PostgreSQL's own operators and families have only PostgreSQL's own members.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "contract/reach/reach_private.h"

static bool reach_support(OutboxReach *reach, Oid family);
static bool reach_members(OutboxReach *reach, Oid family);
static bool is_own(Oid family, Oid left, Oid right);

/* Reaches the functions of the operator and of all that may replace it. InvalidOid: none. */
bool
OutboxReachOperator(OutboxReach *reach, Oid opno)
{
	List *related;
	bool result = false;
	ListCell *lc;

	if (!OidIsValid(opno))
		return false;
	related = OutboxRelatedOperators(opno);
	foreach (lc, related)
	{
		Oid other = lfirst_oid(lc);

		if (other >= FirstUnpinnedObjectId && list_member_oid(reach->operators, other))
			continue;
		reach->operators = lappend_oid(reach->operators, other);
		result = (other >= FirstUnpinnedObjectId && OutboxReachFunction(reach, get_opcode(other))) ||
			OutboxReachOperatorFamilies(reach, other);
		if (result)
			break;
	}
	list_free(related);
	return result;
}

/*
 * The operator, and those by which the planner may replace it or make estimates: its
 * negator, its commutator, and theirs. For one of PostgreSQL's own operators only
 * the operator itself. OIDs in a palloc'd list.
 */
List *
OutboxRelatedOperators(Oid opno)
{
	List *related = list_make1_oid(opno);

	/* the list grows meanwhile */
	for (int i = 0; i < list_length(related) && opno >= FirstUnpinnedObjectId; i++)
	{
		Oid others[] = {get_negator(list_nth_oid(related, i)), get_commutator(list_nth_oid(related, i))};

		for (int j = 0; j < lengthof(others); j++)
		{
			if (OidIsValid(others[j]))
				related = list_append_unique_oid(related, others[j]);
		}
	}
	return related;
}

/* Reaches the operator families that sort, hash or merge by the operator. */
bool
OutboxReachOperatorFamilies(OutboxReach *reach, Oid opno)
{
	CatCList *members = SearchSysCacheList1(AMOPOPID, ObjectIdGetDatum(opno));
	bool result = false;

	for (int i = 0; i < members->n_members && !result; i++)
		result = OutboxReachFamily(reach, ((Form_pg_amop) GETSTRUCT(&members->members[i]->tuple))->amopfamily);
	ReleaseSysCacheList(members);
	return result;
}

bool
OutboxReachFamily(OutboxReach *reach, Oid family)
{
	if (!OidIsValid(family) || list_member_oid(reach->families, family))
		return false;
	reach->families = lappend_oid(reach->families, family);
	return reach_support(reach, family) || reach_members(reach, family);
}

static bool
reach_support(OutboxReach *reach, Oid family)
{
	CatCList *members = SearchSysCacheList1(AMPROCNUM, ObjectIdGetDatum(family));
	bool result = false;

	for (int i = 0; i < members->n_members && !result; i++)
	{
		Form_pg_amproc member = (Form_pg_amproc) GETSTRUCT(&members->members[i]->tuple);

		result = !is_own(family, member->amproclefttype, member->amprocrighttype) && OutboxReachFunction(reach, member->amproc);
	}
	ReleaseSysCacheList(members);
	return result;
}

/* Reaches the operators of a family. */
static bool
reach_members(OutboxReach *reach, Oid family)
{
	CatCList *members = SearchSysCacheList1(AMOPSTRATEGY, ObjectIdGetDatum(family));
	bool result = false;

	for (int i = 0; i < members->n_members && !result; i++)
	{
		Form_pg_amop member = (Form_pg_amop) GETSTRUCT(&members->members[i]->tuple);

		result = !is_own(family, member->amoplefttype, member->amoprighttype) && OutboxReachOperator(reach, member->amopopr);
	}
	ReleaseSysCacheList(members);
	return result;
}

/* Is the member PostgreSQL's own? A superuser may add other types to PostgreSQL's families. */
static bool
is_own(Oid family, Oid left, Oid right)
{
	return family < FirstUnpinnedObjectId && left < FirstUnpinnedObjectId && right < FirstUnpinnedObjectId;
}
