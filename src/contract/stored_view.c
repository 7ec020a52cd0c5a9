/*-------------------------------------------------------------------------
 *
 * stored_view.c
 *	  Creating a dropped view again as it was.
 *
 * The commands come from outbox.view_commands(), each with the role that runs
 * it: grants belong to whoever granted them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "contract/contract_api.h"
#include "contract/guard.h"
#include "contract/stored_view.h"

typedef struct StoredCommand
{
	char *role;
	char *text;
} StoredCommand;

static void create_view_step(void *arg);
static void revoke_all(const OutboxStoredView *view);

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

void
OutboxCreateStoredView(OutboxStoredView *view)
{
	ErrorData *error = OutboxRunGuarded(create_view_step, view, CurrentMemoryContext);

	if (error)
		ereport(ERROR,
				(errcode(error->sqlerrcode),
				 errmsg("could not create the view %s again: %s", view->name, error->message),
				 errdetail("The command was: %s", view->running),
				 errhint("Create the view by hand as the changed tables need it, with the columns that its contracts know, then try again: outbox.reattach() leaves views that exist as they are.")));
}

/*
 * A superuser creates the view and gives it away, because its owner need not
 * be allowed to create anything by now; anybody else creates it as its owner.
 */
static void
create_view_step(void *arg)
{
	OutboxStoredView *view = arg;
	ListCell *lc;

	foreach (lc, view->commands)
	{
		StoredCommand *command = lfirst(lc);
		bool first = lc == list_head(view->commands);

		view->running = command->text;
		OutboxRunAs(first && superuser() ? NULL : command->role, command->text);
		if (!first)
			continue;
		if (superuser())
			OutboxRunAs(NULL, psprintf("ALTER VIEW %s OWNER TO %s", view->name, quote_identifier(view->owner)));
		revoke_all(view);
	}
}

/* Default privileges may have granted what the view did not have. */
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

		OutboxRunAs(view->owner, psprintf("REVOKE ALL ON %s FROM %s", view->name, row[0]));
	}
}

void
OutboxRunAs(const char *role, const char *command)
{
	int nest_level = NewGUCNestLevel();
	Oid user;
	int sec_context;
	int rc;

	GetUserIdAndSecContext(&user, &sec_context);
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	if (role)
		SetUserIdAndSecContext(get_role_oid(role, false), sec_context | SECURITY_LOCAL_USERID_CHANGE);
	SPI_connect();
	rc = SPI_execute(command, false, 0);
	if (rc < 0)
		elog(ERROR, "SPI_execute failed: %s", SPI_result_code_string(rc));
	SPI_finish();
	SetUserIdAndSecContext(user, sec_context);
	AtEOXact_GUC(true, nest_level);
}
