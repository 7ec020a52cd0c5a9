/*-------------------------------------------------------------------------
 *
 * launcher.h
 *	  The static worker that keeps every wanted relay running.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_LAUNCHER_H
#define OUTBOX_LAUNCHER_H

extern void OutboxLauncherRegister(void);	/* from _PG_init, while preloading */

#endif							/* OUTBOX_LAUNCHER_H */
