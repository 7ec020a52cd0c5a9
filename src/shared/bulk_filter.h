/*-------------------------------------------------------------------------
 *
 * bulk_filter.h
 *	  Which keys a transaction with very many of them has locked.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_BULK_FILTER_H
#define OUTBOX_BULK_FILTER_H

/* Called by shared_state.c, while it requests and initialises the shared memory. */
extern void OutboxBulkFiltersRequest(void);
extern void OutboxBulkFiltersStartup(void);

/* ---- the transaction with very many keys ---- */

/*
 * Claims an empty filter for a lock class of MyDatabaseId, at the present nest
 * level; -1 when none is free, there is no room, or no shared memory. Nobody
 * else sees it before it is published. Never raises.
 */
extern int OutboxBulkFilterCreate(uint64 lock_class, uint64 nkeys);
extern void OutboxBulkFilterAdd(int filter, uint64 hash);
extern void OutboxBulkFilterPublish(int filter);

/* Lets this transaction's published filter of that class stand for every key; false: it has none. */
extern bool OutboxBulkFilterCoverAll(uint64 lock_class);

/*
 * The end of a subtransaction at this nest level, and of the transaction:
 * filters go before the locks that they belong to. Never raise.
 */
extern void OutboxBulkFiltersPromote(int nest_level);
extern void OutboxBulkFiltersDrop(int nest_level);
extern void OutboxBulkFiltersForget(void);

/* ---- the others ---- */

typedef enum OutboxBulkAnswer
{
	OUTBOX_BULK_NO_FILTER,
	OUTBOX_BULK_MAY_HAVE, /* one of the keys, rarely by mistake */
	OUTBOX_BULK_HAS_NOT   /* any of them, certainly */
} OutboxBulkAnswer;

/* What the published filter of that class in MyDatabaseId says. */
extern OutboxBulkAnswer OutboxBulkFilterAsk(uint64 lock_class, const uint64 *hashes, int nhashes);

#endif /* OUTBOX_BULK_FILTER_H */
