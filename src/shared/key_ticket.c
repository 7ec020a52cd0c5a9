/*-------------------------------------------------------------------------
 *
 * key_ticket.c
 *	  Who reads which keys at commit, and who is next.
 *
 * A transaction draws one ticket for all keys that it is going to read, and
 * its turn comes when nobody holds one of them and nobody who came before waits
 * for one. So it waits for earlier tickets only: nobody waits in a circle, and
 * nobody is overtaken by who wants the same. Turns are given under one
 * exclusive lock, so that no two tickets with a common key are ever held
 * together; capture/commit/README.md has the rules of those that come again.
 *
 * The queue is a list of tickets in the order in which they were drawn, and
 * every session has room for two: the one it holds, and the one that it waits
 * with. Room never runs out, since a ticket with too many keys stands for more
 * than it has. Who waits remembers one ticket that is in its way, and sleeps on
 * its latch until that one is gone. Comparing tickets is cheap: one word says
 * of nearly all pairs that they have nothing in common.
 *
 * What a ticket stands for (ticket_keys.c) is remembered by its session, part by
 * part with its nest level, and what is held is made of it again when a
 * subtransaction is rolled back.
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

#define TRANCHE "outbox_key_tickets"

/* What a session has: the ticket that it holds, and the one that it waits with. */
#define HELD 0
#define WAITING 1
#define PER_SESSION 2

#define NOBODY (-1)

/* All of it under the lock, but `reading`, which only its owner sets. */
typedef struct Ticket
{
	uint64 number; /* 0: not in the queue */
	int pid;
	bool ahead;  /* of all who wait: only held tickets are in its way */
	int blocker; /* a ticket that is in its way, or NOBODY: look again */
	pg_atomic_uint32 reading;
	TicketKeys keys;
} Ticket;

typedef struct Tickets
{
	LWLock *lock;
	uint64 drawn;
	int nqueued;
	int queue[FLEXIBLE_ARRAY_MEMBER]; /* in the order of drawing */
} Tickets;

static Tickets *shared = NULL; /* NULL without preloading */
static Ticket *tickets;

static Claim *claims = NULL; /* the newest first */
static LocalTransactionId claimed_by = InvalidLocalTransactionId;

static Ticket *my_ticket(int which);
static bool is_held(int index);
static void release_at_exit(int code, Datum arg);
static void fill(Ticket *ticket, bool waiting);
static int find_blocker(int index);
static bool in_the_way(const Ticket *mine, int index);
static void take_turn(void);
static bool waits_for_lock(int proc);
static int *place_of(int index);
static void leave_queue(int index);
static void wake_those_behind(int index);

static Size
queue_size(void)
{
	return add_size(offsetof(Tickets, queue), mul_size(sizeof(int), MaxBackends * PER_SESSION));
}

static Size
tickets_size(void)
{
	return mul_size(sizeof(Ticket), MaxBackends * PER_SESSION);
}

/* Called by shared_state.c, while it requests and initialises the shared memory. */
void
OutboxTicketsRequest(void)
{
	RequestAddinShmemSpace(CACHELINEALIGN(queue_size()));
	RequestAddinShmemSpace(CACHELINEALIGN(tickets_size()));
	RequestNamedLWLockTranche(TRANCHE, 1);
}

void
OutboxTicketsStartup(void)
{
	bool found;

	shared = ShmemInitStruct("outbox_ext key tickets", queue_size(), &found);
	if (!found)
	{
		memset(shared, 0, queue_size());
		shared->lock = &GetNamedLWLockTranche(TRANCHE)[0].lock;
	}
	tickets = ShmemInitStruct("outbox_ext key ticket area", tickets_size(), &found);
	for (int i = 0; i < MaxBackends * PER_SESSION && !found; i++)
	{
		tickets[i].number = 0;
		pg_atomic_init_u32(&tickets[i].reading, 0);
	}
}

/* True when the library was preloaded. */
bool
OutboxTicketsAvailable(void)
{
	return shared != NULL;
}

static int
my_index(int which)
{
	return OutboxMyProcNumber() * PER_SESSION + which;
}

