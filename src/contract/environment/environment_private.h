/*-------------------------------------------------------------------------
 *
 * environment_private.h
 *	  Shared by the files of contract/environment/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONTRACT_ENVIRONMENT_ENVIRONMENT_PRIVATE_H
#define OUTBOX_CONTRACT_ENVIRONMENT_ENVIRONMENT_PRIVATE_H

#include "contract/environment/environment.h"
#include "contract/reach/reach.h"

/* ---- definer.c: Functions that may be called because they are SECURITY DEFINER. ---- */

extern void OutboxDefinerInit(void);
extern void OutboxCheckDefiner(Oid function);

/* ---- evaluation.c: The one way in and out for code that is parsed, planned or run for a contract. ---- */

extern bool OutboxEvaluatesForeignCode(void);
extern bool OutboxRunsCommands(void);

/* ---- evaluation_refuse.c: What code behind a contract must not do to a writer's session. ---- */

extern void OutboxRefuseInit(void);
extern void OutboxRefuseFunction(Oid function);

/* ---- plpgsql_types.c: Functions in PL/pgSQL that were compiled for somebody else. ---- */

extern void *OutboxWatchPlpgsql(void);
extern void OutboxUnwatchPlpgsql(void *caller);

/* ---- portals.c: The cursors of a session, kept from code behind a contract. ---- */

extern int OutboxFreezePortals(void);
extern void OutboxDropNewPortals(int mark);
extern void OutboxThawPortals(int mark);

/* ---- refuse_operators.c: Estimates call no functions that are refused to code behind a contract. ---- */

extern void OutboxRefuseOperatorsInit(void);

/* ---- settings.c: The settings under which contracts are evaluated, whatever the session has set. ---- */

/* The former values of the settings that are changed as variables, without the server's machinery for settings. */
#define OUTBOX_DIRECT_SETTINGS 5
typedef struct OutboxDirectSettings
{
	char *strings[OUTBOX_DIRECT_SETTINGS];
	int client_min_messages;
	int max_parallel_workers_per_gather;
} OutboxDirectSettings;

extern void OutboxPinDirectSettings(OutboxTraits traits, OutboxDirectSettings *saved);
extern void OutboxRestoreDirectSettings(const OutboxDirectSettings *saved);
extern void OutboxPinSettings(OutboxTraits traits);
extern const char *OutboxPinnedSetting(int n, const char **value, OutboxTraits *traits);

#endif /* OUTBOX_CONTRACT_ENVIRONMENT_ENVIRONMENT_PRIVATE_H */
