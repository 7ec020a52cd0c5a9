/*-------------------------------------------------------------------------
 *
 * api_private.h
 *	  Shared by the files of contract/api/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONTRACT_API_API_PRIVATE_H
#define OUTBOX_CONTRACT_API_API_PRIVATE_H

#include "compat.h"
#include "contract/api/api.h"

/* ---- contract_api.c: What the SQL functions on contracts share. ---- */

extern void OutboxCheckSource(Oid source);
extern List *OutboxVersionsArg(FunctionCallInfo fcinfo, int arg, const OutboxContractConfig *config);
extern void OutboxPinSchemas(const OutboxContractConfig *config, List *types);
extern void OutboxPinInstead(OutboxContractConfig *config);
extern void OutboxPinVersionInstead(OutboxContractConfig *version);

/* ---- event_type_check.c: May this be an event type of the contract? ---- */

/* One as it shall be. */
typedef struct OutboxNewEventType
{
	const OutboxContractConfig *contract;
	OutboxEventTypeConfig config;
	const char *column; /* the one of previous that a check looks at */
	const char *emit;
	const char *tombstone;
	bool exists; /* and its name is its own */
} OutboxNewEventType;

extern char *OutboxDefaultCeType(const OutboxContractConfig *contract, const char *event_type);
extern void OutboxCheckEventType(OutboxNewEventType *type);
extern void OutboxCheckPreviousColumn(Oid view, const char *type, const List *previous, const char *column);

/* ---- alter.c: Contracts and event types that change. ---- */

/* What can be changed, as it shall be. max_fanout has a function of its own. */
typedef struct OutboxContractChange
{
	List *required; /* NULL: none beside key and aggregate_id */
	const char *on_invalid;
	const char *on_truncate;
	const char *compatibility;
} OutboxContractChange;

extern List *OutboxMergeNames(List *names, const List *more);
extern OutboxContractConfig *OutboxContractForChange(OutboxContractConfig *config);
extern void OutboxCheckVersionsRights(const List *versions);
extern bool OutboxContractDiffers(const OutboxContractConfig *config, const OutboxContractChange *change);
extern void OutboxAlterContract(OutboxContractConfig *config, const OutboxContractChange *change);
extern void OutboxAlterFanout(const OutboxContractConfig *config, Oid source, int32 max_fanout);
extern void OutboxCheckFanout(const OutboxContractConfig *config, Oid source, int32 max_fanout);
extern OutboxEventTypeConfig *OutboxEventTypeAsCreated(const OutboxEventTypeConfig *type);
extern OutboxEventTypeConfig *OutboxEventTypeForChange(const char *name, OutboxContractConfig **contract);
extern bool OutboxEventTypeDiffers(const OutboxEventTypeConfig *type, const OutboxEventTypeConfig *change);
extern void OutboxAlterEventType(OutboxContractConfig *contract, const OutboxEventTypeConfig *type, const OutboxEventTypeConfig *change);
extern bool OutboxSameNames(const List *a, const List *b);
extern bool OutboxSameText(const char *a, const char *b);
OUTBOX_NORETURN extern void OutboxRefuseAnother(const char *object, const char *property, const char *is, const char *wanted, const char *remedy);
extern const char *OutboxOneOf(const char *argument, const char *value, const char *first, const char *second);

/* ---- preflight.c: Would the registries take the schemas that are about to be pinned? ---- */

extern void OutboxPreflight(const OutboxContractConfig *config, List *types, List *schemas);

/* ---- source_trigger.c: The triggers that a contract has on its sources. ---- */

extern void OutboxDropTriggers(const OutboxContractConfig *config);
extern void OutboxCreateTriggersAlone(const OutboxContractConfig *config);

/* ---- version_check.c: What a new version of a contract must keep of the versions before it. ---- */

extern void OutboxCheckDraft(OutboxContractConfig *draft, const OutboxContractConfig *former);
extern void OutboxCheckVersionView(OutboxContractConfig *draft, const OutboxContractConfig *former);
extern bool OutboxVersionIsCompatible(OutboxContractConfig *draft, const OutboxContractConfig *former);

/* ---- version_sql.c: outbox.add_version(), outbox.drop_version(), outbox.retire_version(). ---- */

extern void OutboxSucceedVersion(OutboxContractConfig *version);

/* ---- version_publish.c: A draft becomes a version that is published. ---- */

extern void OutboxPublishDraft(OutboxContractConfig *draft);
extern void OutboxRetireVersion(const OutboxContractConfig *version);
extern void OutboxPinVersion(const OutboxContractConfig *config);
extern void OutboxPinNextVersion(OutboxContractConfig *config);
extern bool OutboxSchemasDiffer(const OutboxContractConfig *config);

/* ---- alter_event_type_sql.c: what an event type has of its own in one version ---- */

extern void OutboxAlterEventTypeVersion(FunctionCallInfo fcinfo);

#endif /* OUTBOX_CONTRACT_API_API_PRIVATE_H */
