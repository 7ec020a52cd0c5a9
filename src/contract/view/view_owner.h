/*-------------------------------------------------------------------------
 *
 * view_owner.h
 *	  Whose rights a contract is evaluated with: the owner of its view.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_VIEW_OWNER_H
#define OUTBOX_VIEW_OWNER_H

#include "catalog/contract_config.h"

extern char *OutboxRoleId(Oid role);
extern char *OutboxRoleName(const char *name, const char *id);
extern bool OutboxViewOwnerChanged(const OutboxContractConfig *config);
extern void OutboxCheckViewOwnerUnchanged(const OutboxContractConfig *config);

#endif /* OUTBOX_VIEW_OWNER_H */
