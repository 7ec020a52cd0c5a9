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
 * Claims an empty filter at the present nest level; -1 when none is free, there
 * is no room, or no shared memory. Its owner fills it before anybody else asks
 * it, and it does not change any more then. Never raises.
 */
extern int OutboxBulkFilterCreate(uint64 nkeys);
extern void OutboxBulkFilterAdd(int filter, uint64 key);

/*
 * The end of a subtransaction at this nest level, and of the transaction: when
 * nobody asks the filters any more. Never raise.
 */
extern void OutboxBulkFiltersPromote(int nest_level);
extern void OutboxBulkFiltersDrop(int nest_level);
extern void OutboxBulkFiltersForget(void);

/* ---- the others ---- */

/* One of the keys, rarely by mistake; false: none of them, certainly. */
extern bool OutboxBulkFilterMayHave(int filter, const uint64 *keys, int nkeys);

#endif /* OUTBOX_BULK_FILTER_H */
