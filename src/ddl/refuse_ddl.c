/*-------------------------------------------------------------------------
 *
 * refuse_ddl.c
 *	  Commands on our own objects that are refused before they lock anything.
 *
 * An event trigger sees each command before PostgreSQL runs it. Two kinds of
 * commands end here.
 *
 * The first kind comes from a role without rights on the object (relations are
 * judged here, all others in refuse_object.c). PostgreSQL
 * would refuse it, too, but several commands lock the relation first and ask
 * for rights afterwards (CREATE RULE, CREATE TRIGGER, PARTITION OF, ATTACH,
 * COMMENT, ...). While such a request waits, everybody else waits behind it.
 * A holder of a conflicting lock needs no rights either: PREPARE takes one.
 *
 * The second kind comes from the owner or a superuser, and would break
 * something later and in silence: capture writes leaves past indexes, triggers
 * and rules, and all our code knows names and columns. What ALTER TABLE may
 * do to our relations is a list of what is harmless, so that a command of a
 * later version of PostgreSQL is refused until somebody looked at it.
 *
 * VACUUM has no event trigger, and VACUUM FULL of a partitioned table waits for
 * ACCESS EXCLUSIVE on its partitions whoever runs it; commands on event
 * triggers have none either. So there is a hook, too, which works where the
 * library is loaded: everywhere if it is preloaded.
 *
 * Relations are found by name without a lock and without a check of rights on
 * the schema: nothing is raised here about relations of others. Commands of
 * our own script and of the keeper pass.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "commands/event_trigger.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "ddl/refuse_ddl.h"
#include "ddl/refuse_object.h"

PG_FUNCTION_INFO_V1(outbox_refuse_ddl);

/* In place of a right that lets somebody else than the owner run a command. */
#define OWNER_ONLY 0

static ProcessUtility_hook_type next_hook = NULL;

static void before_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree, ProcessUtilityContext context,
						   ParamListInfo params, QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion);
static void look_at_vacuum(const VacuumStmt *stmt);
static bool owns_database(void);
static void look_at(const Node *stmt);
static void look_at_alter(const AlterTableStmt *stmt);
static void look_at_subcommand(const AlterTableCmd *command);
static void look_at_create(const CreateStmt *stmt);
static void look_at_constraints(const List *constraints);
static void look_at_publication(const List *objects);
static void look_at_object(ObjectType type, Node *object);
static void look_at_rename(const RenameStmt *stmt);
static void look_at_dropped_indexes(const List *names);
static void look_at_list(const List *stmts);
static Oid named(const RangeVar *name);
static Oid refuse_strangers(const RangeVar *name, AclMode right);
static void refuse_on_leaves(const RangeVar *name, AclMode right, NodeTag what);
static void refuse_change(const RangeVar *name);
static Oid table_behind(Oid view);
static bool is_member(Oid relation);
static bool is_named_in_script(const char *index);
static bool is_written_past(Oid relation);
static bool is_harmless(AlterTableType type);

void
OutboxRefuseDdlInit(void)
{
	next_hook = ProcessUtility_hook;
	ProcessUtility_hook = before_utility;
}

static void
before_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree, ProcessUtilityContext context,
			   ParamListInfo params, QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion)
{
	if (IsA(pstmt->utilityStmt, VacuumStmt))
		look_at_vacuum((const VacuumStmt *) pstmt->utilityStmt);
	else if (OutboxNamesEventTrigger(pstmt->utilityStmt))
		OutboxRefuseStrangersToObjects(pstmt->utilityStmt);
	(next_hook ? next_hook : standard_ProcessUtility)(pstmt, query, read_only_tree, context, params, environment, dest, completion);
}

/* Without names it vacuums what the role may vacuum. */
static void
look_at_vacuum(const VacuumStmt *stmt)
{
	ListCell *lc;

	foreach (lc, stmt->rels)
	{
		const RangeVar *name = lfirst_node(VacuumRelation, lc)->relation;

		if (OidIsValid(named(name)) && !owns_database())
			(void) refuse_strangers(name, OUTBOX_ACL_MAINTAIN);
	}
}

/* The owner of a database may vacuum all of its tables. */
static bool
owns_database(void)
{
	HeapTuple tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));
	bool owns;

	if (!HeapTupleIsValid(tuple))
		return false;
	owns = has_privs_of_role(GetUserId(), ((Form_pg_database) GETSTRUCT(tuple))->datdba);
	ReleaseSysCache(tuple);
	return owns;
}

