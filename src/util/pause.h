/*-------------------------------------------------------------------------
 *
 * pause.h
 *	  A short wait between two looks at something.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_PAUSE_H
#define OUTBOX_PAUSE_H

/*
 * Waits for the latch, at most `ms` milliseconds, resets it and acts on
 * interrupts, so it may raise. The wait event is what pg_stat_activity shows.
 */
extern void OutboxPause(long ms, uint32 wait_event);

#endif /* OUTBOX_PAUSE_H */
