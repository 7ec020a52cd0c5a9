/*-------------------------------------------------------------------------
 *
 * stored_view.c
 *	  Creating a dropped view again as it was.
 *
 * The commands come from outbox_internal.view_commands(), each with the role that
 * runs it: the view's owner, or the role that had granted a right.
 *
 * A command runs code of the view's owner: a literal of a type with checks runs them
 * when it is parsed. So the caller lends no rights. The view is created with the
 * owner's rights; where these are not enough, the error names the GRANT. Code of
 * other owners is refused (trust.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/comment.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/environment/environment.h"
#include "contract/reach/reach.h"
#include "contract/view/view_private.h"
#include "util/util.h"

typedef struct StoredCommand
{
	char *role;
	char *text;
} StoredCommand;

static void run_as(const char *role, const char *command);
static void create_view_step(void *arg);
static bool is_key_view(const OutboxStoredView *view);
static void create_key_view(OutboxStoredView *view);
static void check_schema(const OutboxStoredView *view);
static void check_command(const OutboxStoredView *view, const char *command);
static const char *hint(const OutboxStoredView *view, const ErrorData *error);
static void revoke_all(const OutboxStoredView *view);
static void execute(const char *command);

/* Adds a command to the last view of the list, or to a new view when the name is another. Returns the list. */
List *
OutboxStoredViewAdd(List *views, char *name, char *owner, char *role, char *command)
{
	OutboxStoredView *view = views ? llast(views) : NULL;
	StoredCommand *stored = palloc(sizeof(StoredCommand));

	if (view == NULL || strcmp(view->name, name) != 0)
	{
		view = palloc0(sizeof(OutboxStoredView));
		view->name = name;
		view->owner = owner;
		views = lappend(views, view);
	}
	stored->role = role;
	stored->text = command;
	view->commands = lappend(view->commands, stored);
	return views;
}

/* Raises unless the caller has the rights of the view's owner. */
void
OutboxCheckViewOwner(const char *view, const char *owner)
{
	if (has_privs_of_role(GetUserId(), get_role_oid(owner, false)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("must have the rights of role \"%s\", the owner of the view %s", owner, view),
			 errhint("Become a member of that role, or let it call the function.")));
}

/* Creates the view with its comments, options and grants. Raises, naming the view and the command, when that fails. */
void
OutboxCreateStoredView(OutboxStoredView *view)
{
	ErrorData *error;

	check_schema(view);
	error = OutboxRunGuarded(create_view_step, view, CurrentMemoryContext);
	if (error)
		ereport(ERROR,
				(errcode(error->sqlerrcode),
				 errmsg("could not create the view %s again: %s", view->name, error->message),
				 error->detail ? errdetail("%s The command was: %s", error->detail, view->running)
							   : errdetail("The command was: %s", view->running),
				 errhint("%s", hint(view, error))));
}

/* Raises unless the owner may create views in the schema, which it may need for nothing else. */
static void
check_schema(const OutboxStoredView *view)
{
	Oid owner = get_role_oid(view->owner, false);
	char *name = makeRangeVarFromNameList(OutboxQualifiedNameList(view->name))->schemaname;

	if (name == NULL || is_key_view(view) || OutboxMayCreateIn(get_namespace_oid(name, false), owner))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("role \"%s\" may not create its view %s again", view->owner, view->name),
			 errdetail("A view is created with the rights of its owner, because creating it may run the owner's code."),
			 errhint("GRANT USAGE, CREATE ON SCHEMA %s TO %s; REVOKE it when the view is there.", quote_identifier(name),
					 quote_identifier(view->owner))));
}

static void
create_view_step(void *arg)
{
	OutboxStoredView *view = arg;
	ListCell *lc;

	if (is_key_view(view))
	{
		create_key_view(view);
		return;
	}
	foreach (lc, view->commands)
	{
		StoredCommand *command = lfirst(lc);

		view->running = command->text;
		check_command(view, command->text);
		run_as(command->role, command->text);
		if (lc == list_head(view->commands) && !view->replaces)
			revoke_all(view);
	}
}

/* Is it the view of a key_query, in our schema? */
static bool
is_key_view(const OutboxStoredView *view)
{
	const char *schema = makeRangeVarFromNameList(OutboxQualifiedNameList(view->name))->schemaname;

	return schema && strcmp(schema, OUTBOX_INTERNAL_SCHEMA) == 0;
}

