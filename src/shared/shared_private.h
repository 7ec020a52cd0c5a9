/*-------------------------------------------------------------------------
 *
 * shared_private.h
 *	  Shared by the files of shared/ alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_SHARED_SHARED_PRIVATE_H
#define OUTBOX_SHARED_SHARED_PRIVATE_H

#include "shared/shared_layout.h"

/* ---- bulk_filter.c: the keys of transactions with very many of them ---- */

extern void OutboxBulkFiltersRequest(void);
extern void OutboxBulkFiltersStartup(void);
extern bool OutboxBulkFilterMayHave(int filter, const uint64 *keys, int nkeys);

/* ---- shared_state.c, database_entry.c, relay_slots.c: the entries of databases and relays ---- */

extern OutboxDatabase *OutboxDatabaseEntry(int i);
extern OutboxDatabase *OutboxMyDatabase(void);
extern OutboxDatabase *OutboxMyDatabaseCached(void);
extern int OutboxMyRelaySlot(void);
extern int OutboxRelaySlotOf(Oid dboid, Oid installation, int32 sink_id);

/* ---- acked.c: how far the relay of each sink is acknowledged ---- */

extern void OutboxAckedStartup(OutboxAckedSlot *slots);
extern void OutboxAckedForget(int slot);

/* ---- ticket_keys.c: which keys a ticket stands for, and what a transaction asked for ---- */

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

/* ---- ticket_queue.c: the tickets of all sessions, in the order of drawing ---- */

/* A session has room for the ticket that it holds, and for the one that it waits with. */
#define TICKET_HELD 0
#define TICKET_WAITING 1
#define TICKETS_PER_SESSION 2

#define TICKET_NOBODY (-1)

/* All of it under the lock, but `reading`, which only its owner sets. */
typedef struct Ticket
{
	uint64 number; /* 0: not in the queue */
	int pid;
	bool ahead;  /* of all who wait: only held tickets are in its way */
	int blocker; /* a ticket that is in its way, or TICKET_NOBODY: look again */
	pg_atomic_uint32 reading;
	TicketKeys keys;
} Ticket;

typedef struct Tickets
{
	LWLock *lock;
	uint64 drawn;
	int nqueued;
	int queue[FLEXIBLE_ARRAY_MEMBER]; /* indexes of tickets in the order of drawing */
} Tickets;

extern Tickets *outbox_tickets;     /* NULL without preloading */
extern Ticket *outbox_ticket_areas; /* TICKETS_PER_SESSION of each session */

extern void OutboxTicketsRequest(void);
extern void OutboxTicketsStartup(void);
extern bool OutboxTicketIsHeld(int index);
extern int OutboxTicketBlocker(int index);
extern void OutboxTicketReplace(int index, int by);
extern void OutboxTicketLeaveQueue(int index);
extern void OutboxTicketWakeBehind(int index);

#endif /* OUTBOX_SHARED_SHARED_PRIVATE_H */
