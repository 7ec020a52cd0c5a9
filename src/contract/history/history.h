/*-------------------------------------------------------------------------
 *
 * history.h
 *	  The schemas that were published before, and what changes against them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONTRACT_HISTORY_HISTORY_H
#define OUTBOX_CONTRACT_HISTORY_HISTORY_H

#include "nodes/pg_list.h"

#include "catalog/outbox_catalog.h"

/* What a consumer of one event type would meet. Texts in the memory context of the caller. */
typedef struct OutboxViolation
{
	const char *event_type;
	int32 against;         /* version of the pinned schema that it was compared with */
	const char *direction; /* backward: the new schema reads that one; forward: the other way round; NULL: neither */
	const char *severity;  /* error, warning */
	const char *rule;
	const char *path; /* empty: the whole message */
	const char *message;
	const char *remedy; /* SQL, or a sentence */
} OutboxViolation;

/* ---- history.c: comparing schemas with those that were pinned before ---- */

extern const char *OutboxCompatibility(const OutboxContractConfig *config);
extern void OutboxCheckLevel(const char *level);
extern char *OutboxRecordName(const OutboxContractConfig *config, const OutboxEventTypeConfig *type);
extern List *OutboxHistoryViolations(const OutboxContractConfig *config, const OutboxEventTypeConfig *type, const char *schema, const char *level);

/* ---- refuse.c: an error that names them ---- */

extern void OutboxRefuseViolations(const OutboxContractConfig *config, const List *violations, bool lasting);

#endif /* OUTBOX_CONTRACT_HISTORY_HISTORY_H */
