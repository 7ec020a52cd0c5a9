/*-------------------------------------------------------------------------
 *
 * api_private.h
 *	  Shared by the files of contract/api/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONTRACT_API_API_PRIVATE_H
#define OUTBOX_CONTRACT_API_API_PRIVATE_H

#include "contract/api/api.h"

/* ---- contract_api.c: What the SQL functions on contracts share. ---- */

extern void OutboxCheckSource(Oid source);
extern void OutboxPinSchemas(const OutboxContractConfig *config, List *types);
extern void OutboxPinInstead(OutboxContractConfig *config);

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
extern bool OutboxContractDiffers(const OutboxContractConfig *config, const OutboxContractChange *change);
extern void OutboxAlterContract(OutboxContractConfig *config, const OutboxContractChange *change);
extern void OutboxAlterFanout(const OutboxContractConfig *config, Oid source, int32 max_fanout);
extern void OutboxCheckFanout(const OutboxContractConfig *config, Oid source, int32 max_fanout);
extern OutboxEventTypeConfig *OutboxEventTypeForChange(const char *name, OutboxContractConfig **contract);
extern bool OutboxEventTypeDiffers(const OutboxEventTypeConfig *type, const OutboxEventTypeConfig *change);
extern void OutboxAlterEventType(OutboxContractConfig *contract, const OutboxEventTypeConfig *type, const OutboxEventTypeConfig *change);
extern bool OutboxSameNames(const List *a, const List *b);
extern void OutboxRefuseAnother(const char *object, const char *property, const char *is, const char *wanted, const char *remedy) pg_attribute_noreturn();
extern const char *OutboxOneOf(const char *argument, const char *value, const char *first, const char *second);

/* ---- source_trigger.c: The triggers that a contract has on its sources. ---- */

extern void OutboxDropTriggers(const OutboxContractConfig *config);

#endif /* OUTBOX_CONTRACT_API_API_PRIVATE_H */
