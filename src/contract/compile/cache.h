/*-------------------------------------------------------------------------
 *
 * cache.h
 *	  Compiled contracts of this backend, by trigger and relation.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONTRACT_CACHE_H
#define OUTBOX_CONTRACT_CACHE_H

#include "utils/rel.h"
#include "utils/reltrigger.h"

#include "contract/compile/compile.h"
#include "contract/compile/touch.h"

typedef enum OutboxContractState
{
	OUTBOX_CONTRACT_READY,
	OUTBOX_CONTRACT_DISABLED,  /* configured, switched off */
	OUTBOX_CONTRACT_FOREIGN,   /* the relation is no source of the contract, or of any */
	OUTBOX_CONTRACT_MISSING,   /* it is a source, but no contract has the trigger's name */
	OUTBOX_CONTRACT_RESTORING, /* the rows that are written are those of a restore */
	OUTBOX_CONTRACT_DETACHED,  /* its view is away, see outbox.detach() */
	OUTBOX_CONTRACT_BROKEN     /* cannot be compiled: error says why */
} OutboxContractState;

typedef struct OutboxCachedContract
{
	OutboxContractState state;
	OutboxCompiledContract *compiled; /* READY: of a contract evaluated per row, or acquired by name */
	OutboxTouch *touch;               /* READY: of a source of a contract evaluated at commit (compiled is NULL then) */
	OutboxContractConfig *config;     /* all but MISSING; may be NULL for BROKEN */
	ErrorData *error;                 /* BROKEN */
	bool owner_changed;               /* BROKEN: only because somebody else owns the view, which is no fault of the writer */
} OutboxCachedContract;

/*
 * The contract behind a trigger, compiled for this relation: whole when it is
 * evaluated per row, else what maps the relation's rows to lookup keys. Never
 * raises for trouble with the contract (state says so). Reserved for the caller
 * until OutboxContractRelease: a re-entrant change of the same source gets
 * another copy. Release it on every path.
 */
extern OutboxCachedContract *OutboxContractAcquire(const Trigger *trigger, Relation rel);

/*
 * The contract of that name compiled whole, for the flush; `compiled->query` is
 * set when it is evaluated at commit. On the same terms; never FOREIGN. A
 * contract that was dropped and created again under its name is the new one,
 * so compare its lookup columns with those of what was queued. Needs no active
 * snapshot.
 */
extern OutboxCachedContract *OutboxContractAcquireByName(const char *name);

/* Would that compile nothing, and so wait for nobody? */
extern bool OutboxContractIsCurrent(const char *name);
extern void OutboxContractRelease(OutboxCachedContract *contract);

/* The contract that a trigger's name says; of a trigger that was renamed, that name. */
extern const char *OutboxTriggerContract(const Trigger *trigger);

/* True once per trigger and transaction: a missing contract leaves one gap. Assigns a transaction id. */
extern bool OutboxContractFirstGap(OutboxCachedContract *contract);

/* Outdates every backend's copies at commit of the present transaction. */
extern void OutboxContractsChanged(void);

#endif /* OUTBOX_CONTRACT_CACHE_H */
