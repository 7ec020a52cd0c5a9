/*-------------------------------------------------------------------------
 *
 * pause.c
 *	  A short wait between two looks at something.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"

#include "util/util.h"

/*
 * Waits for the latch, at most `ms` milliseconds, resets it and acts on
 * interrupts, so it may raise. The wait event is what pg_stat_activity shows.
 */
void
OutboxPause(long ms, uint32 wait_event)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms, wait_event);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}
