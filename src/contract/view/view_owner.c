/*-------------------------------------------------------------------------
 *
 * view_owner.c
 *	  Whose rights a contract is evaluated with: the owner of its view.
 *
 * A role that enables a contract agrees that the functions of its view run with the
 * rights of the view's owner, in the transactions of all writers. REASSIGN OWNED and ALTER VIEW OWNER
 * silently change that owner: functions of a role that has left would run with the
 * rights of its successor, perhaps a superuser. So enable() remembers the owner. A
 * contract whose view has another owner is not evaluated until somebody enables it
 * again.
 *
 * A role is remembered by its name and by its oid. The name survives a dump and
 * restore. The oid is meaningful in its own cluster only, and survives ALTER ROLE
 * RENAME. Either of them is proof.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "catalog/outbox_catalog.h"
#include "contract/view/view_private.h"
#include "util/util.h"


/* An id by which OutboxRoleName() finds the role again in this cluster, even after it was renamed; palloc'd. */
char *
OutboxRoleId(Oid role)
{
	return psprintf(UINT64_FORMAT "/%u", GetSystemIdentifier(), role);
}

/*
 * The present name of a role that was remembered by name and id; either may be
 * NULL. It is the remembered name, unless the id is of this cluster and its role
 * has another name by now. NULL when there is no such role.
 */
char *
OutboxRoleName(const char *name, const char *id)
{
	char *cluster = psprintf(UINT64_FORMAT "/", GetSystemIdentifier());
	char *present = NULL;

	if (id && strncmp(id, cluster, strlen(cluster)) == 0)
		present = GetUserNameFromId(atooid(id + strlen(cluster)), true);
	if (present)
		return present;
	return name && OidIsValid(get_role_oid(name, true)) ? pstrdup(name) : NULL;
}

/* Has the view another owner than when the contract was enabled? False for a contract that was never enabled, or whose view is gone. */
bool
OutboxViewOwnerChanged(const OutboxContractConfig *config)
{
	Oid owner;
	char *name;

	if (config->owner == NULL || get_rel_relkind(config->view) == '\0')
		return false;
	owner = OutboxRelationOwner(config->view);
	name = GetUserNameFromId(owner, true);
	if (name && strcmp(name, config->owner) == 0)
		return false;
	return config->owner_id == NULL || strcmp(OutboxRoleId(owner), config->owner_id) != 0;
}

/* Raises when the view has another owner than when the contract was enabled. */
void
OutboxCheckViewOwnerUnchanged(const OutboxContractConfig *config)
{
	char *former;

	if (!OutboxViewOwnerChanged(config))
		return;
	former = OutboxRoleName(config->owner, config->owner_id);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the view of contract \"%s\" belongs to role \"%s\" now", config->name,
					GetUserNameFromId(OutboxRelationOwner(config->view), false)),
			 errdetail("When it was enabled, \"%s\" owned the view. All functions that the view calls run with the rights of its owner.", config->owner),
			 former ? errhint("ALTER VIEW %s OWNER TO %s; or see what the view calls, and let the present owner evaluate it: SELECT outbox.enable('%s');",
							  OutboxQualifiedName(config->view), quote_identifier(former), config->name)
					: errhint("See what the view calls, and let the present owner evaluate it: SELECT outbox.enable('%s');", config->name)));
}
