/*-------------------------------------------------------------------------
 *
 * fault_list.h
 *	  All faults of something that is checked, in one error.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_FAULT_LIST_H
#define OUTBOX_FAULT_LIST_H

#include "nodes/pg_list.h"

#include "contract/environment/guard.h"

typedef struct OutboxFaultList
{
	List *errors; /* of ErrorData *, no two with the same message */
} OutboxFaultList;

/* Runs a check, and keeps what it raises in the current memory context. False: it raised. */
extern bool OutboxTryCheck(OutboxFaultList *faults, OutboxGuardedStep check, void *arg);

/* Raises the faults, if there are any: one as it is, several as one error about the subject ("the view \"x\""). */
extern void OutboxRaiseFaults(const OutboxFaultList *faults, const char *subject);

#endif /* OUTBOX_FAULT_LIST_H */
