/*-------------------------------------------------------------------------
 *
 * concern.c
 *	  Which live contracts a command may concern.
 *
 * From each changed object the dependencies are followed upwards: from a type to
 * the types and tables that contain it, to the views over these, and to views over
 * views, until they end or meet the view of a contract. For what belongs to others
 * that is a look or two into an index of pg_depend, whatever the number of
 * contracts. Conditions and checks are texts, which pg_depend does not know; there
 * the name of the object counts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/index.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "ddl/check/check_private.h"

/* Beyond, any contract may be concerned: the rest of the way would take longer than looking at all of them. */
#define MOST_OBJECTS 10000

typedef struct ObjectKey
{
	Oid class;
	Oid object;
} ObjectKey;

typedef struct Walk
{
	HTAB *seen;      /* of ObjectKey */
	List *todo;      /* of ObjectKey * */
	List *relations; /* OIDs of all relations met */
	Relation depend;
	bool given_up;
} Walk;

static void walk_up(Walk *walk, const List *objects);
static void push(Walk *walk, Oid class, Oid object);
static void follow(Walk *walk, const ObjectKey *key);
static void follow_dependent(Walk *walk, const ObjectKey *from, Form_pg_depend depend);
static Oid rule_relation(Oid rule);
static Oid constraint_type(Oid constraint);
static bool concerns(const OutboxLiveContract *contract, const OutboxDdlTargets *targets, const List *relations);
static bool rests_on(const OutboxLiveContract *contract, Oid relation);

/* The live contracts that the command may concern: of const OutboxLiveContract *. Takes no lock but on catalogs. May raise. */
List *
OutboxConcernedContracts(const OutboxDdlTargets *targets)
{
	const List *live = targets->objects || targets->names || targets->all ? OutboxLiveContracts() : NIL;
	List *concerned = NIL;
	Walk walk = {0};
	ListCell *lc;

	if (live == NIL)
		return NIL;
	if (!targets->all)
		walk_up(&walk, targets->objects);
	foreach (lc, live)
	{
		if (targets->all || walk.given_up || concerns(lfirst(lc), targets, walk.relations))
			concerned = lappend(concerned, lfirst(lc));
	}
	return concerned;
}

static void
walk_up(Walk *walk, const List *objects)
{
	HASHCTL control = {.keysize = sizeof(ObjectKey), .entrysize = sizeof(ObjectKey), .hcxt = CurrentMemoryContext};
	ListCell *lc;

	walk->seen = hash_create("outbox objects", 32, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	walk->depend = table_open(DependRelationId, AccessShareLock);
	foreach (lc, objects)
	{
		const ObjectAddress *address = lfirst(lc);

		push(walk, address->classId, address->objectId);
	}
	while (walk->todo && !walk->given_up)
	{
		ObjectKey *key = llast(walk->todo);

		walk->todo = list_delete_last(walk->todo);
		CHECK_FOR_INTERRUPTS();
		follow(walk, key);
	}
	table_close(walk->depend, AccessShareLock);
	hash_destroy(walk->seen);
}

static void
push(Walk *walk, Oid class, Oid object)
{
	ObjectKey key = {.class = class, .object = object};
	bool found;

	if (!OidIsValid(object))
		return;
	(void) hash_search(walk->seen, &key, HASH_ENTER, &found);
	if (found)
		return;
	if (class == RelationRelationId)
		walk->relations = lappend_oid(walk->relations, object);
	/* what happens to a partition happens to a source */
	if (class == RelationRelationId && get_rel_relispartition(object))
		walk->relations = list_concat(walk->relations, get_partition_ancestors(object));
	walk->given_up |= hash_get_num_entries(walk->seen) > MOST_OBJECTS;
	walk->todo = lappend(walk->todo, memcpy(palloc(sizeof(key)), &key, sizeof(key)));
}

/* Adds what depends on the object. */
static void
follow(Walk *walk, const ObjectKey *key)
{
	ScanKeyData conditions[2];
	SysScanDesc scan;
	HeapTuple tuple;

	if (key->class == RelationRelationId)
		push(walk, TypeRelationId, get_rel_type_id(key->object));
	ScanKeyInit(&conditions[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(key->class));
	ScanKeyInit(&conditions[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(key->object));
	scan = systable_beginscan(walk->depend, DependReferenceIndexId, true, NULL, lengthof(conditions), conditions);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		follow_dependent(walk, key, (Form_pg_depend) GETSTRUCT(tuple));
	systable_endscan(scan);
}

static void
follow_dependent(Walk *walk, const ObjectKey *from, Form_pg_depend depend)
{
	switch (depend->classid)
	{
		case RewriteRelationId:
			push(walk, RelationRelationId, rule_relation(depend->objid));
			break;
		case RelationRelationId:
			/* of a table its own indexes and sequences, and tables that inherit */
			if (from->class == RelationRelationId)
				break;
			/* an index that goes with its operator class, say */
			if (strchr("iI", get_rel_relkind(depend->objid)) != NULL)
				push(walk, RelationRelationId, IndexGetRelation(depend->objid, true));
			else
				push(walk, RelationRelationId, depend->objid);
			break;
		case ConstraintRelationId:
			push(walk, TypeRelationId, constraint_type(depend->objid));
			break;
		case TypeRelationId:
		case ProcedureRelationId:
		case OperatorRelationId:
			push(walk, depend->classid, depend->objid);
			break;
		default:
			/* parts of a schema or an extension, and operator classes, which are on the way to indexes */
			if (from->class != RelationRelationId && from->class != TypeRelationId)
				push(walk, depend->classid, depend->objid);
			break;
	}
}

/* The relation that has the rule, or InvalidOid. */
static Oid
rule_relation(Oid rule)
{
	Relation rel = table_open(RewriteRelationId, AccessShareLock);
	Oid relation = InvalidOid;
	ScanKeyData condition;
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&condition, Anum_pg_rewrite_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(rule));
	scan = systable_beginscan(rel, RewriteOidIndexId, true, NULL, 1, &condition);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		relation = ((Form_pg_rewrite) GETSTRUCT(tuple))->ev_class;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return relation;
}

/* The domain that has the constraint, or InvalidOid. */
static Oid
constraint_type(Oid constraint)
{
	HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	Oid type = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		type = ((Form_pg_constraint) GETSTRUCT(tuple))->contypid;
		ReleaseSysCache(tuple);
	}
	return type;
}

static bool
concerns(const OutboxLiveContract *contract, const OutboxDdlTargets *targets, const List *relations)
{
	ListCell *lc;

	foreach (lc, relations)
	{
		if (rests_on(contract, lfirst_oid(lc)))
			return true;
	}
	foreach (lc, targets->names)
	{
		if (strstr(contract->texts, lfirst(lc)))
			return true;
	}
	return false;
}

/* Is the relation a view of the contract, or a source? */
static bool
rests_on(const OutboxLiveContract *contract, Oid relation)
{
	return list_member_oid(contract->views, relation) || list_member_oid(contract->relations, relation);
}
