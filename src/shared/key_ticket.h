/*-------------------------------------------------------------------------
 *
 * key_ticket.h
 *	  Who reads which keys at commit, and who is next.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_KEY_TICKET_H
#define OUTBOX_KEY_TICKET_H

/* Called by shared_state.c, while it requests and initialises the shared memory. */
extern void OutboxTicketsRequest(void);
extern void OutboxTicketsStartup(void);

/* What a ticket has room for; keys beyond it stand for their whole classes, classes beyond it for everything. */
#define OUTBOX_TICKET_KEYS 512
#define OUTBOX_TICKET_PARTS 16

/* Keys of one lock class, or all of them. */
typedef struct OutboxTicketPart
{
	uint64 lock_class;
	bool whole; /* very many keys */
	int filter; /* which they are (shared/bulk_filter.h), or -1: unknown */
	int nkeys;
	uint64 *keys; /* sorted, without duplicates */
} OutboxTicketPart;

/* Sorts keys and removes duplicates; returns how many are left. */
extern int OutboxSortKeys(uint64 *keys, int nkeys);

/* True when the library was preloaded. */
extern bool OutboxTicketsAvailable(void);

/*
 * Draws a ticket for these keys of MyDatabaseId, behind all tickets that have
 * one of them, or `ahead` of all who wait, behind those that are held; so it is,
 * too, when this transaction holds a ticket already. True when it is its turn at once. The ticket belongs
 * to the present subtransaction. May raise before it is drawn, not after.
 */
extern bool OutboxTicketDraw(const OutboxTicketPart *parts, int nparts, bool ahead);

/* Is it our turn? Then the keys are ours to the end of the transaction. Our latch is set when it may be. Never raises. */
extern bool OutboxTicketTurn(void);

/*
 * The ticket whose holder keeps us waiting by reading; 0: whoever holds what
 * we wait for has read and commits. Never raises.
 */
extern uint64 OutboxTicketReader(void);

/* Gives back the ticket whose turn has not come. Never raises. */
extern void OutboxTicketReturn(void);

/* Our reading is over: what comes now is the commit. Never raises. */
extern void OutboxTicketHasRead(void);

/*
 * The end of a subtransaction at this nest level, and of the transaction, when
 * everybody sees what it did: before the filters of the tickets go. Never raise.
 */
extern void OutboxTicketsPromote(int nest_level);
extern void OutboxTicketsDrop(int nest_level);
extern void OutboxTicketsForget(void);

/* A ticket of MyDatabaseId. */
typedef struct OutboxTicketInfo
{
	int pid;
	bool waits;
	bool reads;       /* else, when it does not wait, it commits */
	int nkeys;        /* -1: very many */
	int blocking_pid; /* 0: nobody is known to be in the way */
} OutboxTicketInfo;

/* All of them in the order in which they were drawn, in CurrentMemoryContext. */
extern OutboxTicketInfo *OutboxTicketsList(int *n);

#endif /* OUTBOX_KEY_TICKET_H */