/* outbox_internal.refuse_ddl(): ON ddl_command_start. */
Datum
outbox_refuse_ddl(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("outbox_internal.refuse_ddl() was not called as its event trigger")));
	if (IsBinaryUpgrade || OutboxOwnDdl ||
		(creating_extension && CurrentExtensionObject == OutboxExtensionOid(true)))
		PG_RETURN_NULL();
	OutboxRefuseStrangersToObjects(((EventTriggerData *) fcinfo->context)->parsetree);
	look_at(((EventTriggerData *) fcinfo->context)->parsetree);
	PG_RETURN_NULL();
}

static void
look_at(const Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_RuleStmt:
			refuse_on_leaves(((const RuleStmt *) stmt)->relation, OWNER_ONLY, T_RuleStmt);
			break;
		case T_CreateTrigStmt:
			refuse_on_leaves(((const CreateTrigStmt *) stmt)->relation, ACL_TRIGGER, T_CreateTrigStmt);
			(void) refuse_strangers(((const CreateTrigStmt *) stmt)->constrrel, OWNER_ONLY);
			break;
		case T_IndexStmt:
			refuse_on_leaves(((const IndexStmt *) stmt)->relation, OWNER_ONLY, T_IndexStmt);
			break;
		case T_CreatePolicyStmt:
			refuse_change(((const CreatePolicyStmt *) stmt)->table);
			break;
		case T_CreateStatsStmt:
			look_at_list(((const CreateStatsStmt *) stmt)->relations);
			break;
		case T_RangeVar: /* of a list */
			(void) refuse_strangers((const RangeVar *) stmt, OWNER_ONLY);
			break;
		case T_CreateStmt:
		case T_CreateForeignTableStmt:
			look_at_create((const CreateStmt *) stmt);
			break;
		case T_CreateSchemaStmt:
			look_at_list(((const CreateSchemaStmt *) stmt)->schemaElts);
			break;
		case T_AlterTableStmt:
			look_at_alter((const AlterTableStmt *) stmt);
			break;
		case T_CreatePublicationStmt:
			look_at_publication(((const CreatePublicationStmt *) stmt)->pubobjects);
			break;
		case T_AlterPublicationStmt:
			look_at_publication(((const AlterPublicationStmt *) stmt)->pubobjects);
			break;
		case T_CommentStmt:
			look_at_object(((const CommentStmt *) stmt)->objtype, ((const CommentStmt *) stmt)->object);
			break;
		case T_SecLabelStmt:
			look_at_object(((const SecLabelStmt *) stmt)->objtype, ((const SecLabelStmt *) stmt)->object);
			break;
		case T_AlterExtensionContentsStmt:
			look_at_object(((const AlterExtensionContentsStmt *) stmt)->objtype, ((const AlterExtensionContentsStmt *) stmt)->object);
			break;
		case T_AlterObjectDependsStmt:
			(void) refuse_strangers(((const AlterObjectDependsStmt *) stmt)->relation, OWNER_ONLY);
			break;
		case T_RenameStmt:
			look_at_rename((const RenameStmt *) stmt);
			break;
		case T_DropStmt:
			if (((const DropStmt *) stmt)->removeType == OBJECT_INDEX)
				look_at_dropped_indexes(((const DropStmt *) stmt)->objects);
			break;
		case T_AlterObjectSchemaStmt:
			refuse_change(((const AlterObjectSchemaStmt *) stmt)->relation);
			break;
		default:
			break;
	}
}

static void
look_at_list(const List *stmts)
{
	ListCell *lc;

	foreach (lc, stmts)
		look_at(lfirst(lc));
}

/* ---- what names relations --------------------------------------------------- */

static void
look_at_alter(const AlterTableStmt *stmt)
{
	Oid relation = named(stmt->relation);
	bool ours = OidIsValid(relation) && is_member(relation);
	ListCell *lc;

	foreach (lc, stmt->cmds)
	{
		const AlterTableCmd *command = lfirst_node(AlterTableCmd, lc);

		if (ours && !is_harmless(command->subtype))
			refuse_change(stmt->relation);
		look_at_subcommand(command);
	}
}

static void
look_at_subcommand(const AlterTableCmd *command)
{
	switch (command->subtype)
	{
		case AT_AddInherit:
			refuse_change((const RangeVar *) command->def);
			break;
		case AT_AttachPartition:
			refuse_change(((const PartitionCmd *) command->def)->name);
			break;
		case AT_DetachPartition:
		case AT_DetachPartitionFinalize:
			(void) refuse_strangers(((const PartitionCmd *) command->def)->name, OWNER_ONLY);
			break;
		case AT_AddConstraint:
			look_at_constraints(list_make1(command->def));
			break;
		case AT_AddColumn:
			look_at_constraints(((const ColumnDef *) command->def)->constraints);
			break;
		default:
			break;
	}
}

