/*-------------------------------------------------------------------------
 *
 * key_ticket.c
 *	  Who reads which keys at commit, and who is next.
 *
 * A transaction draws one ticket for all keys that it is going to read. Its turn
 * comes when nobody holds one of these keys, and nobody who came before waits for
 * one. So it waits for earlier tickets only: nobody waits in a circle, and nobody
 * is overtaken by a later ticket for the same key. Turns are given under one
 * exclusive lock, so two tickets with a common key are never held together.
 * capture/commit/README.md has the rules for transactions that draw again.
 *
 * A waiting session sleeps on its latch until the ticket in its way is gone
 * (ticket_queue.c).
 *
 * A session remembers what its ticket stands for (ticket_keys.c), part by part
 * with the nest level. When a subtransaction is rolled back, the held ticket is
 * made again from the parts that are left.
 *
 * A backend that dies without an abort takes all shared memory along.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"

#include "compat.h"
#include "shared/shared_private.h"

static Claim *claims = NULL; /* the newest first */
static LocalTransactionId claimed_by = InvalidLocalTransactionId;

static Ticket *my_ticket(int which);
static void release_at_exit(int code, Datum arg);
static void fill(Ticket *ticket, bool waiting);
static void take_turn(void);
static bool waits_for_lock(int proc);

static int
my_index(int which)
{
	return OutboxMyProcNumber() * TICKETS_PER_SESSION + which;
}

static Ticket *
my_ticket(int which)
{
	return &outbox_ticket_areas[my_index(which)];
}

/* ---- drawing, and waiting ------------------------------------------------------ */

/*
 * Draws a ticket for these keys of MyDatabaseId. Its place is behind all tickets
 * that have one of the keys. With `ahead`, or when this transaction holds a ticket
 * already, only held tickets are before it. True when it is its turn at once. The
 * ticket belongs to the present subtransaction. May raise before it is drawn, not
 * after.
 */
bool
OutboxTicketDraw(const OutboxTicketPart *parts, int nparts, bool ahead)
{
	static bool at_exit = false;
	Ticket *ticket = my_ticket(TICKET_WAITING);

	if (claimed_by != OutboxLocalTransactionId())
		OutboxTicketsForget();
	OutboxTicketReturn();
	claims = OutboxClaimsMerge(claims);
	claims = OutboxClaimMake(parts, nparts, claims);
	claimed_by = OutboxLocalTransactionId();
	if (!at_exit)
		on_shmem_exit(release_at_exit, 0);
	at_exit = true;
	LWLockAcquire(outbox_tickets->lock, LW_EXCLUSIVE);
	ticket->ahead = ahead || my_ticket(TICKET_HELD)->number != 0;
	if (my_ticket(TICKET_HELD)->number != 0)
		pg_atomic_write_u32(&my_ticket(TICKET_HELD)->reading, 1);
	fill(ticket, true);
	ticket->number = ++outbox_tickets->drawn;
	outbox_tickets->queue[outbox_tickets->nqueued++] = my_index(TICKET_WAITING);
	ticket->blocker = OutboxTicketBlocker(my_index(TICKET_WAITING));
	if (ticket->blocker == TICKET_NOBODY)
		take_turn();
	LWLockRelease(outbox_tickets->lock);
	return !claims->waits;
}

/*
 * The abort has already done this, unless an error kept it from it. Tickets name filters, so the filters go last.
 */
static void
release_at_exit(int code, Datum arg)
{
	OutboxTicketsForget();
	OutboxBulkFiltersForget();
}

/* Is it our turn? Then the keys are ours until the transaction ends. Our latch is set when it may be. Never raises. */
bool
OutboxTicketTurn(void)
{
	int index = my_index(TICKET_WAITING);
	bool turn;

	/* a ticket that leaves the queue resets it before our latch is set */
	if (*(volatile int *) &outbox_ticket_areas[index].blocker != TICKET_NOBODY)
		return false;
	LWLockAcquire(outbox_tickets->lock, LW_EXCLUSIVE);
	outbox_ticket_areas[index].blocker = OutboxTicketBlocker(index);
	turn = outbox_ticket_areas[index].blocker == TICKET_NOBODY;
	if (turn)
		take_turn();
	LWLockRelease(outbox_tickets->lock);
	return turn;
}