/* Creates the view of a key_query. Its owner may not even name our schema, so the commands are carried out here without being run. */
static void
create_key_view(OutboxStoredView *view)
{
	Oid owner = get_role_oid(view->owner, false);
	Oid relation = InvalidOid;
	ListCell *lc;

	foreach (lc, view->commands)
	{
		const char *text = ((StoredCommand *) lfirst(lc))->text;
		RawStmt *raw;
		OutboxEvaluation scope;

		view->running = text;
		check_command(view, text);
		OutboxCommandScopeBegin(&scope, owner);
		raw = linitial_node(RawStmt, raw_parser(text, RAW_PARSE_DEFAULT));
		if (IsA(raw->stmt, ViewStmt))
		{
			raw->stmt = castNode(ViewStmt, raw->stmt)->query;
			raw->stmt_len = 0;
			relation = OutboxRestoreKeyView(makeRangeVarFromNameList(OutboxQualifiedNameList(view->name))->relname, owner,
											parse_analyze_fixedparams(raw, text, NULL, 0, NULL));
		}
		else if (IsA(raw->stmt, CommentStmt) && castNode(CommentStmt, raw->stmt)->objtype == OBJECT_VIEW)
			CreateComments(relation, RelationRelationId, 0, castNode(CommentStmt, raw->stmt)->comment);
		OutboxCommandScopeEnd(&scope);
	}
}

/* Raises when parsing the command would run code of others. Looks with the rights of the owner, who may not see every type. */
static void
check_command(const OutboxStoredView *view, const char *command)
{
	OutboxRunner runner = {.role = get_role_oid(view->owner, false)};
	OutboxEvaluation scope;

	runner.what = psprintf("the view %s", view->name);
	OutboxCommandScopeBegin(&scope, runner.role);
	OutboxCheckTextTrust(&runner, (Node *) raw_parser(command, RAW_PARSE_DEFAULT), NULL);
	OutboxCommandScopeEnd(&scope);
}

static const char *
hint(const OutboxStoredView *view, const ErrorData *error)
{
	if (is_key_view(view))
		return "Drop the contract that it belongs to, call outbox.reattach() again, and create the contract anew with a key_query that fits the changed tables.";
	if (error->hint)
		return error->hint;
	if (error->sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE)
		return psprintf("Grant what is denied to role %s, and try again.", quote_identifier(view->owner));
	return "Create the view by hand as the changed tables need it, with the columns that its contracts know, then try again: outbox.reattach() leaves views that exist as they are.";
}

/* Revokes all grants: default privileges may have added some that the view did not have. */
static void
revoke_all(const OutboxStoredView *view)
{
	const char *args[] = {view->name};
	List *grantees = OutboxExecuteRows("SELECT DISTINCT coalesce(quote_ident(r.rolname), 'PUBLIC')"
									   " FROM pg_class c CROSS JOIN aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee"
									   " WHERE c.oid = $1::regclass AND a.grantee <> c.relowner",
									   lengthof(args), args);
	ListCell *lc;

	foreach (lc, grantees)
	{
		char **row = lfirst(lc);

		run_as(view->owner, psprintf("REVOKE ALL ON %s FROM %s", view->name, row[0]));
	}
}

/*
 * From here to OutboxCommandScopeEnd() commands run with the rights of a role, in a
 * security-restricted operation, and with the settings under which constants in the
 * commands are printed and read again. The abort of the (sub)transaction ends it,
 * too.
 */
void
OutboxCommandScopeBegin(OutboxEvaluation *scope, Oid role)
{
	OutboxEvaluationBegin(scope, role, OUTBOX_ANYTHING | OUTBOX_COMMANDS);
}

void
OutboxCommandScopeEnd(const OutboxEvaluation *scope)
{
	OutboxEvaluationEnd(scope);
}

/*
 * Runs a command with the rights of a role, in a security-restricted operation and
 * with pinned settings: nothing of the session has an influence.
 */
static void
run_as(const char *role, const char *command)
{
	OutboxEvaluation scope;

	OutboxCommandScopeBegin(&scope, get_role_oid(role, false));
	/* an event trigger that logs statements sees this command, and not the caller's */
	debug_query_string = command;
	execute(command);
	OutboxCommandScopeEnd(&scope);
}

/* Runs a command with the caller's rights and search_path = pg_catalog, pg_temp. It must not run code of others. */
void
OutboxRunAsCaller(const char *command)
{
	int nest_level = NewGUCNestLevel();

	OutboxSetInScope("search_path", "pg_catalog, pg_temp");
	execute(command);
	AtEOXact_GUC(false, nest_level);
}

static void
execute(const char *command)
{
	SPI_connect();
	(void) OutboxRun(command, OUTBOX_NO_ARGS);
	SPI_finish();
}
