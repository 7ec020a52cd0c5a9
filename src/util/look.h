/*-------------------------------------------------------------------------
 *
 * look.h
 *	  Locks that end before the transaction does.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_LOOK_H
#define OUTBOX_LOOK_H

#include "access/xact.h"
#include "utils/resowner.h"

typedef struct OutboxLook
{
	ResourceOwner owner;  /* of what the look takes; NULL: there is none */
	ResourceOwner caller; /* while it is entered */
	CommandId command;    /* the present one when it was entered */
	bool wrote;           /* something was written while it was entered */
} OutboxLook;

/*
 * What is locked between Enter and Leave is given back by Close; what the
 * transaction had locked before stays. A look that is closed, or zero, is
 * opened by Enter. `parent` is the owner that an error leaves the rest to: the
 * CurrentResourceOwner, unless the look outlives a subtransaction. An error
 * while a look is open needs no Close: the abort of the (sub)transaction does it.
 *
 * Code of users may run meanwhile. When it has written anything, which
 * functions declared STABLE should not, Close leaves all locks to the
 * transaction: what is not committed yet needs them.
 */
extern void OutboxLookEnter(OutboxLook *look, ResourceOwner parent);
extern void OutboxLookLeave(OutboxLook *look);
extern void OutboxLookClose(OutboxLook *look);

/*
 * For a look that is entered, and will lock that many tables and an index of
 * each: true when the server's lock table has room for them. False: others are
 * looking at many tables; try again.
 */
extern bool OutboxLookHasRoom(int ntables);

/*
 * The same with attempts until the transaction has waited for that long in all,
 * and then on its own risk. Not for a transaction that commits. May raise.
 */
extern void OutboxLookAwaitRoom(int ntables, int timeout_ms);

#endif /* OUTBOX_LOOK_H */
