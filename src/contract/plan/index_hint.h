/*-------------------------------------------------------------------------
 *
 * index_hint.h
 *	  Which indexes a contract's query would need.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_INDEX_HINT_H
#define OUTBOX_INDEX_HINT_H

#include "nodes/parsenodes.h"

#include "compat.h"

/*
 * Raises: the query would scan these tables (OIDs, as of OutboxScannedTables).
 * The hint names the indexes with which it would not, or says what else helps.
 */
OUTBOX_NORETURN extern void OutboxRefuseScans(const Query *query, const char *text, const char *subject, List *scanned);

#endif /* OUTBOX_INDEX_HINT_H */