/* Under the lock: the keys that we waited for become part of our held ticket, and the others now wait for that one. */
static void
take_turn(void)
{
	Ticket *held = my_ticket(TICKET_HELD);

	claims->waits = false;
	pg_atomic_write_u32(&held->reading, 1);
	fill(held, false);
	OutboxTicketReplace(my_index(TICKET_WAITING), my_index(TICKET_HELD));
}

/*
 * The number of the held ticket that keeps us waiting because its owner still
 * reads; 0: the owner has read and commits. Never raises.
 *
 * When the ticket in our way waits itself, the ticket in its way is in ours, too.
 * An owner who waits for a lock of the server, or for further keys, counts as
 * reading: he may need us to give up.
 */
uint64
OutboxTicketReader(void)
{
	uint64 reader = 0;
	int index = my_index(TICKET_WAITING);

	LWLockAcquire(outbox_tickets->lock, LW_SHARED);
	for (int hops = 0; index != TICKET_NOBODY && !OutboxTicketIsHeld(index) && hops <= outbox_tickets->nqueued; hops++)
		index = outbox_ticket_areas[index].blocker;
	if (index != TICKET_NOBODY && OutboxTicketIsHeld(index) &&
		(pg_atomic_read_u32(&outbox_ticket_areas[index].reading) || waits_for_lock(index / TICKETS_PER_SESSION)))
		reader = outbox_ticket_areas[index].number;
	LWLockRelease(outbox_tickets->lock);
	return reader;
}

/* In the server's lock table. Read without a lock: an answer that is a moment old is good enough. */
static bool
waits_for_lock(int proc)
{
	return GetPGProcByNumber(proc)->waitStatus == PROC_WAIT_STATUS_WAITING;
}

/* Gives back the ticket whose turn has not come. Never raises. */
void
OutboxTicketReturn(void)
{
	if (claims == NULL || !claims->waits)
		return;
	claims = claims->next;
	LWLockAcquire(outbox_tickets->lock, LW_EXCLUSIVE);
	OutboxTicketLeaveQueue(my_index(TICKET_WAITING));
	LWLockRelease(outbox_tickets->lock);
}

/* Our reading is over: what comes now is the commit. Never raises. */
void
OutboxTicketHasRead(void)
{
	if (claims)
		pg_atomic_write_u32(&my_ticket(TICKET_HELD)->reading, 0);
}

/* ---- what a ticket stands for, and what is in its way: under the lock ----------- */

static void
fill(Ticket *ticket, bool waiting)
{
	ticket->pid = MyProcPid;
	OutboxTicketKeysClear(&ticket->keys);
	for (const Claim *claim = claims; claim; claim = claim->next)
	{
		for (int i = 0; i < claim->nparts && claim->waits == waiting; i++)
			OutboxTicketKeysAdd(&ticket->keys, &claim->parts[i]);
	}
}

/* ---- the end ---------------------------------------------------------------------- */

/* A subtransaction at this nest level commits: its claims belong to the level around it. Never raises. */
void
OutboxTicketsPromote(int nest_level)
{
	for (Claim *claim = claims; claim && claim->nest_level >= nest_level; claim = claim->next)
		claim->nest_level = nest_level - 1;
}

/* A subtransaction at this nest level is rolled back: its keys are given back. Never raises. */
void
OutboxTicketsDrop(int nest_level)
{
	bool dropped = false;

	OutboxTicketReturn();
	while (claims && claims->nest_level >= nest_level)
	{
		claims = claims->next;
		dropped = true;
	}
	if (!dropped)
		return;
	LWLockAcquire(outbox_tickets->lock, LW_EXCLUSIVE);
	if (claims)
	{
		fill(my_ticket(TICKET_HELD), false);
		OutboxTicketWakeBehind(my_index(TICKET_HELD));
	}
	else
		OutboxTicketLeaveQueue(my_index(TICKET_HELD));
	LWLockRelease(outbox_tickets->lock);
}

/*
 * The transaction has ended, and everybody sees what it did: all its keys are given back. Called before the filters that
 * tickets name are given back. Never raises.
 */
void
OutboxTicketsForget(void)
{
	if (claims == NULL)
		return;
	claims = NULL;
	LWLockAcquire(outbox_tickets->lock, LW_EXCLUSIVE);
	OutboxTicketLeaveQueue(my_index(TICKET_WAITING));
	OutboxTicketLeaveQueue(my_index(TICKET_HELD));
	LWLockRelease(outbox_tickets->lock);
}
