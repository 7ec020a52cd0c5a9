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
 * together; capture/README.md has the rules of those that come again.
 *
 * The queue is a list of tickets in the order in which they were drawn, and
 * every session has room for two: the one it holds, and the one that it waits
 * with. Room never runs out, since a ticket with too many keys stands for more
 * than it has. Who waits remembers one ticket that is in its way, and sleeps on
 * its latch until that one is gone. Comparing tickets is cheap: one word says
 * of nearly all pairs that they have nothing in common.
 *
 * What a ticket stands for is remembered by its session (struct Claim), part by
 * part with its nest level, and what is held is made of it again when a
 * subtransaction is rolled back.
 *
 * A backend that dies without an abort takes all shared memory along.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

#include "compat.h"
#include "shared/bulk_filter.h"
#include "shared/key_ticket.h"

#define TRANCHE "outbox_key_tickets"

/* What a session has: the ticket that it holds, and the one that it waits with. */
#define HELD 0
#define WAITING 1
#define PER_SESSION 2

#define NOBODY (-1)

typedef struct TicketPart
{
	uint64 lock_class;
	bool whole;
	int filter;
	int first; /* of its keys */
	int nkeys;
} TicketPart;

/* All of it under the lock, but `reading`, which only its owner sets. */
typedef struct Ticket
{
	uint64 number; /* 0: not in the queue */
	Oid dboid;
	int pid;
	bool ahead;      /* of all who wait: only held tickets are in its way */
	bool everything; /* stands for all keys of the database */
	bool any_whole;
	int blocker; /* a ticket that is in its way, or NOBODY: look again */
	pg_atomic_uint32 reading;
	uint64 mask; /* one bit per key, several for the same */
	int nparts;
	int nkeys;
	TicketPart parts[OUTBOX_TICKET_PARTS];
	uint64 keys[OUTBOX_TICKET_KEYS];
} Ticket;

typedef struct Tickets
{
	LWLock *lock;
	uint64 drawn;
	int nqueued;
	int queue[FLEXIBLE_ARRAY_MEMBER]; /* in the order of drawing */
} Tickets;

/* What this transaction asked for at one nest level, in TopTransactionContext; the newest first. */
typedef struct Claim
{
	struct Claim *next;
	int nest_level;
	bool waits; /* the first one only */
	int nparts;
	OutboxTicketPart *parts;
} Claim;

static Tickets *shared = NULL; /* NULL without preloading */
static Ticket *tickets;

static Claim *claims = NULL;
static LocalTransactionId claimed_by = InvalidLocalTransactionId;

static Ticket *my_ticket(int which);
static bool is_held(int index);
static void merge_claims(void);
static void merge_part(Claim *into, const OutboxTicketPart *part);
static Claim *make_claim(const OutboxTicketPart *parts, int nparts);
static void release_at_exit(int code, Datum arg);
static void fill(Ticket *ticket, bool waiting);
static void add_part(Ticket *ticket, const OutboxTicketPart *part);
static int find_blocker(int index);
static bool in_the_way(const Ticket *mine, int index);
static bool in_common(const Ticket *a, const Ticket *b);
static bool parts_in_common(const Ticket *a, const TicketPart *left, const Ticket *b, const TicketPart *right);
static bool key_in_common(const uint64 *left, int nleft, const uint64 *right, int nright);
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

bool
OutboxTicketDraw(const OutboxTicketPart *parts, int nparts, bool ahead)
{
	Ticket *ticket = my_ticket(WAITING);
	Claim *claim;

	if (claimed_by != OutboxLocalTransactionId())
		OutboxTicketsForget();
	OutboxTicketReturn();
	while (claims && claims->next && claims->nest_level == claims->next->nest_level)
		merge_claims();
	claim = make_claim(parts, nparts);
	claim->next = claims;
	claims = claim;
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

/* A transaction may come again very often, and a ticket has few parts. */
static void
merge_claims(void)
{
	Claim *newer = claims;
	Claim *older = newer->next;
	MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);

	older->parts = repalloc(older->parts, sizeof(OutboxTicketPart) * (older->nparts + newer->nparts + 1));
	for (int i = 0; i < newer->nparts; i++)
		merge_part(older, &newer->parts[i]);
	claims = older;
	MemoryContextSwitchTo(caller);
}

static void
merge_part(Claim *into, const OutboxTicketPart *part)
{
	OutboxTicketPart *found = NULL;

	for (int i = 0; i < into->nparts && !part->whole; i++)
	{
		if (!into->parts[i].whole && into->parts[i].lock_class == part->lock_class)
			found = &into->parts[i];
	}
	if (found == NULL)
	{
		into->parts[into->nparts++] = *part;
		return;
	}
	found->keys = repalloc(found->keys, sizeof(uint64) * (found->nkeys + part->nkeys + 1));
	memcpy(found->keys + found->nkeys, part->keys, sizeof(uint64) * part->nkeys);
	found->nkeys = OutboxSortKeys(found->keys, found->nkeys + part->nkeys);
}

