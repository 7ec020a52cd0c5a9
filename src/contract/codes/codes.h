/*-------------------------------------------------------------------------
 *
 * codes.h
 *	  Code maps: legacy codes to canonical words.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONTRACT_CODES_CODES_H
#define OUTBOX_CONTRACT_CODES_CODES_H

#include "nodes/pg_list.h"

#include "catalog/outbox_catalog.h"

/* ---- code_map.c: outbox.decode(), and the codes that it did not know. ---- */

extern const char *OutboxUnknownCodes(void);
extern void OutboxForgetUnknownCodes(void);
extern List *OutboxMissingMaps(const OutboxContractConfig *config);

#endif /* OUTBOX_CONTRACT_CODES_CODES_H */
