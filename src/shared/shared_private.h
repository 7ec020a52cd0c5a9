/*-------------------------------------------------------------------------
 *
 * shared_private.h
 *	  Shared by the files of shared/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_SHARED_SHARED_PRIVATE_H
#define OUTBOX_SHARED_SHARED_PRIVATE_H

#include "shared/outbox_shared.h"

/* ---- bulk_filter.c: Which keys a transaction with very many of them has locked. ---- */

extern void OutboxBulkFiltersRequest(void);
extern void OutboxBulkFiltersStartup(void);
extern bool OutboxBulkFilterMayHave(int filter, const uint64 *keys, int nkeys);

/* ---- key_ticket.c: Who reads which keys at commit, and who is next. ---- */

extern void OutboxTicketsRequest(void);
extern void OutboxTicketsStartup(void);
extern OutboxTicketInfo *OutboxTicketsList(int *n);

/* ---- shared_state.c: Layout of the shared memory; private to src/shared/ and the launcher. ---- */

extern OutboxDatabase *OutboxDatabaseSlot(int i);
extern OutboxDatabase *OutboxMyDatabase(void);
extern OutboxDatabase *OutboxMyDatabaseCached(void);
extern int OutboxMyRelaySlot(void);

/* ----
 * ticket_keys.c: Which keys a ticket stands for, and what a transaction asked for; private to key_ticket.c.
 * ---- */

typedef struct TicketPart
{
	uint64 lock_class;
	bool whole;
	int filter;
	int first; /* of its keys */
	int nkeys;
} TicketPart;

/* In shared memory. */
typedef struct TicketKeys
{
	Oid dboid;
	bool everything; /* all keys of the database */
	bool any_whole;
	uint64 mask; /* one bit per key, several for the same */
	int nparts;
	int nkeys;
	TicketPart parts[OUTBOX_TICKET_PARTS];
	uint64 keys[OUTBOX_TICKET_KEYS];
} TicketKeys;

/* What this transaction asked for at one nest level, in TopTransactionContext; the newest first. */
typedef struct Claim
{
	struct Claim *next;
	int nest_level;
	bool waits; /* the first one only */
	int nparts;
	OutboxTicketPart *parts;
} Claim;

extern void OutboxTicketKeysClear(TicketKeys *keys);
extern void OutboxTicketKeysAdd(TicketKeys *keys, const OutboxTicketPart *part);
extern bool OutboxTicketKeysInCommon(const TicketKeys *a, const TicketKeys *b);
extern Claim *OutboxClaimMake(const OutboxTicketPart *parts, int nparts, Claim *next);
extern Claim *OutboxClaimsMerge(Claim *claims);

#endif /* OUTBOX_SHARED_SHARED_PRIVATE_H */