static int
compare_keys(const void *a, const void *b)
{
	uint64 left = *(const uint64 *) a;
	uint64 right = *(const uint64 *) b;

	return left < right ? -1 : left > right;
}

int
OutboxSortKeys(uint64 *keys, int nkeys)
{
	int kept = 0;

	qsort(keys, nkeys, sizeof(uint64), compare_keys);
	for (int i = 0; i < nkeys; i++)
	{
		if (kept == 0 || keys[kept - 1] != keys[i])
			keys[kept++] = keys[i];
	}
	return kept;
}

static Claim *
make_claim(const OutboxTicketPart *parts, int nparts)
{
	static bool at_exit = false;
	MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
	Claim *claim = palloc(sizeof(Claim));

	claim->next = NULL;
	claim->nest_level = GetCurrentTransactionNestLevel();
	claim->waits = true;
	claim->nparts = nparts;
	claim->parts = palloc(sizeof(OutboxTicketPart) * Max(nparts, 1));
	for (int i = 0; i < nparts; i++)
	{
		claim->parts[i] = parts[i];
		claim->parts[i].keys = palloc(sizeof(uint64) * Max(parts[i].nkeys, 1));
		memcpy(claim->parts[i].keys, parts[i].keys, sizeof(uint64) * parts[i].nkeys);
	}
	MemoryContextSwitchTo(caller);
	if (!at_exit)
		on_shmem_exit(release_at_exit, 0);
	at_exit = true;
	claimed_by = OutboxLocalTransactionId();
	return claim;
}

/* After the abort, which has done it already unless an error kept it from it. */
static void
release_at_exit(int code, Datum arg)
{
	OutboxTicketsForget();
}

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
	ticket->dboid = MyDatabaseId;
	ticket->pid = MyProcPid;
	ticket->everything = ticket->any_whole = false;
	ticket->mask = 0;
	ticket->nparts = ticket->nkeys = 0;
	for (const Claim *claim = claims; claim; claim = claim->next)
	{
		for (int i = 0; i < claim->nparts && claim->waits == waiting; i++)
			add_part(ticket, &claim->parts[i]);
	}
}

static void
add_part(Ticket *ticket, const OutboxTicketPart *part)
{
	TicketPart *mine = &ticket->parts[ticket->nparts];

	if (ticket->nparts == OUTBOX_TICKET_PARTS)
	{
		ticket->everything = ticket->any_whole = true;
		return;
	}
	ticket->nparts++;
	mine->lock_class = part->lock_class;
	mine->whole = part->whole || ticket->nkeys + part->nkeys > OUTBOX_TICKET_KEYS;
	mine->filter = part->whole ? part->filter : -1;
	mine->first = ticket->nkeys;
	mine->nkeys = mine->whole ? 0 : part->nkeys;
	ticket->any_whole |= mine->whole;
	for (int i = 0; i < mine->nkeys; i++)
	{
		ticket->keys[ticket->nkeys++] = part->keys[i];
		ticket->mask |= UINT64CONST(1) << (part->keys[i] % 64);
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
			in_common(&tickets[index], &tickets[other]))
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

static bool
in_common(const Ticket *a, const Ticket *b)
{
	if (a->dboid != b->dboid)
		return false;
	if (a->everything || b->everything)
		return true;
	if (!a->any_whole && !b->any_whole && (a->mask & b->mask) == 0)
		return false;
	for (int i = 0; i < a->nparts; i++)
	{
		for (int j = 0; j < b->nparts; j++)
		{
			if (a->parts[i].lock_class == b->parts[j].lock_class && parts_in_common(a, &a->parts[i], b, &b->parts[j]))
				return true;
		}
	}
	return false;
}

/* Two filters cannot be compared. */
static bool
parts_in_common(const Ticket *a, const TicketPart *left, const Ticket *b, const TicketPart *right)
{
	if (left->whole && right->whole)
		return true;
	if (left->whole)
		return left->filter < 0 || OutboxBulkFilterMayHave(left->filter, b->keys + right->first, right->nkeys);
	if (right->whole)
		return right->filter < 0 || OutboxBulkFilterMayHave(right->filter, a->keys + left->first, left->nkeys);
	return key_in_common(a->keys + left->first, left->nkeys, b->keys + right->first, right->nkeys);
}

static bool
key_in_common(const uint64 *left, int nleft, const uint64 *right, int nright)
{
	for (int i = 0, j = 0; i < nleft && j < nright;)
	{
		if (left[i] == right[j])
			return true;
		if (left[i] < right[j])
			i++;
		else
			j++;
	}
	return false;
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

		if (ticket->dboid != MyDatabaseId)
			continue;
		list[*n] = (OutboxTicketInfo){.pid = ticket->pid, .waits = !is_held(index), .reads = pg_atomic_read_u32(&ticket->reading) != 0, .nkeys = ticket->any_whole ? -1 : ticket->nkeys};
		if (!is_held(index) && ticket->blocker != NOBODY)
			list[*n].blocking_pid = tickets[ticket->blocker].pid;
		(*n)++;
	}
	LWLockRelease(shared->lock);
	return list;
}