static void
look_at_create(const CreateStmt *stmt)
{
	ListCell *lc;

	foreach (lc, stmt->inhRelations)
		refuse_change(lfirst(lc));
	look_at_constraints(stmt->constraints);
	foreach (lc, stmt->tableElts)
	{
		if (IsA(lfirst(lc), ColumnDef))
			look_at_constraints(lfirst_node(ColumnDef, lc)->constraints);
		else if (IsA(lfirst(lc), Constraint))
			look_at_constraints(list_make1(lfirst(lc)));
	}
}

/* A foreign key locks the table that it refers to. */
static void
look_at_constraints(const List *constraints)
{
	ListCell *lc;

	foreach (lc, constraints)
	{
		if (IsA(lfirst(lc), Constraint) && lfirst_node(Constraint, lc)->contype == CONSTR_FOREIGN)
			(void) refuse_strangers(lfirst_node(Constraint, lc)->pktable, ACL_REFERENCES);
	}
}

static void
look_at_publication(const List *objects)
{
	ListCell *lc;

	foreach (lc, objects)
	{
		if (IsA(lfirst(lc), PublicationObjSpec) && lfirst_node(PublicationObjSpec, lc)->pubtable != NULL)
			(void) refuse_strangers(lfirst_node(PublicationObjSpec, lc)->pubtable->relation, OWNER_ONLY);
	}
}

/* The name of a relation, or that of something that belongs to one, in which the relation's comes first. */
static void
look_at_object(ObjectType type, Node *object)
{
	List *names;

	switch (type)
	{
		case OBJECT_TABLE:
		case OBJECT_VIEW:
		case OBJECT_MATVIEW:
		case OBJECT_INDEX:
		case OBJECT_SEQUENCE:
		case OBJECT_FOREIGN_TABLE:
			names = list_copy(castNode(List, object));
			break;
		case OBJECT_COLUMN:
		case OBJECT_TABCONSTRAINT:
		case OBJECT_TRIGGER:
		case OBJECT_RULE:
		case OBJECT_POLICY:
			names = list_truncate(list_copy(castNode(List, object)), list_length(castNode(List, object)) - 1);
			break;
		default:
			return;
	}
	if (names != NIL && list_length(names) <= 3)
		(void) refuse_strangers(makeRangeVarFromNameList(names), OWNER_ONLY);
}

static void
look_at_rename(const RenameStmt *stmt)
{
	switch (stmt->renameType)
	{
		case OBJECT_SCHEMA:
			if (strcmp(stmt->subname, OUTBOX_SCHEMA) != 0 && strcmp(stmt->subname, OUTBOX_INTERNAL_SCHEMA) != 0)
				return;
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("schema \"%s\" belongs to extension outbox_ext and cannot be renamed", stmt->subname),
					 errdetail("The library finds its objects by this name.")));
		case OBJECT_RULE:
		case OBJECT_TRIGGER:
		case OBJECT_POLICY:
			return;
		default:
			refuse_change(stmt->relation);
	}
}

static void
look_at_dropped_indexes(const List *names)
{
	ListCell *lc;

	foreach (lc, names)
	{
		if (list_length(lfirst(lc)) <= 3)
			refuse_change(makeRangeVarFromNameList(lfirst(lc)));
	}
}

/* ---- what is refused ---------------------------------------------------------- */

/* The relation if it is in one of our schemas, or InvalidOid. */
static Oid
named(const RangeVar *name)
{
	Oid relation;
	Oid schema;

	if (name == NULL)
		return InvalidOid;
	if (name->schemaname == NULL)
		relation = RelnameGetRelid(name->relname);
	else
	{
		schema = get_namespace_oid(name->schemaname, true);
		relation = OidIsValid(schema) ? get_relname_relid(name->relname, schema) : InvalidOid;
	}
	if (!OidIsValid(relation))
		return InvalidOid;
	schema = get_rel_namespace(relation);
	return schema == get_namespace_oid(OUTBOX_SCHEMA, true) || schema == get_namespace_oid(OUTBOX_INTERNAL_SCHEMA, true)
		? relation
		: InvalidOid;
}

/*
 * The relation if it is in one of our schemas, or InvalidOid. Raises what
 * PostgreSQL would raise after it had the lock, when the role has neither the
 * owner's rights nor this one.
 */
static Oid
refuse_strangers(const RangeVar *name, AclMode right)
{
	Oid relation = named(name);

	if (!OidIsValid(relation) || has_privs_of_role(GetUserId(), OutboxRelationOwner(relation)) ||
		(right != OWNER_ONLY && pg_class_aclcheck(relation, GetUserId(), right) == ACLCHECK_OK))
		return relation;
	aclcheck_error(right == OWNER_ONLY ? ACLCHECK_NOT_OWNER : ACLCHECK_NO_PRIV,
				   get_relkind_objtype(get_rel_relkind(relation)), name->relname);
	return InvalidOid; /* not reached */
}

