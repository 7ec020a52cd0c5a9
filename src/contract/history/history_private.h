/*-------------------------------------------------------------------------
 *
 * history_private.h
 *	  Shared by the files of contract/history/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONTRACT_HISTORY_HISTORY_PRIVATE_H
#define OUTBOX_CONTRACT_HISTORY_HISTORY_PRIVATE_H

#include "avro/compatible/compatible.h"
#include "contract/history/history.h"

/* ---- promise.c: what a contract promises beside its schemas ---- */

/* As a pinned schema's row has it; NULL: not known, so not compared. */
typedef struct OutboxPromise
{
	const char *key;
	const char *aggregate_id;
	const char *emit;
	const char *tombstone;
} OutboxPromise;

extern List *OutboxPromiseViolations(const OutboxContractConfig *config, const OutboxEventTypeConfig *type, int32 against, const OutboxPromise *before);

/* ---- remedy.c: what makes a schema compatible again ---- */

extern const char *OutboxBesideRemedy(const OutboxContractConfig *config);
extern const char *OutboxRemedy(const OutboxContractConfig *config, AvroRule rule, bool forward, const char *path, const AvroNode *older, const AvroNode *newer);

#endif /* OUTBOX_CONTRACT_HISTORY_HISTORY_PRIVATE_H */
