/*-------------------------------------------------------------------------
 *
 * code_map.h
 *	  Code maps: legacy codes to canonical words.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CODE_MAP_H
#define OUTBOX_CODE_MAP_H

#include "nodes/pg_list.h"

#include "catalog/contract_config.h"

/*
 * The codes that outbox.decode() did not know since OutboxForgetUnknownCodes(),
 * as a list for people; NULL: none. Valid until the next decode().
 */
extern const char *OutboxUnknownCodes(void);
extern void OutboxForgetUnknownCodes(void);

/*
 * The maps (of char *) that the contract names by constants in calls of
 * outbox.decode() and that do not exist: every code becomes NULL.
 */
extern List *OutboxMissingMaps(const OutboxContractConfig *config);

#endif /* OUTBOX_CODE_MAP_H */
