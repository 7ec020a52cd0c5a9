/*-------------------------------------------------------------------------
 *
 * ticket_queue.c
 *	  The tickets of all sessions in shared memory, in the order of drawing.
 *
 * The queue is a list of indexes, and every session has room for two tickets.
 * Room never runs out, since a ticket with too many keys stands for more than it
 * has. A waiting ticket remembers one ticket that is in its way, and is woken
 * when that one is gone. Comparing tickets is cheap: for nearly all pairs, one
 * word says that they have nothing in common.
 *
 * Functions on tickets are called under the lock, and never raise.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "compat.h"
#include "shared/shared_private.h"

#define TRANCHE "outbox_key_tickets"

PG_FUNCTION_INFO_V1(outbox_commit_queue);

Tickets *outbox_tickets = NULL;
Ticket *outbox_ticket_areas;

/* A ticket of MyDatabaseId, as outbox.commit_queue() shows it. */
typedef struct TicketInfo
{
	int pid;
	bool waits;
	bool reads;       /* else, when it does not wait, it commits */
	int nkeys;        /* -1: very many */
	int blocking_pid; /* 0: nobody is known to be in the way */
} TicketInfo;

static bool in_the_way(const Ticket *mine, int index);
static TicketInfo *list_tickets(int *n);

static Size
queue_size(void)
{
	return add_size(offsetof(Tickets, queue), mul_size(sizeof(int), MaxBackends * TICKETS_PER_SESSION));
}

static Size
tickets_size(void)
{
	return mul_size(sizeof(Ticket), MaxBackends * TICKETS_PER_SESSION);
}

/* Called by shared_state.c, which requests the shared memory, and then initialises it. */
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

	outbox_tickets = ShmemInitStruct("outbox_ext key tickets", queue_size(), &found);
	if (!found)
	{
		memset(outbox_tickets, 0, queue_size());
		outbox_tickets->lock = &GetNamedLWLockTranche(TRANCHE)[0].lock;
	}
	outbox_ticket_areas = ShmemInitStruct("outbox_ext key ticket area", tickets_size(), &found);
	for (int i = 0; i < MaxBackends * TICKETS_PER_SESSION && !found; i++)
	{
		outbox_ticket_areas[i].number = 0;
		pg_atomic_init_u32(&outbox_ticket_areas[i].reading, 0);
	}
}

/* True when the library was preloaded. */
bool
OutboxTicketsAvailable(void)
{
	return outbox_tickets != NULL;
}

bool
OutboxTicketIsHeld(int index)
{
	return index % TICKETS_PER_SESSION == TICKET_HELD;
}

/* The last ticket in the way of this one, or TICKET_NOBODY. When the last one goes, most of those before it have gone. */
int
OutboxTicketBlocker(int index)
{
	for (int i = outbox_tickets->nqueued - 1; i >= 0; i--)
	{
		int other = outbox_tickets->queue[i];

		if (other / TICKETS_PER_SESSION != index / TICKETS_PER_SESSION && in_the_way(&outbox_ticket_areas[index], other) &&
			OutboxTicketKeysInCommon(&outbox_ticket_areas[index].keys, &outbox_ticket_areas[other].keys))
			return other;
	}
	return TICKET_NOBODY;
}

/* Is the other ticket in the way, provided that they have something in common? */
static bool
in_the_way(const Ticket *mine, int index)
{
	return OutboxTicketIsHeld(index) || (!mine->ahead && (outbox_ticket_areas[index].ahead || outbox_ticket_areas[index].number < mine->number));
}

/* ---- the queue: under the lock --------------------------------------------------- */

static int *
place_of(int index)
{
	int *place = outbox_tickets->queue;

	while (*place != index)
		place++;
	return place;
}

/*
 * A waiting ticket's turn has come: what waited for it now waits for the session's held ticket, and that one takes its
 * place in the queue unless it has one already.
 */
void
OutboxTicketReplace(int index, int by)
{
	Ticket *waiting = &outbox_ticket_areas[index];
	Ticket *held = &outbox_ticket_areas[by];

	for (int i = 0; i < outbox_tickets->nqueued; i++)
	{
		Ticket *other = &outbox_ticket_areas[outbox_tickets->queue[i]];

		if (other->blocker == index)
			other->blocker = by;
	}
	if (held->number != 0)
	{
		OutboxTicketLeaveQueue(index);
		return;
	}
	*place_of(index) = by;
	held->number = waiting->number;
	held->blocker = TICKET_NOBODY;
	waiting->number = 0;
}

/* Takes a ticket out of the queue, if it is there, and wakes the sessions that wait for it. */
void
OutboxTicketLeaveQueue(int index)
{
	int *place;

	if (outbox_ticket_areas[index].number == 0)
		return;
	place = place_of(index);
	outbox_tickets->nqueued--;
	memmove(place, place + 1, sizeof(int) * (outbox_tickets->queue + outbox_tickets->nqueued - place));
	outbox_ticket_areas[index].number = 0;
	OutboxTicketWakeBehind(index);
}

/* Sessions for which this ticket is in the way look again. */
void
OutboxTicketWakeBehind(int index)
{
	for (int i = 0; i < outbox_tickets->nqueued; i++)
	{
		int other = outbox_tickets->queue[i];

		if (OutboxTicketIsHeld(other) || outbox_ticket_areas[other].blocker != index)
			continue;
		outbox_ticket_areas[other].blocker = TICKET_NOBODY;
		SetLatch(&GetPGProcByNumber(other / TICKETS_PER_SESSION)->procLatch);
	}
}

/* ---- for those who look ---------------------------------------------------------- */

/* outbox.commit_queue(): who reads keys at commit, and who waits for them, in the order in which they came. */
Datum
outbox_commit_queue(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	TicketInfo *list;
	int n;

	InitMaterializedSRF(fcinfo, 0);
	list = list_tickets(&n);
	for (int i = 0; i < n; i++)
	{
		Datum values[] = {
			Int32GetDatum(list[i].pid),
			CStringGetTextDatum(list[i].waits ? "waiting" : list[i].reads ? "reading"
																		  : "committing"),
			Int32GetDatum(list[i].nkeys), Int32GetDatum(list[i].blocking_pid)};
		bool nulls[] = {false, false, list[i].nkeys < 0, list[i].blocking_pid == 0};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* The tickets of this database in the order of drawing, in CurrentMemoryContext. */
static TicketInfo *
list_tickets(int *n)
{
	TicketInfo *list;

	*n = 0;
	if (outbox_tickets == NULL)
		return NULL;
	list = palloc(sizeof(TicketInfo) * MaxBackends * TICKETS_PER_SESSION);
	LWLockAcquire(outbox_tickets->lock, LW_SHARED);
	for (int i = 0; i < outbox_tickets->nqueued; i++)
	{
		int index = outbox_tickets->queue[i];
		Ticket *ticket = &outbox_ticket_areas[index];

		if (ticket->keys.dboid != MyDatabaseId)
			continue;
		list[*n] = (TicketInfo){.pid = ticket->pid, .waits = !OutboxTicketIsHeld(index), .reads = pg_atomic_read_u32(&ticket->reading) != 0, .nkeys = ticket->keys.any_whole ? -1 : ticket->keys.nkeys};
		if (!OutboxTicketIsHeld(index) && ticket->blocker != TICKET_NOBODY)
			list[*n].blocking_pid = outbox_ticket_areas[ticket->blocker].pid;
		(*n)++;
	}
	LWLockRelease(outbox_tickets->lock);
	return list;
}
