/*-------------------------------------------------------------------------
 *
 * waiting.c
 *	  How a relay waits: for its latch, its sink's descriptor, or the time.
 *
 * The set of what is waited for is kept from turn to turn; making one costs a
 * system call or five, and a relay at work waits a thousand times a second.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"

#include "compat.h"
#include "relay/worker/worker.h"

typedef struct LoopWait
{
	WaitEventSet *set;
	pgsocket socket;
} LoopWait;

static LoopWait loop_wait = {NULL, PGINVALID_SOCKET};

static void prepare_wait(OutboxRelay *relay);

/* Waits at most that many milliseconds. True: the latch was set. */
bool
OutboxRelayWait(OutboxRelay *relay, long timeout)
{
	static uint32 for_work = 0;
	static uint32 for_sink = 0;
	WaitEvent events[3];
	int n;

	if (for_work == 0)
	{
		for_work = OutboxWaitEvent("OutboxRelayMain");
		for_sink = OutboxWaitEvent("OutboxRelaySink");
	}
	prepare_wait(relay);
	n = WaitEventSetWait(loop_wait.set, timeout, events, lengthof(events),
						 OutboxDispatchInFlight(&relay->dispatch) > 0 ? for_sink : for_work);
	for (int i = 0; i < n; i++)
	{
		if ((events[i].events & WL_LATCH_SET) != 0)
			return true;
	}
	return false;
}

/* The set is kept from turn to turn, until the sink waits on another descriptor. */
static void
prepare_wait(OutboxRelay *relay)
{
	pgsocket socket = relay->callbacks->socket_cb != NULL ? relay->callbacks->socket_cb(&relay->sink) : PGINVALID_SOCKET;

	if (loop_wait.set != NULL && loop_wait.socket == socket)
		return;
	OutboxRelayForgetWait();
	loop_wait.set = OutboxCreateWaitEventSet(3);
	loop_wait.socket = socket;
	AddWaitEventToSet(loop_wait.set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(loop_wait.set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	if (socket != PGINVALID_SOCKET)
		AddWaitEventToSet(loop_wait.set, WL_SOCKET_READABLE, socket, NULL, NULL);
}

/* Frees what waiting needs, before the sink that gave its descriptor goes away. */
void
OutboxRelayForgetWait(void)
{
	if (loop_wait.set != NULL)
		FreeWaitEventSet(loop_wait.set);
	loop_wait.set = NULL;
	loop_wait.socket = PGINVALID_SOCKET;
}

/* Did the sink give a descriptor to wait on, at the last wait? */
bool
OutboxRelayHasSocket(void)
{
	return loop_wait.socket != PGINVALID_SOCKET;
}
