/*-------------------------------------------------------------------------
 *
 * ticket_keys.h
 *	  Which keys a ticket stands for, and what a transaction asked for; private
 *	  to key_ticket.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_TICKET_KEYS_H
#define OUTBOX_TICKET_KEYS_H

#include "shared/key_ticket.h"

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

/* Of MyDatabaseId, none yet. */
extern void OutboxTicketKeysClear(TicketKeys *keys);

/* Where there is no room, more than the part. */
extern void OutboxTicketKeysAdd(TicketKeys *keys, const OutboxTicketPart *part);

extern bool OutboxTicketKeysInCommon(const TicketKeys *a, const TicketKeys *b);

/* What this transaction asked for at one nest level, in TopTransactionContext; the newest first. */
typedef struct Claim
{
	struct Claim *next;
	int nest_level;
	bool waits; /* the first one only */
	int nparts;
	OutboxTicketPart *parts;
} Claim;

/* A copy of the parts, at the present nest level, in front of the others. */
extern Claim *OutboxClaimMake(const OutboxTicketPart *parts, int nparts, Claim *next);

/* Claims of one nest level made one; returns the first that is left. */
extern Claim *OutboxClaimsMerge(Claim *claims);

#endif /* OUTBOX_TICKET_KEYS_H */