static Ticket *
my_ticket(int which)
{
	return &tickets[my_index(which)];
}

static bool
is_held(int index)
{
	return index % PER_SESSION == HELD;
}

/* ---- drawing, and waiting ------------------------------------------------------ */

/*
 * Draws a ticket for these keys of MyDatabaseId, behind all tickets that have
 * one of them, or `ahead` of all who wait, behind those that are held; so it is,
 * too, when this transaction holds a ticket already. True when it is its turn at once. The ticket belongs
 * to the present subtransaction. May raise before it is drawn, not after.
 */
bool
OutboxTicketDraw(const OutboxTicketPart *parts, int nparts, bool ahead)
{
	static bool at_exit = false;
	Ticket *ticket = my_ticket(WAITING);

	if (claimed_by != OutboxLocalTransactionId())
		OutboxTicketsForget();
	OutboxTicketReturn();
	claims = OutboxClaimsMerge(claims);
	claims = OutboxClaimMake(parts, nparts, claims);
	claimed_by = OutboxLocalTransactionId();
	if (!at_exit)
		on_shmem_exit(release_at_exit, 0);
	at_exit = true;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	ticket->ahead = ahead || my_ticket(HELD)->number != 0;
	if (my_ticket(HELD)->number != 0)
		pg_atomic_write_u32(&my_ticket(HELD)->reading, 1);
	fill(ticket, true);
	ticket->number = ++shared->drawn;
	shared->queue[shared->nqueued++] = my_index(WAITING);
	ticket->blocker = find_blocker(my_index(WAITING));
	if (ticket->blocker == NOBODY)
		take_turn();
	LWLockRelease(shared->lock);
	return !claims->waits;
}

/* After the abort, which has done it already unless an error kept it from it. Filters after the tickets that name them. */
static void
release_at_exit(int code, Datum arg)
{
	OutboxTicketsForget();
	OutboxBulkFiltersForget();
}

/*
 * Is it our turn? Then the keys are ours to the end of the transaction. Our latch is set when it may be. Never raises.
 */
bool
OutboxTicketTurn(void)
{
	int index = my_index(WAITING);
	bool turn;

	/* whoever leaves the queue resets it before the latch is set */
	if (*(volatile int *) &tickets[index].blocker != NOBODY)
		return false;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	tickets[index].blocker = find_blocker(index);
	turn = tickets[index].blocker == NOBODY;
	if (turn)
		take_turn();
	LWLockRelease(shared->lock);
	return turn;
}

/* Under the lock: what we waited for is made part of what we hold, for which the others now wait. */
static void
take_turn(void)
{
	Ticket *held = my_ticket(HELD);
	uint64 number = my_ticket(WAITING)->number;

	claims->waits = false;
	pg_atomic_write_u32(&held->reading, 1);
	fill(held, false);
	for (int i = 0; i < shared->nqueued; i++)
	{
		if (tickets[shared->queue[i]].blocker == my_index(WAITING))
			tickets[shared->queue[i]].blocker = my_index(HELD);
	}
	if (held->number != 0)
	{
		leave_queue(my_index(WAITING));
		return;
	}
	*place_of(my_index(WAITING)) = my_index(HELD);
	held->number = number;
	held->blocker = NOBODY;
	my_ticket(WAITING)->number = 0;
}

/*
 * The ticket whose holder keeps us waiting by reading; 0: whoever holds what
 * we wait for has read and commits. Never raises.
 *
 * Who waits for somebody who waits has the same one in the way. A holder that
 * waits itself, for a lock of the server, perhaps for one of ours, or for
 * further keys, may need us to give up.
 */
uint64
OutboxTicketReader(void)
{
	uint64 reader = 0;
	int index = my_index(WAITING);

	LWLockAcquire(shared->lock, LW_SHARED);
	for (int hops = 0; index != NOBODY && !is_held(index) && hops <= shared->nqueued; hops++)
		index = tickets[index].blocker;
	if (index != NOBODY && is_held(index) &&
		(pg_atomic_read_u32(&tickets[index].reading) || waits_for_lock(index / PER_SESSION)))
		reader = tickets[index].number;
	LWLockRelease(shared->lock);
	return reader;
}

