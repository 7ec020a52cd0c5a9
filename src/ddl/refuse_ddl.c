/*-------------------------------------------------------------------------
 *
 * refuse_ddl.c
 *	  Commands on our own objects that are refused before they lock anything.
 *
 * An event trigger sees each command before PostgreSQL runs it. This file finds
 * the relations that a command names. refuse_relation.c judges them, and
 * refuse_object.c judges other objects. Two kinds of commands are refused.
 *
 * The first kind comes from a role without rights on the object. PostgreSQL would
 * refuse it, too. But several commands lock the relation first and check rights
 * afterwards: CREATE RULE, CREATE TRIGGER, PARTITION OF, ATTACH, COMMENT and more.
 * While such a request waits, everybody else waits behind it. It takes no rights
 * to make it wait, either: PREPARE takes a conflicting lock.
 *
 * The second kind comes from the owner or a superuser, and would silently break
 * something later. Capture writes leaves without regard to indexes, triggers and
 * rules, and all our code knows names and columns. ALTER TABLE passes with the
 * subcommands on a list of harmless ones. A new one of a later PostgreSQL is
 * refused until somebody has looked at it.
 *
 * VACUUM and commands on event triggers fire no event trigger. VACUUM FULL of a
 * partitioned table waits for ACCESS EXCLUSIVE on its partitions, also without
 * rights. So there is a hook, too. It works where the library is loaded:
 * everywhere if it is preloaded.
 *
 * Relations are found by name, without a lock and without a check of rights on the
 * schema. Nothing is raised here about relations of others. Commands of our own
 * script and of the keeper pass.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_database.h"
#include "commands/event_trigger.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/syscache.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "ddl/ddl_private.h"

PG_FUNCTION_INFO_V1(outbox_refuse_ddl);

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
static bool is_harmless(AlterTableType type);

/* Installs the hook when the library is loaded. */
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

/* Judges the relations of VACUUM. Without names it vacuums only what the role may vacuum. */
static void
look_at_vacuum(const VacuumStmt *stmt)
{
	ListCell *lc;

	foreach (lc, stmt->rels)
	{
		const RangeVar *name = lfirst_node(VacuumRelation, lc)->relation;

		if (OutboxNamesRelation(name) && !owns_database())
			(void) OutboxRefuseStrangers(name, OUTBOX_ACL_MAINTAIN);
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
			OutboxRefuseOnLeaves(((const RuleStmt *) stmt)->relation, OUTBOX_OWNER_ONLY, T_RuleStmt);
			break;
		case T_CreateTrigStmt:
			OutboxRefuseOnLeaves(((const CreateTrigStmt *) stmt)->relation, ACL_TRIGGER, T_CreateTrigStmt);
			(void) OutboxRefuseStrangers(((const CreateTrigStmt *) stmt)->constrrel, OUTBOX_OWNER_ONLY);
			break;
		case T_IndexStmt:
			OutboxRefuseOnLeaves(((const IndexStmt *) stmt)->relation, OUTBOX_OWNER_ONLY, T_IndexStmt);
			break;
		case T_CreatePolicyStmt:
			OutboxRefuseChange(((const CreatePolicyStmt *) stmt)->table);
			break;
		case T_CreateStatsStmt:
			look_at_list(((const CreateStatsStmt *) stmt)->relations);
			break;
		case T_RangeVar: /* of a list */
			(void) OutboxRefuseStrangers((const RangeVar *) stmt, OUTBOX_OWNER_ONLY);
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
			(void) OutboxRefuseStrangers(((const AlterObjectDependsStmt *) stmt)->relation, OUTBOX_OWNER_ONLY);
			break;
		case T_RenameStmt:
			look_at_rename((const RenameStmt *) stmt);
			break;
		case T_DropStmt:
			if (((const DropStmt *) stmt)->removeType == OBJECT_INDEX)
				look_at_dropped_indexes(((const DropStmt *) stmt)->objects);
			break;
		case T_AlterObjectSchemaStmt:
			OutboxRefuseChange(((const AlterObjectSchemaStmt *) stmt)->relation);
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
	bool ours = OutboxNamesMember(stmt->relation);
	ListCell *lc;

	foreach (lc, stmt->cmds)
	{
		const AlterTableCmd *command = lfirst_node(AlterTableCmd, lc);

		if (ours && !is_harmless(command->subtype))
			OutboxRefuseChange(stmt->relation);
		look_at_subcommand(command);
	}
}

static void
look_at_subcommand(const AlterTableCmd *command)
{
	switch (command->subtype)
	{
		case AT_AddInherit:
			OutboxRefuseChange((const RangeVar *) command->def);
			break;
		case AT_AttachPartition:
			OutboxRefuseChange(((const PartitionCmd *) command->def)->name);
			break;
		case AT_DetachPartition:
		case AT_DetachPartitionFinalize:
			(void) OutboxRefuseStrangers(((const PartitionCmd *) command->def)->name, OUTBOX_OWNER_ONLY);
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
		OutboxRefuseChange(lfirst(lc));
	look_at_constraints(stmt->constraints);
	foreach (lc, stmt->tableElts)
	{
		if (IsA(lfirst(lc), ColumnDef))
			look_at_constraints(lfirst_node(ColumnDef, lc)->constraints);
		else if (IsA(lfirst(lc), Constraint))
			look_at_constraints(list_make1(lfirst(lc)));
	}
}

/* A foreign key locks the table that it refers to, so that table is judged, too. */
static void
look_at_constraints(const List *constraints)
{
	ListCell *lc;

	foreach (lc, constraints)
	{
		if (IsA(lfirst(lc), Constraint) && lfirst_node(Constraint, lc)->contype == CONSTR_FOREIGN)
			(void) OutboxRefuseStrangers(lfirst_node(Constraint, lc)->pktable, ACL_REFERENCES);
	}
}

static void
look_at_publication(const List *objects)
{
	ListCell *lc;

	foreach (lc, objects)
	{
		if (IsA(lfirst(lc), PublicationObjSpec) && lfirst_node(PublicationObjSpec, lc)->pubtable != NULL)
			(void) OutboxRefuseStrangers(lfirst_node(PublicationObjSpec, lc)->pubtable->relation, OUTBOX_OWNER_ONLY);
	}
}

/* The name of a relation, or of a part of one: there the relation's name comes first. */
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
		(void) OutboxRefuseStrangers(makeRangeVarFromNameList(names), OUTBOX_OWNER_ONLY);
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
			OutboxRefuseChange(stmt->relation);
	}
}

static void
look_at_dropped_indexes(const List *names)
{
	ListCell *lc;

	foreach (lc, names)
	{
		if (list_length(lfirst(lc)) <= 3)
			OutboxRefuseChange(makeRangeVarFromNameList(lfirst(lc)));
	}
}

/* Is the subcommand harmless? It changes how a relation is stored or read, never its definition. */
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