/* Rules on no relation of ours; indexes and triggers not where capture writes past them. */
static void
refuse_on_leaves(const RangeVar *name, AclMode right, NodeTag what)
{
	Oid relation = refuse_strangers(name, right);

	if (!OidIsValid(relation) || !is_member(relation))
		return;
	if (what == T_RuleStmt)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("\"%s\" belongs to extension outbox_ext and cannot have rules", name->relname),
				 errdetail("Capture and relays would not see them."),
				 errhint("Create a trigger on outbox_internal.dead_letter_entry or outbox_internal.gap instead.")));
	if (what == T_IndexStmt && get_rel_relkind(relation) == RELKIND_VIEW && OidIsValid(table_behind(relation)))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a view", name->relname),
				 errhint("Create the index on the table: %s.%s.", OUTBOX_INTERNAL_SCHEMA, name->relname)));
	if (!is_written_past(relation))
		return;
	if (what == T_IndexStmt)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("\"%s\" cannot have indexes", name->relname),
				 errdetail("Capture writes events into the heap alone, so an index would be incomplete."),
				 errhint("Copy the events that you look for into a table of your own and index that.")));
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("\"%s\" cannot have triggers of yours", name->relname),
			 errdetail("Capture writes events into the heap alone, so a trigger would not fire."),
			 errhint("Create the trigger on the contract's source, or read the events with a sink.")));
}

/* The table that a view shows under its name, or InvalidOid. */
static Oid
table_behind(Oid view)
{
	Oid schema = get_namespace_oid(OUTBOX_INTERNAL_SCHEMA, true);

	return OidIsValid(schema) ? get_relname_relid(get_rel_name(view), schema) : InvalidOid;
}

static void
refuse_change(const RangeVar *name)
{
	Oid relation = refuse_strangers(name, OWNER_ONLY);

	if (!OidIsValid(relation) || !is_member(relation))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("\"%s\" belongs to extension outbox_ext and cannot be changed in this way", name->relname),
			 errdetail("Storage parameters, statistics targets, tablespace, owner and the state of triggers can be changed; columns, constraints, names, partitions, schema and access method cannot."),
			 errhint("ALTER EXTENSION outbox_ext UPDATE brings the objects that another version of the library needs.")));
}

/* A relation of the extension, or an index that came with it. */
static bool
is_member(Oid relation)
{
	Oid extension = OutboxExtensionOid(true);
	Oid table;

	if (get_rel_relkind(relation) != RELKIND_INDEX)
		return OidIsValid(extension) && getExtensionOfObject(RelationRelationId, relation) == extension;
	table = IndexGetRelation(relation, true);
	return OidIsValid(extension) && OidIsValid(table) && getExtensionOfObject(RelationRelationId, table) == extension &&
		(OidIsValid(get_index_constraint(relation)) || is_named_in_script(get_rel_name(relation)));
}

/* An index is no member of the extension whose script creates it; one without a constraint is known by its name. */
static bool
is_named_in_script(const char *index)
{
	static const char *const names[] = {
		"dead_letter_entry_state_stage_idx",
		"event_schema_event_type_id_version_key",
		"event_type_contract_id_idx",
		"held_event_letter_idx",
		"leaf_current_key",
		"replay_request_open_idx",
	};

	for (int i = 0; i < lengthof(names); i++)
	{
		if (strcmp(names[i], index) == 0)
			return true;
	}
	return false;
}

/* outbox.event or one of its leaves. */
static bool
is_written_past(Oid relation)
{
	Oid event = OutboxEventOid();

	return relation == event || (get_rel_relispartition(relation) && get_partition_parent(relation, true) == event);
}

/* Changes how a relation is stored or read, never what it is. */
static bool
is_harmless(AlterTableType type)
{
	switch (type)
	{
		case AT_SetStatistics:
		case AT_SetOptions:
		case AT_ResetOptions:
		case AT_SetStorage:
		case AT_SetCompression:
		case AT_ClusterOn:
		case AT_DropCluster:
		case AT_SetLogged:
		case AT_SetTableSpace:
		case AT_SetRelOptions:
		case AT_ResetRelOptions:
		case AT_ReplaceRelOptions:
		case AT_EnableTrig:
		case AT_EnableAlwaysTrig:
		case AT_EnableReplicaTrig:
		case AT_DisableTrig:
		case AT_EnableTrigAll:
		case AT_DisableTrigAll:
		case AT_EnableTrigUser:
		case AT_DisableTrigUser:
		case AT_ReplicaIdentity:
		case AT_ChangeOwner:
			return true;
		default:
			return false;
	}
}