/* In the server's lock table. Read without its lock: what is a moment old does as well. */
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
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	leave_queue(my_index(WAITING));
	LWLockRelease(shared->lock);
}

/* Our reading is over: what comes now is the commit. Never raises. */
void
OutboxTicketHasRead(void)
{
	if (claims)
		pg_atomic_write_u32(&my_ticket(HELD)->reading, 0);
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

/* The last one that is in the way: when it goes, the most of what is before it has gone. */
static int
find_blocker(int index)
{
	for (int i = shared->nqueued - 1; i >= 0; i--)
	{
		int other = shared->queue[i];

		if (other / PER_SESSION != index / PER_SESSION && in_the_way(&tickets[index], other) &&
			OutboxTicketKeysInCommon(&tickets[index].keys, &tickets[other].keys))
			return other;
	}
	return NOBODY;
}

/* If they have something in common. */
static bool
in_the_way(const Ticket *mine, int index)
{
	return is_held(index) || (!mine->ahead && (tickets[index].ahead || tickets[index].number < mine->number));
}

/* ---- the queue: under the lock --------------------------------------------------- */

static int *
place_of(int index)
{
	int *place = shared->queue;

	while (*place != index)
		place++;
	return place;
}

static void
leave_queue(int index)
{
	int *place;

	if (tickets[index].number == 0)
		return;
	place = place_of(index);
	shared->nqueued--;
	memmove(place, place + 1, sizeof(int) * (shared->queue + shared->nqueued - place));
	tickets[index].number = 0;
	wake_those_behind(index);
}

static void
wake_those_behind(int index)
{
	for (int i = 0; i < shared->nqueued; i++)
	{
		int other = shared->queue[i];

		if (is_held(other) || tickets[other].blocker != index)
			continue;
		tickets[other].blocker = NOBODY;
		SetLatch(&GetPGProcByNumber(other / PER_SESSION)->procLatch);
	}
}

/* ---- the end ---------------------------------------------------------------------- */

/*
 * The end of a subtransaction at this nest level, and of the transaction, when
 * everybody sees what it did: before the filters of the tickets go. Never raise.
 */
void
OutboxTicketsPromote(int nest_level)
{
	for (Claim *claim = claims; claim && claim->nest_level >= nest_level; claim = claim->next)
		claim->nest_level = nest_level - 1;
}

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
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (claims)
	{
		fill(my_ticket(HELD), false);
		wake_those_behind(my_index(HELD));
	}
	else
		leave_queue(my_index(HELD));
	LWLockRelease(shared->lock);
}

void
OutboxTicketsForget(void)
{
	if (claims == NULL)
		return;
	claims = NULL;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	leave_queue(my_index(WAITING));
	leave_queue(my_index(HELD));
	LWLockRelease(shared->lock);
}

/* ---- for those who look -------------------------------------------------------------- */

/* All of them in the order in which they were drawn, in CurrentMemoryContext. */
OutboxTicketInfo *
OutboxTicketsList(int *n)
{
	OutboxTicketInfo *list;

	*n = 0;
	if (shared == NULL)
		return NULL;
	list = palloc(sizeof(OutboxTicketInfo) * MaxBackends * PER_SESSION);
	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < shared->nqueued; i++)
	{
		int index = shared->queue[i];
		Ticket *ticket = &tickets[index];

		if (ticket->keys.dboid != MyDatabaseId)
			continue;
		list[*n] = (OutboxTicketInfo){.pid = ticket->pid, .waits = !is_held(index), .reads = pg_atomic_read_u32(&ticket->reading) != 0, .nkeys = ticket->keys.any_whole ? -1 : ticket->keys.nkeys};
		if (!is_held(index) && ticket->blocker != NOBODY)
			list[*n].blocking_pid = tickets[ticket->blocker].pid;
		(*n)++;
	}
	LWLockRelease(shared->lock);
	return list;
}
